import os

import cv2
import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.data.video import (
  _sampled,
  frame_count,
  list_images,
  read_frames,
  read_image,
  write_video,
)


def _grey_levels(count: int, size=(64, 96)):
  """Frames whose grey level says which one they are."""
  return [np.full([*size, 3], 10 + 7 * i, np.uint8) for i in range(count)]


def _index(image: np.ndarray) -> int:
  return round((float(image.mean()) - 10) / 7)


@pytest.mark.parametrize("extension", [".mp4", ".webm"])
def test_write_then_read(tmp_path, extension):
  path = str(tmp_path / f"clip{extension}")
  write_video(path, iter(_grey_levels(20)), 25)
  frames = list(read_frames(path, None))
  assert [_index(f.image) for f in frames] == list(range(20))
  # Containers store times in milliseconds.
  np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 25, atol=1e-3)
  assert os.listdir(tmp_path) == [f"clip{extension}"]


def test_read_samples_by_time(tmp_path):
  path = str(tmp_path / "clip.mp4")
  write_video(path, _grey_levels(31), 30)
  assert [_index(f.image) for f in read_frames(path, 10)] == list(range(0, 31, 3))
  write_video(path, _grey_levels(26), 25)
  # At or after 0, .1, .2, ... seconds, in steps of .04.
  assert [_index(f.image) for f in read_frames(path, 10)] == [
    *(0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25)
  ]
  assert len(list(read_frames(path, 100))) == 26
  assert abs(frame_count(path, 10) - 11) <= 1


class FakeCapture:
  """An opened video whose frames lie at given times, in seconds."""

  def __init__(self, times, nominal=25.0):
    self.times, self.nominal, self.index = times, nominal, -1

  def grab(self):
    self.index += 1
    return self.index < len(self.times)

  def get(self, name):
    if name == cv2.CAP_PROP_FPS:
      return self.nominal
    return 1000 * self.times[self.index]

  def retrieve(self):
    return True, np.full([4, 4, 3], self.index, np.uint8)


def _sampled_indices(times, fps):
  frames = _sampled("fake.mp4", FakeCapture(times), fps)
  return [(int(f.image[0, 0, 0]), round(f.time, 3)) for f in frames]


def test_variable_frame_rate_keeps_its_times():
  """A gap is not made up for by a burst of frames after it; time starts at 0."""
  times = np.array([2.0, 2.04, 2.13, 3.51, 3.53, 3.55, 3.61])
  assert _sampled_indices(times, 10) == [(0, 0.0), (2, 0.13), (3, 1.51), (6, 1.61)]


def test_missing_timestamps_are_counted():
  assert _sampled_indices(np.zeros(6), 10) == [(0, 0.0), (3, 0.12), (5, 0.2)]


def test_colours_are_rgb(tmp_path):
  red = np.zeros([32, 32, 3], np.uint8)
  red[..., 0] = 255
  path = str(tmp_path / "red.mp4")
  write_video(path, [red] * 3, 10)
  image = next(iter(read_frames(path))).image
  # H.264 in yuv420p moves saturated colours by a few levels.
  np.testing.assert_allclose(image[8:-8, 8:-8].mean(axis=(0, 1)), [255, 0, 0], atol=8)


def test_odd_sizes_lose_a_line(tmp_path):
  path = str(tmp_path / "odd.mp4")
  write_video(path, [np.zeros([33, 47, 3], np.uint8)] * 2, 10)
  assert next(iter(read_frames(path))).image.shape == (32, 46, 3)


def test_write_leaves_nothing_behind_on_failure(tmp_path):
  def broken():
    yield np.zeros([32, 32, 3], np.uint8)
    raise RuntimeError("no more")

  with pytest.raises(RuntimeError, match="no more"):
    write_video(str(tmp_path / "clip.mp4"), broken(), 10)
  assert os.listdir(tmp_path) == []


def test_write_exception_raised(tmp_path):
  frame = np.zeros([32, 32, 3], np.uint8)
  with pytest.raises(ValueError, match="mp4"):
    write_video(str(tmp_path / "clip.gif"), [frame], 10)
  with pytest.raises(ValueError, match="no frames"):
    write_video(str(tmp_path / "clip.mp4"), [], 10)
  with pytest.raises(ValueError, match="in one video"):
    write_video(str(tmp_path / "clip.mp4"), [frame, frame[:16]], 10)
  with pytest.raises(UserError, match="folder"):
    write_video(str(tmp_path / "absent" / "clip.mp4"), [frame], 10)


def test_image_folder_in_natural_order(tmp_path):
  for i in (2, 10, 1):
    cv2.imwrite(str(tmp_path / f"frame{i}.png"), np.full([8, 8, 3], i, np.uint8))
  (tmp_path / "notes.txt").write_text("not an image")
  frames = list(read_frames(str(tmp_path), 10))
  assert [int(f.image[0, 0, 0]) for f in frames] == [1, 2, 10]
  np.testing.assert_allclose([f.time for f in frames], [0, 0.1, 0.2])
  assert len(list_images(str(tmp_path))) == frame_count(str(tmp_path)) == 3


def test_images_of_other_kinds_become_8_bit_rgb(tmp_path):
  grey16 = np.full([8, 12], 257 * 100, np.uint16)
  cv2.imwrite(str(tmp_path / "grey16.png"), grey16)
  image = read_image(str(tmp_path / "grey16.png"))
  assert image.shape == (8, 12, 3) and image.dtype == np.uint8
  assert (image == 100).all()
  frames = list(read_frames(str(tmp_path / "grey16.png")))
  assert len(frames) == 1 and frames[0].time == 0.0


def _bad_inputs(tmp_path):
  (tmp_path / "text.mp4").write_text("this is not a video " * 100)
  (tmp_path / "empty.mp4").write_bytes(b"")
  (tmp_path / "text.jpg").write_text("nor is this an image")
  (tmp_path / "empty.png").write_bytes(b"")
  (tmp_path / "folder.mp4").mkdir()
  whole = tmp_path / "whole.mp4"
  write_video(str(whole), _grey_levels(20), 10)
  (tmp_path / "head.mp4").write_bytes(whole.read_bytes()[:600])
  names = ["text.mp4", "empty.mp4", "text.jpg", "empty.png", "folder.mp4", "head.mp4"]
  return [*names, "missing.mp4"]


def test_every_bad_file_is_named(tmp_path):
  for name in _bad_inputs(tmp_path):
    with pytest.raises(UserError) as caught:
      list(read_frames(str(tmp_path / name)))
    message = str(caught.value)
    assert name in message
    assert message.endswith(".") and "\n" not in message and ". " not in message


def test_read_frames_exception_raised(tmp_path):
  with pytest.raises(ValueError, match="positive"):
    list(read_frames(str(tmp_path), 0))
