"""Reading the published folders: what is missing is named, with the layout expected."""

import os
import re
from collections.abc import Callable, Iterator

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp")


def wrong_layout(title: str, folder: str, problem: str, layout: str) -> UserError:
  """The error that every benchmark raises for data that are not laid out as published.

  Args:
    title: of the data set.
    folder: as the user gave it.
    problem: what is wrong, such as "has no pose_0.obj".
    layout: what is expected, such as "<name>.jpg and <name>.mat".
  """
  return UserError(
    f"{folder} is not laid out as {title}: it {problem}; expected is {layout}."
  )


def files_matching(
  folder: str, pattern: str, fail: Callable[[str], UserError]
) -> Iterator[tuple[str, re.Match]]:
  """The files below a folder whose relative path fits, in natural order.

  Args:
    folder: to walk.
    pattern: regular expression for the whole relative path, "/" between folders.
    fail: makes the error for what is wrong.

  Yields:
    Path and match.

  Raises:
    UserError: no such folder, or nothing in it fits.
  """
  if not os.path.isdir(folder):
    raise fail("does not exist")
  found = []
  for parent, folders, names in os.walk(folder):
    folders.sort()
    for name in names:
      path = os.path.join(parent, name)
      relative = os.path.relpath(path, folder).replace(os.sep, "/")
      if match := re.fullmatch(pattern, relative):
        found.append((path, match))
  if not found:
    raise fail("has no file of that layout")
  yield from sorted(found, key=lambda item: natural(item[1].group()))


def natural(text: str) -> list:
  """Sorts Tester_2 before Tester_10."""
  return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def read_pts(path: str, index_base: float = 1.0) -> np.ndarray:
  """A `.pts` file of 68 points, as 300-W and 300VW have them.

  Args:
    path: `version: 1`, `n_points: 68`, `{`, a line for each point, `}`.
    index_base: the coordinate of the first pixel's centre in the file, 1 for files
      written by Matlab; ours is .5.

  Returns:
    [68, 2] float64 pixels.

  Raises:
    UserError: missing or not such a file.
  """
  try:
    with open(path, encoding="ascii") as file:
      text = file.read()
    count = int(re.search(r"n_points\s*:\s*(\d+)", text)[1])
    body = text[text.index("{") + 1 : text.index("}")]
    points = np.array(body.split(), np.float64).reshape(-1, 2)
  except (OSError, UnicodeDecodeError, TypeError, ValueError) as error:
    raise UserError(f"{path} is not a readable .pts file ({error}).") from error
  if not count == len(points) == NUM_LANDMARKS:
    raise UserError(f"{path} has {len(points)} points where 68 are needed.")
  if not np.isfinite(points).all():
    raise UserError(f"{path} has points that are not finite numbers.")
  return points + (0.5 - index_base)


def read_mat(path: str, wanted: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Some variables of a Matlab file.

  Args:
    path: of a `.mat` file before version 7.3.
    wanted: {name: shape}.

  Raises:
    UserError: missing, damaged, a variable absent or of another shape.
  """
  import scipy.io

  try:
    data = scipy.io.loadmat(path, variable_names=list(wanted))
    numbers = {n: np.asarray(data[n], np.float64) for n in wanted if n in data}
  except Exception as error:  # scipy raises a dozen kinds on damaged bytes
    raise UserError(f"{path} is not a readable .mat file ({error}).") from error
  for name, shape in wanted.items():
    if name not in numbers:
      raise UserError(f"{path} has no variable {name}; is it a file of this data set?")
    if numbers[name].shape != shape:
      raise UserError(f"{path} has {name} of shape {numbers[name].shape}, not {shape}.")
    if not np.isfinite(numbers[name]).all():
      raise UserError(f"{path} has {name} with values that are not finite.")
  return numbers
