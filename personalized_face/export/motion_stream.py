"""A motion written while it is tracked.

    frame by frame --> NAME.partial.csv     the rows so far, each whole
    at the end     --> NAME.npz|.json|.csv  the motion, and the other one goes

What a crash or a kill leaves is a motion as any other: `pface_convert_motion` reads it.
"""

import csv
import os

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.export.motion import motion_columns, motion_rows
from personalized_face.export.motion_files import MOTION_EXTENSIONS, write_motion
from personalized_face.export.run_folder import make_folder
from personalized_face.face_model.files import Motion, mean_rate
from personalized_face.template.face_template import FaceTemplate

_JOINED = 500  # frames: 1.35 kB each as they come, 0.38 kB joined


class MotionStream:
  """Takes frames and keeps them; with a path, on the disk as well.

  Attributes:
    partial: where the rows go meanwhile; None without a path.
  """

  def __init__(self, path: str | None, template: FaceTemplate, fps: float):
    """Makes the folder; writes nothing before the first frame.

    Args:
      path: of the motion at the end, see MOTION_EXTENSIONS; None keeps it in memory.
      template: whose coefficients they are.
      fps: what the rows say meanwhile; the motion gets the mean rate of its times.

    Raises:
      UserError: another ending, a folder that cannot be written, or the rows of a
        session that was cut off are still there.
    """
    self.partial: str | None = None
    self._path, self._template, self._fps = path, template, fps
    self._file, self._count = None, 0
    self._parts: list[Motion] = []  # of many frames each, but the last ones
    if path is None:
      return
    root, ending = os.path.splitext(path)
    if ending.lower() not in MOTION_EXTENSIONS:
      raise UserError(f"A motion is written as .npz, .json or .csv, not {path}.")
    self.partial = f"{root}.partial.csv"
    if os.path.exists(self.partial):
      raise UserError(
        f"{self.partial} holds what was tracked before the last session was cut off; "
        "keep it with `pface_convert_motion`, or remove it."
      )
    folder = os.path.dirname(os.path.abspath(path))
    make_folder(folder)
    if not os.access(folder, os.W_OK):
      raise UserError(f"{path} cannot be written; choose a folder that is yours.")

  def __len__(self) -> int:
    return self._count

  def add(
    self,
    time: float,
    tracking: Tracking,
    box: tuple[float, float, float, float],
    frame_size: tuple[int, int],
  ) -> None:
    """Takes a frame.

    Args:
      time: seconds in the source, after the last frame's.
      tracking: [1, ...] numpy.
      box: of the crop, x0, y0, x1, y1, pixels of the frame.
      frame_size: height and width, pixels.

    Raises:
      UserError: the row cannot be written.
    """
    frame = Motion(
      np.array([time]), tracking, np.array([box], np.float32), frame_size, self._fps
    )
    self._parts.append(frame)
    self._count += 1
    if self._count % _JOINED == 0:
      self._parts[-_JOINED:] = [_join(self._parts[-_JOINED:])]
    if self.partial is None:
      return
    names = self._template.blendshape_names
    try:
      if self._file is None:
        # By lines: a kill leaves whole rows.
        self._file = open(self.partial, "w", encoding="utf-8", newline="", buffering=1)
        csv.writer(self._file).writerow(motion_columns(names))
      csv.writer(self._file).writerows(motion_rows(frame, names, len(self) - 1))
    except OSError as error:
      raise UserError(
        f"{self.partial} cannot be written ({error.strerror}); check the folder and "
        "the space on the disk."
      ) from error

  def close(self) -> Motion | None:
    """Writes the motion under its name; returns it, None where there was no frame.

    Raises:
      UserError: it cannot be written; what there is stays in `partial`.
    """
    if not self._parts:
      return None
    motion = _join(self._parts)
    motion = motion._replace(fps=mean_rate(motion.times))
    if self._path is not None:
      self._file.close()
      write_motion(self._path, motion, self._template)
      os.remove(self.partial)
    return motion


def _join(parts: list[Motion]) -> Motion:
  """One after the other; the frame size and rate are the last one's."""
  trackings = zip(*(part.tracking for part in parts), strict=True)
  return parts[-1]._replace(
    times=np.concatenate([part.times for part in parts]),
    tracking=Tracking(*(np.concatenate(values) for values in trackings)),
    boxes=np.concatenate([part.boxes for part in parts]),
  )
