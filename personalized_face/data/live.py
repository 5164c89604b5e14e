"""Frames at the rate at which they come: cameras, and files played at their own rate.

    camera --thread--> the newest frame --> who is slower than the camera

`Newest` drops what nobody took in time, so that the delay stays that of one frame;
`Every` hands on each frame, as a file allows.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import cv2

from personalized_face.core.errors import UserError
from personalized_face.data.video import Frame, read_frames

# Seconds between two looks whether somebody has closed a source that waits.
_PATIENCE = 0.1
_DEFAULT_RATE = 30.0  # frames per second, of cameras and of files that do not say it


def read_camera(index: int) -> Iterator[Frame]:
  """The frames of a camera, timed by the clock from the first on.

  Args:
    index: OpenCV's number of the camera, from 0.

  Raises:
    UserError: it cannot be opened, or gives no picture.
  """
  capture = cv2.VideoCapture(index)
  try:
    start, count = 0.0, 0
    while True:
      ok, image = capture.read()
      if not ok or image is None:
        break
      now = time.monotonic()
      start = start if count else now
      yield Frame(now - start, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), count)
      count += 1
  finally:
    capture.release()
  if not count:
    raise UserError(
      f"The camera {index} gives no picture; check that it is connected and that no "
      "other program uses it, or name another one."
    )


def at_own_rate(
  frames: Iterable[Frame],
  clock: Callable[[], float] = time.monotonic,
  sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Frame]:
  """The frames of a file, each no sooner than its time, as a camera would give them."""
  start = None
  for frame in frames:
    start = clock() - frame.time if start is None else start
    wait = frame.time - (clock() - start)
    if wait > 0:
      sleep(wait)
    yield frame


def until(frames: Iterable[Frame], seconds: float) -> Iterator[Frame]:
  """The frames before a time of the source."""
  for frame in frames:
    if frame.time >= seconds:
      return
    yield frame


class Every:
  """Hands on each frame.

  Attributes:
    num_read: frames taken from the source so far.
  """

  def __init__(self, frames: Iterable[Frame]):
    self.num_read = 0
    self._frames = frames
    self._closed = False

  def __iter__(self) -> Iterator[Frame]:
    for frame in self._frames:
      if self._closed:
        return
      self.num_read += 1
      yield frame

  def close(self) -> None:
    """No frame comes after this; safe in a signal handler."""
    self._closed = True


class Newest:
  """Reads in a thread; whoever iterates gets the newest frame that he has not had.

  Attributes:
    num_read: frames taken from the source so far, those that nobody got included.
  """

  def __init__(self, frames: Iterable[Frame]):
    """Starts to read when it is first iterated over."""
    self.num_read = 0
    self._frames = frames
    self._changed = threading.Condition()
    self._newest: Frame | None = None
    self._ended = self._closed = False
    self._error: BaseException | None = None
    self._thread = threading.Thread(target=self._read, daemon=True)

  def __iter__(self) -> Iterator[Frame]:
    """Raises what the source raised, once the frames before it are taken."""
    self._thread.start()
    try:
      while (frame := self._take()) is not None:
        yield frame
    finally:
      self.close()
      self._thread.join(timeout=1.0)  # a camera is released before the program ends
    if self._error is not None:
      raise self._error

  def close(self) -> None:
    """No frame comes after this; takes no lock, so safe in a signal handler."""
    self._closed = True

  def _take(self) -> Frame | None:
    """Waits for the newest frame; None at the end."""
    with self._changed:
      while self._newest is None and not (self._ended or self._closed):
        self._changed.wait(_PATIENCE)
      frame, self._newest = self._newest, None
    return None if self._closed else frame

  def _read(self) -> None:
    try:
      for frame in self._frames:
        with self._changed:
          if self._closed:
            break
          self.num_read += 1
          self._newest = frame
          self._changed.notify_all()
    # Whatever it is belongs to the one who iterates; a thread has nobody to tell.
    except BaseException as error:
      self._error = error
    finally:
      if hasattr(self._frames, "close"):
        self._frames.close()
      with self._changed:
        self._ended = True
        self._changed.notify_all()


def open_source(
  name: str, realtime: bool = False, max_seconds: float | None = None
) -> tuple[Every | Newest, float]:
  """What a command's --source names, and its frames per second.

  Args:
    name: a camera's number, or the path of a video.
    realtime: plays a video as a camera would, and drops frames.
    max_seconds: ends at this time of the source; None at its own end.

  Raises:
    UserError: there is no such file.
  """
  is_camera = name.isdecimal() and not os.path.exists(name)
  if is_camera:
    frames, rate = read_camera(int(name)), _DEFAULT_RATE
  elif os.path.isfile(name):
    frames, rate = read_frames(name, None), _nominal_rate(name)
    frames = at_own_rate(frames) if realtime else frames
  else:
    raise UserError(
      f"There is no video {name}; give a file, or a camera's number such as 0."
    )
  if max_seconds is not None:
    frames = until(frames, max_seconds)
  return (Newest if is_camera or realtime else Every)(frames), rate


def _nominal_rate(path: str) -> float:
  """Frames per second, as a video file says."""
  capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  rate = capture.get(cv2.CAP_PROP_FPS)
  capture.release()
  return rate if 0 < rate < 1000 else _DEFAULT_RATE
