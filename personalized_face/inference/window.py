"""A window on the screen, where there is one."""

import os
import subprocess
import sys

import cv2
import numpy as np

from personalized_face.core.errors import UserError

_ESCAPE = 27
# OpenCV's windows end the process where there is no screen, so another one tries it.
_TRIAL = "import cv2; cv2.namedWindow('pface'); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_SECONDS = 30


class Window:
  """Shows pictures; closed by its user with q, Escape or its cross."""

  def __init__(self, title: str):
    """Opens it.

    Raises:
      UserError: there is no screen that OpenCV can use.
    """
    if not _screen_works():
      raise UserError(
        "There is no screen to show a window on; write the overlay as a video with "
        "--overlay=FILE.mp4 instead of --show."
      )
    self._title = title
    cv2.namedWindow(title, cv2.WINDOW_NORMAL)

  def show(self, picture: np.ndarray) -> bool:
    """Shows [H, W, 3] uint8 RGB; False once the user has closed the window."""
    cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    key = cv2.waitKey(1) & 0xFF  # the cross works here, too
    return key not in (ord("q"), _ESCAPE) and self._visible()

  def _visible(self) -> bool:
    return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1


def _screen_works() -> bool:
  linux = sys.platform.startswith("linux")
  if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    return False
  try:
    trial = subprocess.run(
      [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS
    )
  except (OSError, subprocess.TimeoutExpired):
    return False
  return trial.returncode == 0
