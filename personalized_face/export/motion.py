"""A tracked motion as a table: one row a frame, one named column a number.

For spreadsheets and scripts; the program itself reads `motion.npz`. A column's unit is
the end of its name: `time_s`, `pitch_rad`, `tx_dm`, `box_left_px`. Blendshape
coefficients (0 to 1) carry the template's names without a unit; the light's 27
spherical-harmonics coefficients are `light_<0..8>_<r|g|b>`, in the order of
core/spherical_harmonics.py.

Pose and light are in the camera space of the frame's *crop*: the box, made square and
scaled to the crop size, seen by the crop camera (DESIGN section 3).
"""

import csv

import numpy as np

from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS
from personalized_face.export.files import replacing
from personalized_face.face_model.files import Motion


def motion_columns(blendshape_names: tuple[str, ...]) -> list[str]:
  """The names of the columns, in the order of the file."""
  light = [f"light_{b}_{c}" for b in range(NUM_LIGHT_COEFFICIENTS) for c in "rgb"]
  return [
    *("frame", "time_s"),
    *blendshape_names,
    *("pitch_rad", "yaw_rad", "roll_rad", "tx_dm", "ty_dm", "tz_dm"),
    *light,
    *("box_left_px", "box_top_px", "box_right_px", "box_bottom_px"),
  ]


def write_motion_csv(
  path: str, motion: Motion, blendshape_names: tuple[str, ...]
) -> None:
  """Writes the table, under its name only once it is complete.

  Args:
    path: of the CSV file.
    motion: F frames.
    blendshape_names: K names, in the order of the coefficients.

  Raises:
    ValueError: the number of names is not that of the coefficients.
  """
  tracking = motion.tracking
  count = len(motion.times)
  if np.shape(tracking.expression) != (count, len(blendshape_names)):
    raise ValueError(
      f"{len(blendshape_names)} names for coefficients {np.shape(tracking.expression)}"
    )
  numbers = np.concatenate(
    [
      np.reshape(motion.times, [count, 1]),
      *(np.reshape(part, [count, -1]) for part in tracking),
      np.reshape(motion.boxes, [count, 4]),
    ],
    axis=1,
  )
  with replacing(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(motion_columns(blendshape_names))
      for index, row in enumerate(numbers):
        # 7 digits: all that a float32 holds.
        writer.writerow([index, *(f"{number:.7g}" for number in row)])
