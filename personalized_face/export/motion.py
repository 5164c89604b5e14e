"""A motion as named columns: CSV and JSON, both ways.

For spreadsheets, scripts and other programs; `motion.npz` is what the commands hand on.
A column's unit is the end of its name: `time_s`, `pitch_rad`, `tx_dm`, `box_left_px`.
Blendshape coefficients (0 to 1) carry the template's names without a unit; the light's
27 spherical-harmonics coefficients are `light_<0..8>_<r|g|b>`, in the order of
core/spherical_harmonics.py. Numbers are written with all the digits that float32 holds
(times: float64), so a motion comes back as it was, bit for bit.

Pose and light are in the camera space of the frame's *crop*: the box, made square and
scaled to the crop size, seen by the crop camera (DESIGN section 3).

A reader asks for `time_s` and at least one coefficient, in any spelling of its name
(data/arkit.py). What else is missing is neutral: coefficients 0, a frontal head at
10 dm, white ambient light; and the log names the coefficients.
"""

import csv
import json
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS, Tracking
from personalized_face.data.arkit import spelling_key
from personalized_face.export.files import replacing, write_text
from personalized_face.face_model.files import Motion, checked_motion, mean_rate

_POSE = ("pitch_rad", "yaw_rad", "roll_rad", "tx_dm", "ty_dm", "tz_dm")
_BOX = ("box_left_px", "box_top_px", "box_right_px", "box_bottom_px")
_CLIP = ("fps", "frame_height_px", "frame_width_px")
_LIGHT = tuple(f"light_{b}_{c}" for b in range(NUM_LIGHT_COEFFICIENTS) for c in "rgb")
# Where a file says nothing: a head before the crop camera, in a picture that is its
# crop, under the light in which a white surface is white (1 over SH's constant 0.282).
_DEPTH_DM, _SIDE_PX, _WHITE = -10.0, 224.0, 3.5449
_JSON_FORMAT = "personalized_face.motion"
_FEWEST_FRAMES = 1


def motion_columns(blendshape_names: Sequence[str]) -> list[str]:
  """The names of the columns, in the order of the file."""
  return ["frame", "time_s", *blendshape_names, *_POSE, *_LIGHT, *_BOX, *_CLIP]


