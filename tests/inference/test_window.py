import subprocess

import pytest

from personalized_face.core.errors import UserError
from personalized_face.inference import window


@pytest.mark.parametrize(("display", "status"), [(None, 0), (":7", 134), (":7", None)])
def test_window_exception_raised_without_a_screen(monkeypatch, display, status):
  """No screen named; one that ends OpenCV's process; one that never answers."""
  monkeypatch.setattr(window.sys, "platform", "linux")
  monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
  monkeypatch.delenv("DISPLAY", raising=False)
  if display:
    monkeypatch.setenv("DISPLAY", display)

  def trial(command, **options):
    if status is None:
      raise subprocess.TimeoutExpired(command, options["timeout"])
    return subprocess.CompletedProcess(command, status)

  monkeypatch.setattr(window.subprocess, "run", trial)
  with pytest.raises(UserError, match="no screen .* --overlay=FILE.mp4"):
    window.Window("test")
