"""One door for motions of every format: `read_motion` and `write_motion`.

.npz                     ours (face_model/files.py)
.json                    named columns (export/motion.py)
.csv                     the same as a table, or
.csv of Live Link Face   (export/live_link.py); told apart by their first line
"""

import os

from personalized_face.core.errors import UserError
from personalized_face.export.live_link import (
  is_live_link,
  read_live_link_csv,
  write_live_link_csv,
)
from personalized_face.export.motion import (
  read_motion_csv,
  read_motion_json,
  write_motion_csv,
  write_motion_json,
)
from personalized_face.face_model.files import Motion, load_motion, save_motion
from personalized_face.template.face_template import FaceTemplate

MOTION_EXTENSIONS = (".npz", ".json", ".csv")


def is_motion(path: str) -> bool:
  """Whether a path is named like a motion."""
  return path.lower().endswith(MOTION_EXTENSIONS)


def motion_path(path: str) -> str | None:
  """The motion that a path names: itself, or the one of a folder; None for neither."""
  inside = os.path.join(path, "motion.npz")
  if os.path.isdir(path):
    return inside if os.path.isfile(inside) else None
  return path if is_motion(path) else None


def read_motion(path: str, template: FaceTemplate, fps: float | None = None) -> Motion:
  """Reads a motion of any format.

  Args:
    path: ends in one of MOTION_EXTENSIONS.
    template: whose coefficients are wanted.
    fps: of a Live Link recording, where its timecodes do not show it.

  Raises:
    UserError: missing, of none of these formats, or damaged.
  """
  ending = os.path.splitext(path)[1].lower()
  if ending == ".npz":
    return load_motion(path, template)
  if ending == ".json":
    return read_motion_json(path, template.blendshape_names)
  if ending != ".csv":
    raise UserError(f"{path} is no motion; give a .npz, .json or .csv file.")
  if is_live_link(path):
    return read_live_link_csv(path, template, fps)
  return read_motion_csv(path, template.blendshape_names)


def write_motion(
  path: str, motion: Motion, template: FaceTemplate, live_link: bool = False
) -> None:
  """Writes a motion in the format of its name.

  Args:
    path: ends in one of MOTION_EXTENSIONS.
    motion: F frames.
    template: whose coefficients they are.
    live_link: a .csv is one of Live Link Face.

  Raises:
    UserError: another ending, or the file cannot be written.
  """
  ending = os.path.splitext(path)[1].lower()
  if ending not in MOTION_EXTENSIONS or (live_link and ending != ".csv"):
    kinds = ".csv" if live_link else ".npz, .json or .csv"
    raise UserError(f"A motion is written as {kinds}, not {path}.")
  if live_link:
    write_live_link_csv(path, motion, template)
  elif ending == ".npz":
    save_motion(path, motion, template)
  else:
    write = write_motion_json if ending == ".json" else write_motion_csv
    write(path, motion, template.blendshape_names)
