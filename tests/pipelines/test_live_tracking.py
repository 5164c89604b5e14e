"""Tracking as it comes, on the toy clip: what is kept, dropped, lost and cut off."""

import itertools
import os
import signal
import time

import numpy as np
import pytest
from data.test_live import Camera
from toy_clip import (
  FPS,
  HEIGHT,
  WIDTH,
  SquareTrackingSystem,
  StubDetector,
  picture,
  straight_path,
  toy_person,
  toy_system,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.live import Every, Newest, at_own_rate, open_source
from personalized_face.data.video import Frame, read_frames
from personalized_face.export.motion_files import read_motion
from personalized_face.inference.reconstruct import track_source
from personalized_face.inference.smoothing import smooth_tracking
from personalized_face.pipelines.live_tracking import track_live


@pytest.fixture(scope="module")
def system():
  return toy_system(system_class=SquareTrackingSystem)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp("clip") / "clip.mp4"
  write_clip(path, straight_path(10))
  return str(path)


def frames(centres):
  for i, centre in enumerate(centres):
    yield Frame(i / FPS, picture(centre), i)


def same(motion, expected):
  np.testing.assert_array_equal(motion.times, expected.times)
  np.testing.assert_array_equal(motion.boxes, expected.boxes)
  for value, reference in zip(motion.tracking, expected.tracking, strict=True):
    np.testing.assert_array_equal(value, reference)
  assert motion.frame_size == expected.frame_size
  assert motion.fps == pytest.approx(expected.fps)


@pytest.mark.parametrize("ending", ["npz", "json", "csv"])
def test_a_file_gives_the_motion_of_reconstruct(system, clip, tmp_path, ending):
  path = str(tmp_path / f"motion.{ending}")
  source, rate = open_source(clip)
  motion, counts = track_live(system, source, StubDetector(), path, rate=rate)
  expected = track_source(system, [clip], StubDetector()).motion
  same(motion, expected)
  same(read_motion(path, system.template), expected)
  assert counts[:3] == (10, 10, 0) and counts.dropped == 0
  assert str(counts).startswith("10 frames read: 10 tracked, 0 dropped, 0 without")
  assert os.listdir(tmp_path) == [f"motion.{ending}"]


def test_a_camera_that_is_quicker_than_the_tracker_drops_frames(system):
  """While a frame is looked at four more come; of these the newest is next."""
  camera = Camera(list(frames([(60, 50)] * 13)))
  source = Newest(camera)

  def slow_track(crops):
    if source.num_read:  # not while it warms up
      camera.shoot(min(4, 13 - source.num_read), source)
    tracking = system.track(crops.astype(np.float32) / 255)
    return Tracking(*(value.numpy() for value in tracking))

  camera.shoot(1)
  motion, counts = track_live(system, source, StubDetector(), track=slow_track)
  np.testing.assert_allclose(motion.times * FPS, [0, 4, 8, 12])
  assert counts[:3] == (13, 4, 0) and counts.dropped == 9


def test_a_lost_face_is_counted_and_found_again(system, tmp_path):
  centres = [None] + [(60, 50)] * 3 + [None] * 3 + [(62, 50)] * 2
  path = str(tmp_path / "motion.npz")
  motion, counts = track_live(system, Every(frames(centres)), StubDetector(), path)
  assert counts[:3] == (9, 5, 4) and counts.dropped == 0
  np.testing.assert_allclose(motion.times * FPS, [1, 2, 3, 7, 8])
  assert all(np.isfinite(value).all() for value in motion.tracking)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_tracked(system, tmp_path, number):
  def stopped():
    for frame in frames(straight_path(10)):
      if frame.number == 6:
        os.kill(os.getpid(), number)
      yield frame

  before = signal.getsignal(number)
  path, overlay = (str(tmp_path / name) for name in ("motion.csv", "overlay.mp4"))
  motion, counts = track_live(
    system, Every(stopped()), StubDetector(), path, overlay=overlay, rate=FPS
  )
  assert len(motion.times) == counts.tracked == 6
  same(read_motion(path, system.template), motion)
  assert len(list(read_frames(overlay, None))) == 6
  assert sorted(os.listdir(tmp_path)) == ["motion.csv", "overlay.mp4"]
  assert signal.getsignal(number) == before


def test_a_crash_leaves_the_frames_before_it(system, tmp_path):
  def broken():
    yield from frames(straight_path(5))
    raise RuntimeError("unplugged")

  path = str(tmp_path / "motion.npz")
  with pytest.raises(RuntimeError, match="unplugged"):
    track_live(system, Every(broken()), StubDetector(), path)
  assert os.listdir(tmp_path) == ["motion.partial.csv"]
  motion = read_motion(str(tmp_path / "motion.partial.csv"), system.template)
  expected, _ = track_live(system, Every(frames(straight_path(5))), StubDetector())
  np.testing.assert_array_equal(motion.boxes, expected.boxes)
  np.testing.assert_array_equal(
    motion.tracking.translation, expected.tracking.translation
  )


def test_overlay_keeps_the_time_where_frames_are_missing(system, tmp_path):
  """2 of 6 frames are missing: the one before stays as long."""
  given = [f for f in frames(straight_path(6)) if f.number not in (2, 3)]
  overlay = str(tmp_path / "overlay.mp4")
  person = toy_person(system)
  track_live(
    system,
    Every(iter(given)),
    StubDetector(),
    person=person,
    overlay=overlay,
    rate=FPS,
  )
  shown = [frame.image.astype(int) for frame in read_frames(overlay, None)]
  assert len(shown) == 6 and shown[0].shape == (HEIGHT, WIDTH, 3)
  # A repeated picture is the same but for H.264's noise; 40 is above it.
  changed = [np.abs(b - a).max() > 40 for a, b in zip(shown, shown[1:], strict=False)]
  assert changed == [True, False, False, True, True]
  drawn = np.abs(shown[1] - picture(straight_path(2)[1])).max(-1) > 40
  assert drawn.sum() > 100, "a face is there"


def test_a_driven_face_stands_beside_the_frames(system, tmp_path):
  """Frames as they are; the driven face waits while the driver is lost."""
  seen = []

  def driven(tracking):
    seen.append(tracking)
    return np.full([8, 8, 3], 60 * len(seen), np.uint8)

  centres = [None, (60, 50), (60, 50), None, (62, 50)]
  overlay = str(tmp_path / "driven.mp4")
  motion, _ = track_live(
    system,
    Every(frames(centres)),
    StubDetector(),
    overlay=overlay,
    rate=FPS,
    driven=driven,
  )
  shown = [frame.image.astype(int) for frame in read_frames(overlay, None)]
  assert [image.shape for image in shown] == [(HEIGHT, WIDTH + HEIGHT, 3)] * 5
  # 12 of 255 is above H.264's noise, and below the steps of 60.
  for image, centre, level in zip(shown, centres, [89, 60, 120, 120, 180], strict=True):
    assert np.abs(image[:, :WIDTH] - picture(centre)).mean() < 12
    assert np.abs(image[:, WIDTH + 2 :] - level).max() < 12
  for i, tracking in enumerate(seen):
    np.testing.assert_array_equal(tracking.rotation[0], motion.tracking.rotation[i])
  assert len(seen) == len(motion.times) == 3


def test_smoothing_is_the_clip_filter_looking_backwards(system):
  rng = np.random.default_rng(0)
  centres = np.array([60, 50]) + rng.integers(-1, 2, [12, 2])
  raw, _ = track_live(system, Every(frames(centres)), StubDetector())
  steady, _ = track_live(system, Every(frames(centres)), StubDetector(), smoothing=0.5)
  expected = smooth_tracking(
    raw.tracking, raw.boxes, raw.times, 0.5, system.camera, both_ways=False
  )
  np.testing.assert_array_equal(steady.boxes, raw.boxes)
  # Boxes are kept in float32: 1e-5 pixels of some 100, of which 10 are a decimetre.
  np.testing.assert_allclose(
    steady.tracking.translation, expected.translation, atol=1e-5
  )
  assert np.abs(steady.tracking.translation - raw.tracking.translation).max() > 1e-3


def test_closing_the_window_ends_it(system):
  class FakeWindow:
    shown = 0

    def show(self, image):
      assert image.shape == (HEIGHT, WIDTH, 3)
      self.shown += 1
      return self.shown < 3

  window = FakeWindow()
  source = Every(frames(straight_path(10)))
  _, counts = track_live(system, source, StubDetector(), window=window)
  assert window.shown == counts.tracked == counts.read == 3


def test_a_clock_that_is_set_back_changes_nothing(system, monkeypatch):
  expected, _ = track_live(system, Every(frames(straight_path(10))), StubDetector())
  looks = itertools.count(1e9, -3600)
  monkeypatch.setattr(time, "time", lambda: float(next(looks)))
  source = Every(at_own_rate(frames(straight_path(10))))
  motion, counts = track_live(system, source, StubDetector())
  same(motion, expected)
  # Nine intervals of the clip's, by a clock that runs forward.
  assert 9 / FPS <= counts.seconds < 60 and counts.frames_per_second > 0


def test_track_live_exception_raised(system, tmp_path):
  path = str(tmp_path / "motion.npz")
  with pytest.raises(UserError, match="No face was found in any of the 3 frames"):
    track_live(system, Every(frames([None] * 3)), StubDetector(), path)
  assert os.listdir(tmp_path) == []
  with pytest.raises(UserError, match="written as .mp4 or .webm, not .*x.gif"):
    track_live(
      system, Every(frames([])), StubDetector(), overlay=str(tmp_path / "x.gif")
    )


def test_frames_per_second_counts_what_was_looked_at(system):
  def slow():
    for frame in frames(straight_path(4)):
      time.sleep(0.02 if frame.number else 0)
      yield frame

  _, counts = track_live(system, Every(slow()), StubDetector())
  assert counts.seconds >= 0.06  # three waits; the first frame starts the clock
  assert counts.frames_per_second == pytest.approx(4 / counts.seconds)
