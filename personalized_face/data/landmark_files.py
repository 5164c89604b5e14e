"""Landmarks that somebody else made: .pts, .csv and .mat files of 68 points (iBUG).

What a file's numbers mean is the corpus's to say: which number the first pixel has
(`pixel_base`), and which the first frame. Out of here come pixels with centres at .5.

  .pts   iBUG's text file: `version`, `n_points`, then one "x y" a line between braces
  .csv   one row a frame; columns x_0..x_67, y_0..y_67 (OpenFace's names) or x0, y0, ...
         and, for a video, `frame`; `success` 0 means that there is no face
  .mat   `pt3d_68` [3, 68] of AFLW2000-3D, or `pts_2d` / `pts_3d` [68, 2] of 300W-LP
"""

import csv
import os
import re

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS

FORMATS = (".pts", ".csv", ".mat")


class LandmarkReader:
  """The landmarks of one clip.

  Args:
    template: path of a file with `{frame}` in it where there is one file a frame.
    first_frame: what the files call the first frame.
    pixel_base: the coordinate that the files give to the first pixel's centre.
  """

  def __init__(self, template: str, first_frame: int = 0, pixel_base: float = 0.0):
    self._template = template
    self._first_frame = first_frame
    self._offset = 0.5 - pixel_base
    self._tables: dict[str, dict[int, np.ndarray]] = {}

  def read(self, number: int) -> np.ndarray | None:
    """The landmarks of a frame.

    Args:
      number: of the frame in the source, from 0.

    Returns:
      [68, 2] float32 pixels, centres at .5; None where there are none for the frame.

    Raises:
      UserError: a file that is not what its name says.
    """
    frame = number + self._first_frame
    path = self._template.format(frame=frame)
    extension = os.path.splitext(path)[1].lower()
    if extension == ".csv":
      if path not in self._tables:
        self._tables[path] = _read_csv(path)
      table = self._tables[path]
      # A table without frame numbers is of one picture.
      points = table.get(frame, table.get(-1))
    elif not os.path.isfile(path):
      return None
    elif extension == ".pts":
      points = _read_pts(path)
    else:
      points = _read_mat(path)
    # What then is not finite, data/gates.py drops with its frame.
    with np.errstate(over="ignore"):
      return None if points is None else (points + self._offset).astype(np.float32)


def _read_pts(path: str) -> np.ndarray:
  try:
    with open(path, encoding="utf-8", errors="replace") as file:
      match = re.search(r"\{([^}]*)\}", file.read())
    points = np.array((match[1] if match else "").split(), np.float64).reshape(-1, 2)
  except (OSError, ValueError) as error:
    raise UserError(f"{path} is not a .pts file ({error}).") from error
  return _checked(points, path)


def _read_mat(path: str) -> np.ndarray:
  from scipy import io

  names = ("pt3d_68", "pts_2d", "pts_3d")
  try:
    arrays = io.loadmat(path, variable_names=names)
    points = {n: np.asarray(arrays[n], np.float64) for n in names if n in arrays}
  except Exception as error:  # scipy raises half a dozen kinds for damaged files
    raise UserError(f"{path} is not a readable .mat file ({error}).") from error
  for array in points.values():
    array = np.atleast_2d(array)
    array = array.T if array.shape[0] in (2, 3) else array
    return _checked(array[:, :2], path)
  raise UserError(f"{path} has neither pt3d_68 nor pts_2d nor pts_3d in it.")


def _read_csv(path: str) -> dict[int, np.ndarray]:
  """The rows by frame number; -1 for the only row of a table without numbers."""
  table = {}
  try:
    with open(path, newline="", encoding="utf-8") as file:
      for row in csv.DictReader(file, skipinitialspace=True):
        row = {key.strip().replace("_", ""): row[key] for key in row if key}
        if row.get("success", "1").strip() == "0":
          continue
        points = [[row[f"x{i}"], row[f"y{i}"]] for i in range(NUM_LANDMARKS)]
        table[int(float(row.get("frame", -1)))] = np.array(points, np.float64)
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise UserError(f"{path} cannot be read ({error}).") from error
  except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
    raise UserError(
      f"{path} is not a table of landmarks ({error}); it needs the columns x_0 to x_67 "
      "and y_0 to y_67 with numbers in them."
    ) from error
  return {frame: _checked(points, path) for frame, points in table.items()}


def _checked(points: np.ndarray, path: str) -> np.ndarray:
  if points.shape != (NUM_LANDMARKS, 2):
    raise UserError(f"{path} has {len(points)} points, not the 68 of iBUG.")
  return points
