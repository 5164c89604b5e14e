"""A motion on its way to the disk."""

import os

import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.export import motion_stream
from personalized_face.export.motion_files import read_motion
from personalized_face.export.motion_stream import MotionStream

TIMES = (0.0, 0.04, 0.125)
BOX = (1.5, 2.0, 31.5, 32.0)


def trackings(system):
  rng = np.random.default_rng(0)
  count = system.template.num_blendshapes
  shapes = [(1, count), (1, 3), (1, 3), (1, 9, 3)]
  return [Tracking(*(np.float32(rng.normal(size=s)) for s in shapes)) for _ in TIMES]


def fill(stream, system):
  for time, tracking in zip(TIMES, trackings(system), strict=True):
    stream.add(time, tracking, BOX, (48, 64))


def check(motion, system):
  np.testing.assert_array_equal(motion.times, TIMES)
  np.testing.assert_array_equal(motion.boxes, [BOX] * len(TIMES))
  expected = zip(*trackings(system), strict=True)
  for value, parts in zip(motion.tracking, expected, strict=True):
    np.testing.assert_array_equal(value, np.concatenate(parts))
  assert motion.frame_size == (48, 64)


@pytest.mark.parametrize("ending", ["npz", "json", "csv"])
def test_close_leaves_the_motion_alone(system, tmp_path, ending):
  path = str(tmp_path / "new" / f"take.{ending}")
  stream = MotionStream(path, system.template, 30.0)
  fill(stream, system)
  assert os.listdir(tmp_path / "new") == ["take.partial.csv"]
  motion = stream.close()
  assert os.listdir(tmp_path / "new") == [f"take.{ending}"]
  check(motion, system)
  check(read_motion(path, system.template), system)
  assert motion.fps == pytest.approx(2 / 0.125)


@pytest.mark.parametrize("joined", [1, 2, 3])
def test_frames_that_are_joined_on_the_way_are_all_there(system, joined, monkeypatch):
  monkeypatch.setattr(motion_stream, "_JOINED", joined)
  stream = MotionStream(None, system.template, 30.0)
  fill(stream, system)
  assert len(stream) == 3 and len(stream._parts) == {1: 3, 2: 2, 3: 1}[joined]
  check(stream.close(), system)


def test_what_a_kill_leaves_is_a_motion(system, tmp_path):
  """Whole after every frame, without a close or a flush; bit for bit what went in."""
  stream = MotionStream(str(tmp_path / "take.npz"), system.template, 30.0)
  for i, tracking in enumerate(trackings(system)):
    stream.add(TIMES[i], tracking, BOX, (48, 64))
    found = read_motion(stream.partial, system.template)
    np.testing.assert_array_equal(found.times, TIMES[: i + 1])
  check(found, system)
  assert found.fps == 30.0
  with open(stream.partial) as file:
    assert [line.split(",")[0] for line in file] == ["frame", "0", "1", "2"]


def test_an_earlier_session_is_not_overwritten(system, tmp_path):
  path = str(tmp_path / "take.npz")
  fill(MotionStream(path, system.template, 30.0), system)
  with pytest.raises(UserError, match="take.partial.csv holds what was tracked"):
    MotionStream(path, system.template, 30.0)


def test_without_a_path_it_stays_in_memory(system):
  stream = MotionStream(None, system.template, 30.0)
  assert stream.close() is None
  fill(stream, system)
  assert len(stream) == 3 and stream.partial is None
  check(stream.close(), system)


def test_motion_stream_exception_raised(system, tmp_path):
  with pytest.raises(UserError, match="not .*take.txt"):
    MotionStream(str(tmp_path / "take.txt"), system.template, 30.0)
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match="file cannot be made"):
    MotionStream(str(tmp_path / "file" / "take.npz"), system.template, 30.0)
