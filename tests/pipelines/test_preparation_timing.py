"""The preparation's benchmark: looped clips, real runs of a moment, tables."""

import os

import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.data.gates import GATES
from personalized_face.data.video import read_frames, write_video
from personalized_face.pipelines import preparation_timing


def _report(**values):
  """A report of one clip of 50 source frames, in half a second of processor time."""
  clip = {"clip": "ann", "read": 20, "train": 10, "test": 2, "cpu_seconds": 0.5}
  run = {
    "seconds": 2.0,
    "cpu_seconds": 0.5,
    "source_frames": 50,
    "source_frames_per_cpu_second": 100.0,
    "cpu_seconds_by_stage": {"decode": 0.1, "landmarks": 0.3},
  }
  report = {
    "workers": 1,
    "run": run,
    "peak_memory_mib": {"process": 100.0, "largest_worker": 300.0},
    "gates": {**dict.fromkeys(GATES, 0), "thinned": 8},
    "splits": {"train": {"frames": 10}, "test": {"frames": 2}},
    "clips": [{**dict.fromkeys(GATES, 0), **clip, "thinned": 8, "source_frames": 50}],
  }
  return {**report, **values}


def test_tables_of_speed():
  twice = _report(workers=2)
  twice["run"] = {**twice["run"], "seconds": 1.25}
  text = preparation_timing.speed_tables([_report(), twice])
  assert "| clip | source frames | taken | thinned | kept | per CPU second |" in text
  assert "| ann | 50 | 20 | 8 | 12 | 100 |" in text
  assert "| 2 | 1.2 | 0.5 | 40.0 | 100.0 | 1.60 | 100.0 | 300.0 |" in text
  assert "| landmarks | 0.3 | 60.0 | 6.00 |" in text
  assert "| other | 0.1 | 20.0 | 2.00 |" in text


def test_table_of_memory():
  short, long = _report(minutes=1.0), _report(minutes=30.0)
  long["peak_memory_mib"] = {"process": 105.0, "largest_worker": 0.0}
  text = preparation_timing.memory_table([short, long])
  assert text.splitlines()[-1] == "| 30.0 | 50 | 12 | 2.0 | 105.0 | 1.050 |"


def test_a_looped_clip(tmp_path):
  """One second, eleven times over and a half: its frames come round in order."""
  frames = [np.full([32, 32, 3], 20 * i, np.uint8) for i in range(10)]
  clip, looped = str(tmp_path / "clip.mp4"), str(tmp_path / "looped.mp4")
  write_video(clip, frames, 10)
  preparation_timing.loop_clip(clip, looped, 11.5)
  found = [frame.image[16, 16, 0] for frame in read_frames(looped, None)]
  # Where a stream is cut is up to the order of its packets: a few frames more or less.
  assert abs(len(found) - 115) <= 4
  # H.264 at quality 18 keeps flat greys within a few levels.
  for i, grey in enumerate(found[:110]):
    assert abs(int(grey) - 20 * (i % 10)) < 8


def test_inputs_exception_raised(tmp_path):
  (tmp_path / "notes.txt").write_text("")
  with pytest.raises(UserError, match="There is no video"):
    preparation_timing.measure_speed([str(tmp_path)])
  with pytest.raises(UserError, match="There is no video .*absent.mp4"):
    preparation_timing.measure_speed([str(tmp_path / "absent.mp4")])
  for name in ("a.mp4", "b.mp4"):
    (tmp_path / name).write_text("no")
  with pytest.raises(UserError, match="not 2; give one"):
    preparation_timing.measure_memory([str(tmp_path)], [1.0])
  with pytest.raises(UserError, match="a.mp4 cannot be looped"):
    preparation_timing.measure_memory([str(tmp_path / "a.mp4")], [1.0])


def test_a_real_run(shared_data):
  """Two copies of a clip of 2.5 s, and the report of their preparation."""
  clip = os.path.join(shared_data, "videos", "dev", "mead_M003_happy1.mp4")
  (report,) = preparation_timing.measure_speed([clip], copies=2)
  # The last frame that is taken at 10 fps may be up to two before the last of 63.
  assert 2 * 60 < report["run"]["source_frames"] <= 2 * 63
  assert len(report["clips"]) == 2 and report["workers"] == 1
  assert "0_mead_M003_happy1" in preparation_timing.speed_tables([report])