def write_motion_csv(
  path: str, motion: Motion, blendshape_names: Sequence[str]
) -> None:
  """Writes the table, under its name only once it is complete.

  Args:
    path: of the CSV file.
    motion: F frames.
    blendshape_names: K names, in the order of the coefficients.

  Raises:
    ValueError: the number of names is not that of the coefficients.
  """
  rows = motion_rows(motion, blendshape_names)
  with replacing(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(motion_columns(blendshape_names))
      writer.writerows(rows)


def write_motion_json(
  path: str, motion: Motion, blendshape_names: Sequence[str]
) -> None:
  """The same columns as JSON: {"format", "version", "columns": {name: [F numbers]}}.

  Raises:
    ValueError: the number of names is not that of the coefficients.
  """
  columns = _columns(motion, blendshape_names)
  numbers = {name: [json.loads(v) for v in texts] for name, texts in columns.items()}
  value = {"format": _JSON_FORMAT, "version": 1, "columns": numbers}
  write_text(path, json.dumps(value, allow_nan=False) + "\n")


def motion_rows(
  motion: Motion, blendshape_names: Sequence[str], first_frame: int = 0
) -> list[tuple[str, ...]]:
  """The rows of the table, without its header.

  Args:
    motion: F frames.
    blendshape_names: K names, in the order of the coefficients.
    first_frame: what the column `frame` starts at.

  Raises:
    ValueError: the number of names is not that of the coefficients.
  """
  columns = _columns(motion, blendshape_names, first_frame)
  return list(zip(*columns.values(), strict=True))


def read_motion_csv(path: str, blendshape_names: Sequence[str]) -> Motion:
  """Reads a table, ours or one with columns named as ours.

  Raises:
    UserError: missing, not such a table, or a number in it is none.
  """
  header, rows = read_csv(path)
  columns = {
    name: column_of_numbers(path, name, [row[i] for row in rows])
    for i, name in enumerate(header)
  }
  return _motion_of(path, columns, blendshape_names)


def read_motion_json(path: str, blendshape_names: Sequence[str]) -> Motion:
  """Reads what `write_motion_json` writes.

  Raises:
    UserError: missing, not such a file, or a number in it is none.
  """
  try:
    with open(path, encoding="utf-8") as file:
      value = json.load(file)
    found = value["format"], value["version"]
    columns = dict(value["columns"])
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  except (ValueError, LookupError, TypeError, RecursionError) as error:
    raise UserError(
      f"{path} is not a motion in JSON ({error}); write one with "
      "`pface_convert_motion`."
    ) from error
  if found != (_JSON_FORMAT, 1):
    raise UserError(f"{path} has the format {found}, not {(_JSON_FORMAT, 1)}.")
  numbers = {
    name: column_of_numbers(path, name, values) for name, values in columns.items()
  }
  return _motion_of(path, numbers, blendshape_names)


def read_csv(path: str) -> tuple[list[str], list[list[str]]]:
  """The header and the rows of a CSV file; every row as long as the header.

  Raises:
    UserError: missing, not text, empty, without a row, or with a short or long row.
  """
  try:
    with open(path, encoding="utf-8-sig", newline="") as file:
      lines = [row for row in csv.reader(file) if row]
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  except (UnicodeDecodeError, csv.Error) as error:
    raise UserError(f"{path} is not a CSV file ({error}).") from error
  if len(lines) <= _FEWEST_FRAMES:
    raise UserError(f"{path} has no frame in it; it needs a header and a row a frame.")
  header = [name.strip() for name in lines[0]]
  for i, row in enumerate(lines[1:], 2):
    if len(row) != len(header):
      raise UserError(
        f"{path} has {len(row)} values in row {i} for {len(header)} columns; it may be "
        "cut off: export it again."
      )
  return header, lines[1:]


def column_of_numbers(path: str, name: str, values: Sequence) -> np.ndarray:
  """Values as float64 [F].

  Raises:
    UserError: one is not a finite number; the sentence names its place.
  """
  try:
    numbers = np.array([float(value) for value in values], np.float64)
  except (TypeError, ValueError, OverflowError) as error:
    raise UserError(f"{path} has {error} in the column {name}.") from error
  if not np.isfinite(numbers).all():
    row = int(np.argmin(np.isfinite(numbers)))
    raise UserError(f"{path} has {values[row]} in the column {name}, frame {row}.")
  return numbers


def neutral_motion(times: np.ndarray, expression: np.ndarray, fps: float) -> Motion:
  """A motion of which only the coefficients are known; see the module's docstring."""
  count = len(times)
  light = np.zeros([count, NUM_LIGHT_COEFFICIENTS, 3], np.float32)
  light[:, 0] = _WHITE
  translation = np.tile(np.float32([0, 0, _DEPTH_DM]), [count, 1])
  rotation = np.zeros([count, 3], np.float32)
  tracking = Tracking(np.float32(expression), rotation, translation, light)
  boxes = np.tile(np.float32([0, 0, _SIDE_PX, _SIDE_PX]), [count, 1])
  return Motion(times, tracking, boxes, (int(_SIDE_PX),) * 2, fps)


def _columns(
  motion: Motion, names: Sequence[str], first_frame: int = 0
) -> dict[str, list[str]]:
  """Every column as text."""
  tracking, count = motion.tracking, len(motion.times)
  if np.shape(tracking.expression) != (count, len(names)):
    raise ValueError(
      f"{len(names)} names for coefficients {np.shape(tracking.expression)}"
    )
  numbers = [np.reshape(part, [count, -1]) for part in tracking]
  numbers = np.concatenate([*numbers, np.reshape(motion.boxes, [count, 4])], axis=1)
  columns = [
    [str(first_frame + i) for i in range(count)],
    [repr(float(t)) for t in motion.times],
  ]
  # 9 digits: what a float32 needs to come back as it was.
  columns += [[f"{value:.9g}" for value in column] for column in numbers.T]
  height, width = motion.frame_size
  clip = (repr(float(motion.fps)), str(int(height)), str(int(width)))
  columns += [[value] * count for value in clip]
  return dict(zip(motion_columns(names), columns, strict=True))


def _motion_of(
  path: str, columns: Mapping[str, np.ndarray], names: Sequence[str]
) -> Motion:
  times = columns.get("time_s")
  sizes = {len(column) for column in columns.values()}
  if times is None or len(sizes) != 1 or not len(times):
    raise UserError(
      f"{path} is not a motion: it needs a column time_s, and all columns as long as "
      "that one."
    )
  if (np.diff(times) <= 0).any():
    row = int(np.argmax(np.diff(times) <= 0)) + 1
    raise UserError(f"{path} has times that do not increase, at frame {row}.")
  motion = neutral_motion(
    times, _coefficients(path, columns, names, len(times)), mean_rate(times)
  )
  tracking = motion.tracking
  _fill(columns, _POSE[:3], tracking.rotation)
  _fill(columns, _POSE[3:], tracking.translation)
  _fill(columns, _LIGHT, tracking.light.reshape(len(times), -1))
  _fill(columns, _BOX, motion.boxes)
  fps, height, width = (
    float(columns[name][0]) if name in columns else value
    for name, value in zip(_CLIP, (motion.fps, *motion.frame_size), strict=True)
  )
  motion = motion._replace(fps=fps, frame_size=(int(height), int(width)))
  return possible(path, motion)


def possible(path: str, motion: Motion) -> Motion:
  """The motion itself.

  Raises:
    UserError: no clip can have it; the sentence names the file.
  """
  try:
    return checked_motion(motion)
  except ValueError as error:
    raise UserError(f"{path} has no possible motion ({error}); mend it.") from error


def _coefficients(
  path: str, columns: Mapping[str, np.ndarray], names: Sequence[str], count: int
) -> np.ndarray:
  """[F, K] float32, by name."""
  given = {spelling_key(name): column for name, column in columns.items()}
  missing = [name for name in names if spelling_key(name) not in given]
  if len(missing) == len(names):
    raise UserError(
      f"{path} has none of the template's blendshapes, such as {names[0]}; name its "
      "columns as the template does."
    )
  if missing:
    logging.warning("%s has no %s; they stay 0.", path, ", ".join(missing))
  none = np.zeros(count)
  rows = [given.get(spelling_key(name), none) for name in names]
  with np.errstate(over="ignore"):  # what then is not finite is told
    return np.stack(rows, axis=1).astype(np.float32)


def _fill(
  columns: Mapping[str, np.ndarray], names: Sequence[str], values: np.ndarray
) -> None:
  """Puts the columns that are there into [F, len(names)], in place."""
  for i, name in enumerate(names):
    if name in columns:
      with np.errstate(over="ignore"):
        values[:, i] = columns[name]
