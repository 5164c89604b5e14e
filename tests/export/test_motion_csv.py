import csv
import os

import numpy as np
import pytest

from personalized_face.core.types import Tracking
from personalized_face.export.motion import motion_columns, write_motion_csv
from personalized_face.face_model.files import Motion

_NAMES = ("jawOpen", "smile_L")


def _motion(count: int = 3) -> Motion:
  rng = np.random.default_rng(0)
  tracking = Tracking(
    *(
      rng.normal(size=[count, *s]).astype(np.float32)
      for s in [(2,), (3,), (3,), (9, 3)]
    )
  )
  boxes = rng.uniform(0, 200, [count, 4]).astype(np.float32)
  return Motion(np.arange(count) / 30, tracking, boxes, (480, 640), 30.0)


def test_write_motion_csv_names_every_number(tmp_path):
  motion = _motion()
  write_motion_csv(str(tmp_path / "motion.csv"), motion, _NAMES)
  with open(tmp_path / "motion.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert list(rows[0]) == motion_columns(_NAMES)
  assert [int(row["frame"]) for row in rows] == [0, 1, 2]
  tracking = motion.tracking
  expected = {
    "time_s": motion.times,
    "jawOpen": tracking.expression[:, 0],
    "smile_L": tracking.expression[:, 1],
    "pitch_rad": tracking.rotation[:, 0],
    "roll_rad": tracking.rotation[:, 2],
    "tz_dm": tracking.translation[:, 2],
    "light_0_g": tracking.light[:, 0, 1],
    "light_8_b": tracking.light[:, 8, 2],
    "box_left_px": motion.boxes[:, 0],
    "box_bottom_px": motion.boxes[:, 3],
    "fps": [30.0] * 3,
    "frame_width_px": [640] * 3,
  }
  for name, values in expected.items():
    # 9 significant digits are written.
    np.testing.assert_allclose([float(r[name]) for r in rows], values, rtol=1e-6)
  assert os.listdir(tmp_path) == ["motion.csv"]


def test_write_motion_csv_exception_raised_on_other_names(tmp_path):
  with pytest.raises(ValueError, match="3 names"):
    write_motion_csv(str(tmp_path / "m.csv"), _motion(), (*_NAMES, "puff"))
  assert os.listdir(tmp_path) == []
