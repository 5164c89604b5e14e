"""Sources that come at their own rate. No test waits for a clock."""

import threading
import time

import cv2
import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.data import live
from personalized_face.data.live import Every, Newest, at_own_rate, open_source, until
from personalized_face.data.video import Frame, write_video

PATIENCE = 20.0  # seconds until a thread that hangs fails the test


def frames(count):
  return [Frame(i / 10, np.full([2, 2, 3], i, np.uint8), i) for i in range(count)]


class Camera:
  """Gives so many of its frames as were asked for, at once."""

  def __init__(self, given):
    self._frames, self._allowed = given, threading.Semaphore(0)
    self.closed = False

  def shoot(self, count, source=None):
    """Lets frames out; with a source, waits until it has read them."""
    wanted = None if source is None else source.num_read + count
    for _ in range(count):
      self._allowed.release()
    deadline = time.monotonic() + PATIENCE
    while wanted is not None and source.num_read < wanted:
      assert time.monotonic() < deadline
      time.sleep(1e-3)

  def __iter__(self):
    for frame in self._frames:
      assert self._allowed.acquire(timeout=PATIENCE)
      yield frame

  def close(self):
    self.closed = True


def test_newest_drops_what_nobody_took_in_time():
  camera = Camera(frames(10))
  source = Newest(camera)
  taken = iter(source)
  camera.shoot(1)
  assert next(taken).number == 0
  camera.shoot(4, source)
  assert next(taken).number == 4, "1 to 3 are old by now"
  camera.shoot(1)
  assert next(taken).number == 5
  camera.shoot(4, source)
  assert [frame.number for frame in taken] == [9], "the last one is not lost"
  assert source.num_read == 10 and camera.closed


def test_newest_loses_nothing_where_the_taker_is_quicker():
  camera = Camera(frames(5))
  taken = iter(Newest(camera))
  numbers = []
  for _ in range(5):
    camera.shoot(1)
    numbers.append(next(taken).number)
  assert numbers == [0, 1, 2, 3, 4] and next(taken, None) is None


def test_newest_close_ends_a_wait():
  source = Newest(Camera(frames(1)))  # never lets a frame out
  timer = threading.Timer(0.05, source.close)
  timer.start()
  # The reader hangs in the camera; a second is what leaving it behind may take.
  started = time.monotonic()
  assert list(source) == []
  assert time.monotonic() - started < PATIENCE / 4


def test_newest_passes_on_what_the_source_raises():
  def broken():
    yield frames(1)[0]
    raise UserError("The cable is out.")

  source = Newest(broken())
  numbers = []
  with pytest.raises(UserError, match="cable"):
    for frame in source:
      numbers.append(frame.number)
  assert numbers == [0]


def test_every_hands_on_each_frame_until_it_is_closed():
  source, numbers = Every(frames(5)), []
  for frame in source:
    numbers.append(frame.number)
    time.sleep(1e-3)
    if frame.number == 3:
      source.close()
  assert numbers == [0, 1, 2, 3] and source.num_read == 4


def test_at_own_rate_waits_for_each_frame_and_never_for_a_late_one():
  now, slept = [100.0], []

  def sleep(seconds):
    slept.append(seconds)
    now[0] += seconds

  for frame in at_own_rate(frames(5), lambda: now[0], sleep):
    if frame.number == 1:
      now[0] += 0.25  # busy until after frame 3 is due
  np.testing.assert_allclose(slept, [0.1, 0.05])  # for 1, and for 4


def test_until_ends_before_a_time():
  assert [frame.number for frame in until(frames(5), 0.3)] == [0, 1, 2]


class FakeCapture:
  """A camera of three pictures, whose red comes last."""

  left = 3
  released = False

  def __init__(self, index):
    assert index == 7

  def read(self):
    type(self).left -= 1
    return self.left >= 0, np.array([[[1, 2, 3]]], np.uint8)

  def release(self):
    type(self).released = True


def test_camera_frames_are_rgb_and_timed_from_the_first(monkeypatch):
  monkeypatch.setattr(FakeCapture, "left", 3)
  monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
  monkeypatch.setattr(time, "monotonic", iter([5.0, 5.5, 6.25]).__next__)
  got = list(live.read_camera(7))
  assert [(f.time, f.number) for f in got] == [(0.0, 0), (0.5, 1), (1.25, 2)]
  assert got[0].image.tolist() == [[[3, 2, 1]]] and FakeCapture.released


def test_camera_exception_raised_without_a_picture(monkeypatch):
  monkeypatch.setattr(FakeCapture, "left", 0)
  monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
  with pytest.raises(UserError, match="camera 7 gives no picture"):
    list(live.read_camera(7))


def test_open_source_takes_a_number_for_a_camera(tmp_path):
  path = str(tmp_path / "clip.mp4")
  write_video(path, [np.zeros([32, 32, 3], np.uint8)] * 4, 20)
  source, rate = open_source(path, max_seconds=0.1)
  assert isinstance(source, Every) and rate == pytest.approx(20)
  assert len(list(source)) == 2
  assert isinstance(open_source(path, realtime=True)[0], Newest)
  camera, rate = open_source("0")
  assert isinstance(camera, Newest) and rate == 30
  with pytest.raises(UserError, match="no video absent.mp4"):
    open_source("absent.mp4")
