"""Frames in and out: videos, folders of images and single images.

First in the data flow: path -> (time in seconds, RGB uint8 [H, W, 3]) ...
Videos are sampled by their timestamps, so a variable frame rate keeps its timing;
OpenCV turns the picture as the file's rotation metadata says. Writing goes through the
ffmpeg of `imageio-ffmpeg`: OpenCV's own `mp4v` does not play in browsers.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError

# FFmpeg's own messages say nothing that the errors of this file do not (-8 is quiet).
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# A file of 100 bytes may say that it is a picture of any size: more than 268 megapixels
# (0.8 GB; the largest of telephones has 200) are not read.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))

import cv2

_PNG = b"\x89PNG\r\n\x1a\n"
_LOG_ERRORS = 2  # OpenCV's LOG_LEVEL_ERROR: no warnings on files that do not open
cv2.setLogLevel(_LOG_ERRORS)

VIDEO_EXTENSIONS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# Codec and the options that keep the file small and playable in a browser.
_CODECS = {
  ".mp4": ("libx264", ["-crf", "18", "-preset", "fast", "-movflags", "+faststart"]),
  ".webm": ("libvpx-vp9", ["-crf", "28", "-b:v", "0", "-cpu-used", "4"]),
}
_FORMATS = {".mp4": "mp4", ".webm": "webm"}


class Frame(NamedTuple):
  """One picture of a clip."""

  time: float  # seconds from the first frame
  image: np.ndarray  # [H, W, 3] uint8 RGB
  number: int = 0  # of the frame in the file (of the image in the folder), from 0


def read_frames(
  path: str,
  fps: float | None = 10.0,
  files: Sequence[str] = (),
  unreadable: list[str] | None = None,
) -> Iterator[Frame]:
  """Reads a video, a folder of images or an image, one frame at a time.

  Args:
    path: of the file or folder. The images of a folder are taken in natural order
      (2 before 10), each once, and timed 1 / fps apart.
    fps: at most so many frames per second of a video, on a fixed grid (Section 4 of
      the paper: 10 fps): of the frames at or after each multiple of 1 / fps the first.
      None takes every frame.
    files: the images to read instead of all that are in the folder `path`.
    unreadable: gets a sentence for each image of several that cannot be read; with
      None the first such image ends the reading.

  Yields:
    Frames in order.

  Raises:
    UserError: nothing there, not readable, or not one frame in it.
  """
  if fps is not None and not fps > 0:
    raise ValueError(f"fps must be positive, not {fps}")
  if files:
    yield from _image_frames(files, fps or 10.0, unreadable)
  elif not os.path.exists(path):
    raise UserError(f"There is no file or folder {path}; check the path.")
  elif os.path.isdir(path):
    paths = list_images(path)
    if not paths:
      raise UserError(f"The folder {path} has no images in it; give one that has.")
    yield from _image_frames(paths, fps or 10.0, unreadable)
  elif path.lower().endswith(IMAGE_EXTENSIONS):
    yield Frame(0.0, read_image(path))
  else:
    yield from _video_frames(path, fps)


def read_image(path: str) -> np.ndarray:
  """Reads an image as [H, W, 3] uint8 RGB, turned as its EXIF orientation says.

  Raises:
    UserError: missing or not a readable image.
  """
  image = decode_picture(file_bytes(path), cv2.IMREAD_COLOR)
  if image is None:
    raise UserError(f"{path} is not a readable image; give a JPEG or PNG file.")
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_picture(data: np.ndarray, flags: int) -> np.ndarray | None:
  """An encoded picture as OpenCV's `flags` say; None where it cannot be decoded.

  Args:
    data: [size] uint8, at least one.
    flags: of cv2.imdecode.
  """
  if _overstates(data.tobytes()):
    return None
  try:
    return cv2.imdecode(data, flags)
  except cv2.error:  # too large, or cannot be turned as its EXIF says
    return None


def _overstates(data: bytes) -> bool:
  """Whether a chunk of a PNG says that it ends beyond the file.

  OpenCV 4.11 makes room for it first: 1,374 bytes took 3.6 GB and 17 s.
  """
  start = len(_PNG)
  while data.startswith(_PNG) and start < len(data):
    # Length, kind, the data and their checksum.
    start += 12 + int.from_bytes(data[start : start + 4], "big")
  return start > len(data) > len(_PNG) and data.startswith(_PNG)


def _require_file(path: str) -> None:
  """Raises UserError for a pipe or a device, which could be waited for for ever."""
  if os.path.exists(path) and not os.path.isfile(path):
    raise UserError(f"{path} is not a file; give one that can be read twice.")


def file_bytes(path: str) -> np.ndarray:
  """The bytes of a file, [size] uint8; at least one, so that OpenCV accepts them.

  Raises:
    UserError: missing, or not a file.
  """
  _require_file(path)
  try:
    with open(path, "rb") as file:
      return np.frombuffer(file.read() or b"\0", np.uint8)
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error


def natural_order(name: str) -> list:
  """A key to sort by: 2 before 10."""
  # [0-9], not \d: str.isdigit and int() do not agree on the digits of other scripts.
  pieces = re.split(r"([0-9]+)", name.lower())
  return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def list_images(folder: str) -> list[str]:
  """Paths of the images directly in a folder, in natural order."""
  names = [n for n in os.listdir(folder) if n.lower().endswith(IMAGE_EXTENSIONS)]
  return [os.path.join(folder, name) for name in sorted(names, key=natural_order)]


def _image_frames(
  paths: Sequence[str], fps: float, unreadable: list[str] | None
) -> Iterator[Frame]:
  for i, path in enumerate(paths):
    try:
      image = read_image(path)
    except UserError as error:
      if unreadable is None or len(paths) == 1:
        raise
      unreadable.append(str(error))
      continue
    yield Frame(i / fps, image, i)


def _video_frames(path: str, fps: float | None) -> Iterator[Frame]:
  _require_file(path)
  try:
    with open(path, "rb") as file:
      empty = not file.read(1)
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  if empty:
    raise UserError(f"{path} is empty (0 bytes); copy or record it again.")
  capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  try:
    yield from _sampled(path, capture, fps)
  finally:
    capture.release()


def _sampled(
  path: str, capture: cv2.VideoCapture, fps: float | None
) -> Iterator[Frame]:
  """The frames of an opened video on the grid of 1 / fps."""
  nominal = capture.get(cv2.CAP_PROP_FPS)
  nominal = nominal if 0 < nominal < 1000 else 25.0
  next_slot, count, start, previous = 0, 0, 0.0, -1.0
  for index in _grabbed(capture):
    time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    start = time if index == 0 else start
    time -= start
    if index and time <= previous:
      # Some files carry no usable timestamps: count frames instead.
      time = previous + 1 / nominal
    previous = time
    # 1 ms of slack: timestamps are rounded, and 0.0999 is the frame at 0.1.
    if fps is not None and time + 1e-3 < next_slot / fps:
      continue
    ok, image = capture.retrieve()
    if not ok or image is None:
      continue
    if fps is not None:
      next_slot = int((time + 1e-3) * fps) + 1
    count += 1
    yield Frame(time, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index)
  if not count:
    raise UserError(
      f"{path} is not a readable video (not one frame can be decoded); give a video "
      "that plays, such as an H.264 .mp4."
    )


def _grabbed(capture: cv2.VideoCapture) -> Iterator[int]:
  """Advances frame by frame, decoding pixels only when `retrieve` asks."""
  index = 0
  while capture.grab():
    yield index
    index += 1


def frame_count(path: str, fps: float | None = 10.0) -> int | None:
  """About how many frames `read_frames` will yield; None if the file does not say."""
  if os.path.isdir(path):
    return len(list_images(path))
  if path.lower().endswith(IMAGE_EXTENSIONS):
    return 1
  capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  count, nominal = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
  capture.release()
  if not count > 0 or not nominal > 0:
    return None
  return int(count if fps is None else max(1, count * min(1.0, fps / nominal)))


def write_video(path: str, frames: Iterable[np.ndarray], fps: float) -> None:
  """Writes an H.264 `.mp4` or VP9 `.webm` that plays in a browser.

  Odd sides lose their last row or column: yuv420p needs even ones. The file appears
  under its name only once it is complete.

  Args:
    path: ending in .mp4 or .webm.
    frames: [H, W, 3] uint8 RGB each, all of one size, at least one.
    fps: frames per second.

  Raises:
    ValueError: another extension, no frames, or frames of several sizes.
    UserError: the folder is missing or cannot be written to, or the disk is full.
  """
  with VideoWriter(path, fps) as writer:
    for frame in frames:
      writer.write(frame)
    if not writer.num_frames:
      raise ValueError(f"no frames to write to {path}")


class VideoWriter:
  """`write_video` for frames that come one by one; a context manager.

  An error inside of it leaves no file, and neither does a video without a frame.

  Attributes:
    num_frames: written so far.
  """

  def __init__(self, path: str, fps: float):
    """Checks where it goes, and writes nothing yet; see `write_video`."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in _CODECS:
      raise ValueError(f"a video is written as .mp4 or .webm, not {path}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
      raise UserError(f"{path} cannot be written: check that its folder exists.")
    self._path, self._fps, self._extension = path, fps, extension
    self._temporary = f"{path}.{os.getpid()}.tmp"
    self._writer, self._size = None, (0, 0)
    self.num_frames = 0

  def write(self, frame: np.ndarray) -> None:
    """Adds a frame [H, W, 3] uint8 RGB.

    Raises:
      ValueError: not of the size of the first one.
      UserError: ffmpeg has ended, as it does when the disk is full.
    """
    height, width = size = tuple(side // 2 * 2 for side in frame.shape[:2])
    if self._writer is None:
      self._size, self._writer = size, self._open(width, height)
    if size != self._size:
      raise ValueError(f"frames of {self._size} and {size} in one video")
    with _written(self._path):
      self._writer.send(np.ascontiguousarray(frame[:height, :width]))
    self.num_frames += 1

  def __enter__(self) -> "VideoWriter":
    return self

  def __exit__(self, kind: type | None, *error) -> None:
    try:
      if self._writer is not None:
        self._writer.close()
        if kind is None:
          with _written(self._path):
            _require_whole(self._temporary, self.num_frames)
            os.replace(self._temporary, self._path)
    finally:
      if os.path.exists(self._temporary):
        os.remove(self._temporary)

  def _open(self, width: int, height: int):
    """Starts ffmpeg, which takes frames by the `send` of a generator."""
    import imageio_ffmpeg

    codec, options = _CODECS[self._extension]
    writer = imageio_ffmpeg.write_frames(
      self._temporary,
      (width, height),
      fps=self._fps,
      codec=codec,
      pix_fmt_out="yuv420p",
      quality=None,
      macro_block_size=1,
      ffmpeg_log_level="error",
      output_params=[*options, "-f", _FORMATS[self._extension]],
    )
    writer.send(None)
    return writer


@contextlib.contextmanager
def _written(path: str) -> Iterator[None]:
  """Says in one sentence that ffmpeg could not go on."""
  try:
    yield
  except OSError as error:
    # imageio-ffmpeg appends ffmpeg's command line and its log.
    reason = error.strerror or str(error).split("\n")[0]
    raise UserError(
      f"{path} cannot be written ({reason}); check the folder and the space on the "
      "disk."
    ) from error


def _require_whole(path: str, count: int) -> None:
  """Raises OSError unless a video has its frames; ffmpeg does not say how it ended."""
  capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  try:
    # WebM does not count its frames; OpenCV says the length times the rate, rounded.
    found = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if not capture.grab() or found < 0.9 * count - 1:
      raise OSError("the video is not complete")
  finally:
    capture.release()
