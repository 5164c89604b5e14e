"""Live Link Face CSV: what Epic's iPhone app records and Unreal's importer reads.

    Timecode,BlendShapeCount,EyeBlinkLeft,...,TongueOut,HeadYaw,...,RightEyeRoll

The columns stand in the order of the files, which has JawRight before JawLeft and
MouthRight before MouthLeft, other than the app's network packets. A reader goes by
name, without case: files in other orders and with another spelling of BlendShapeCount
exist.

Ours, where sources disagree: angles are radians in the sense of core/rotation.py (pitch
down, yaw to the person's own left), the head's those of the frame's crop; the eyes' are
0, since the coefficients eyeLook* say the same. A timecode HH:MM:SS:FF.fff counts
seconds and, within one, frames at the rate rounded to a whole number, to 1/1000 frame.
"""

import csv
import math
import re

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.data.arkit import ARKIT_NAMES, arkit_map, spelling_key
from personalized_face.export.files import replacing
from personalized_face.export.motion import (
  column_of_numbers,
  neutral_motion,
  possible,
  read_csv,
)
from personalized_face.face_model.files import Motion, mean_rate
from personalized_face.template.face_template import FaceTemplate

ANGLES = tuple(
  f"{part}{angle}"
  for part in ("Head", "LeftEye", "RightEye")
  for angle in ("Yaw", "Pitch", "Roll")
)
_SWAPPED = {
  "jawLeft": "jawRight",
  "jawRight": "jawLeft",
  "mouthLeft": "mouthRight",
  "mouthRight": "mouthLeft",
}
# ARKIT_NAMES as the columns of a file.
_IN_FILE = tuple(_SWAPPED.get(name, name) for name in ARKIT_NAMES)
VALUE_COLUMNS = tuple(name[0].upper() + name[1:] for name in _IN_FILE) + ANGLES  # 61
_TIMECODE = re.compile(r"(\d{1,4}):(\d\d):(\d\d)[:;](\d{1,6}(?:\.\d{1,18})?)")
_RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120)
_IPHONE_RATE = 60


def is_live_link(path: str) -> bool:
  """Whether a file's first words are those of such a CSV."""
  try:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
      return file.readline().lower().startswith("timecode,")
  except OSError:
    return False


def write_live_link_csv(path: str, motion: Motion, template: FaceTemplate) -> None:
  """Writes a motion, under its name only once it is complete.

  Args:
    path: of the CSV file.
    motion: F frames.
    template: whose coefficients they are.
  """
  mapping = arkit_map(template.blendshape_names)
  arkit = mapping.to_arkit(motion.tracking.expression)
  columns = dict(zip(ARKIT_NAMES, arkit.T, strict=True))
  pitch, yaw, roll = np.asarray(motion.tracking.rotation).T
  values = [*(columns[name] for name in _IN_FILE), yaw, pitch, roll]
  values += [np.zeros(len(motion.times))] * 6
  rate = max(round(motion.fps), 1)
  with replacing(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(["Timecode", "BlendShapeCount", *VALUE_COLUMNS])
      for time, row in zip(motion.times, np.stack(values, axis=1), strict=True):
        # 9 digits: what a float32 needs to come back as it was.
        numbers = [f"{value:.9g}" for value in row]
        writer.writerow([_timecode(time, rate), len(VALUE_COLUMNS), *numbers])


def read_live_link_csv(
  path: str, template: FaceTemplate, fps: float | None = None
) -> Motion:
  """Reads a recording as a motion of a template's face.

  Args:
    path: of the CSV file.
    template: whose coefficients are wanted.
    fps: of the recording, which the file does not say; None reads it from where the
      timecodes wrap, and where they do not takes 60, the rate of an iPhone.

  Returns:
    The first frame at time 0; the head stays in its place.

  Raises:
    UserError: missing, not such a file, or a damaged row.
  """
  header, rows = read_csv(path)
  index = {spelling_key(name): i for i, name in enumerate(header)}
  if "timecode" not in index:
    raise UserError(f"{path} is no Live Link Face CSV: it has no column Timecode.")
  missing = [n for n in VALUE_COLUMNS if spelling_key(n) not in index]
  shapes = {spelling_key(name) for name in ARKIT_NAMES}
  if not shapes & set(index):
    raise UserError(f"{path} has none of ARKit's 52 blendshapes, such as EyeBlinkLeft.")
  if missing:
    logging.warning("%s has no %s; they stay 0.", path, ", ".join(missing))

  def column(name: str) -> np.ndarray:
    i = index.get(spelling_key(name))
    if i is None:
      return np.zeros(len(rows))
    return column_of_numbers(path, name, [row[i] for row in rows])

  angles = [column(f"Head{name}") for name in ("Pitch", "Yaw", "Roll")]
  times = _times(path, [row[index["timecode"]] for row in rows], fps)
  with np.errstate(over="ignore", invalid="ignore"):  # not finite then, which is told
    arkit = np.stack([column(n) for n in ARKIT_NAMES], axis=1).astype(np.float32)
    expression = arkit_map(template.blendshape_names).from_arkit(arkit)
    rotation = np.stack(angles, axis=1).astype(np.float32)
  motion = neutral_motion(times, expression, mean_rate(times, fps or _IPHONE_RATE))
  tracking = motion.tracking._replace(rotation=rotation)
  return possible(path, motion._replace(tracking=tracking))


def _timecode(time: float, rate: int) -> str:
  """Seconds as HH:MM:SS:FF.fff."""
  thousandths = round(time * rate * 1000)
  seconds, rest = divmod(thousandths, rate * 1000)
  frame, fraction = divmod(rest, 1000)
  minutes, second = divmod(seconds, 60)
  hour, minute = divmod(minutes, 60)
  return f"{hour:02d}:{minute:02d}:{second:02d}:{frame:02d}.{fraction:03d}"


def _times(path: str, timecodes: list[str], fps: float | None) -> np.ndarray:
  """Seconds from the first frame, [F] float64, increasing."""
  whole, frames = [], []
  for row, text in enumerate(timecodes):
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
      raise UserError(
        f"{path} has the timecode {text!r} at frame {row}, not HH:MM:SS:FF.fff."
      )
    hours, minutes, seconds, frame = match.groups()
    whole.append(int(hours) * 3600 + int(minutes) * 60 + int(seconds))
    frames.append(float(frame))
  rate = round(fps) if fps else _rate_of(whole, frames)
  times = np.array(whole, np.float64) + np.array(frames) / rate
  times = np.where(times < times[0], times + 24 * 3600, times) - times[0]  # midnight
  if (np.diff(times) <= 0).any():
    row = int(np.argmax(np.diff(times) <= 0)) + 1
    raise UserError(
      f"{path} has timecodes that do not increase at {rate} frames a second, at frame "
      f"{row}; give the recording's rate with --fps."
    )
  return times


def _rate_of(whole: list[int], frames: list[float]) -> int:
  """Frames counted in a second; see `read_live_link_csv`."""
  counted = math.floor(max(frames)) + 1
  if whole[-1] - whole[0] < 1 and counted <= _IPHONE_RATE:
    return _IPHONE_RATE
  return next((rate for rate in _RATES if rate >= counted), counted)
