"""A camera or a video, tracked as it comes.

    frames --FaceTracker--> Tracking --one-euro filter--> motion, row by row
                                 +--live_pictures.py--> window, video

Frames in which the face is lost have no place in the motion: its times leave them out.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.data.detector import FaceDetector
from personalized_face.data.live import Every, Newest
from personalized_face.data.video import VideoWriter
from personalized_face.export.driven_face import DrivenFace
from personalized_face.export.motion_stream import MotionStream
from personalized_face.face_model.files import Motion
from personalized_face.inference.smoothing import TrackingFilter
from personalized_face.inference.track import (
  FaceTracker,
  TrackFunction,
  person_geometry,
)
from personalized_face.inference.window import Window
from personalized_face.pipelines.live_pictures import DrivenBeside, Overlay, Painter
from personalized_face.systems.personalized_face import PersonalizedFace


class Counts(NamedTuple):
  """What became of the frames of a source."""

  read: int
  tracked: int
  lost: int  # looked at, but the face was not there
  seconds: float  # from the first frame to the end

  @property
  def dropped(self) -> int:
    """Frames that came while others were looked at."""
    return self.read - self.tracked - self.lost

  @property
  def frames_per_second(self) -> float:
    """Looked at, whether the face was there or not."""
    return (self.tracked + self.lost) / max(self.seconds, 1e-9)

  def __str__(self) -> str:
    return (
      f"{self.read} frames read: {self.tracked} tracked, {self.dropped} dropped, "
      f"{self.lost} without the face; {self.frames_per_second:.1f} frames per second."
    )


def track_live(
  system: PersonalizedFace,
  source: Every | Newest,
  detector: FaceDetector,
  output: str | None = None,
  person: PersonModel | None = None,
  track: TrackFunction | None = None,
  check_every: int = 15,
  smoothing: float = 0.0,
  overlay: str | None = None,
  rate: float = 30.0,
  window: Window | None = None,
  driven: DrivenFace | None = None,
) -> tuple[Motion, Counts]:
  """Tracks until the source ends, the window is closed or a signal comes.

  SIGINT (Ctrl-C) and SIGTERM end it after the present frame, with all results; a
  second one at once.

  Args:
    system: with trained networks.
    source: of the frames.
    detector, check_every, track: see `FaceTracker`.
    output: of the motion, see `MotionStream`; None writes none.
    person: without B, who is tracked and drawn; None lets ModelNet see the first crop.
    smoothing: strength of the one-euro filter, see `smooth_tracking`; 0 leaves it out.
    overlay: a video (.mp4, .webm) of the frames with the face on them.
    rate: frames per second of that video, in which dropped frames repeat the last.
    window: shows the overlay.
    driven: a face that is moved by the tracked one; it then stands beside the frame, in
      video and window, and the frame is left as it is.

  Returns:
    The motion and what became of the frames.

  Raises:
    UserError: no face in any frame, or a file cannot be written.
  """
  stream = MotionStream(output, system.template, rate)
  geometry = None if person is None else person_geometry(system, person)
  tracker = FaceTracker(system, detector, geometry, check_every, track)
  tracker.warm_up()
  paint: Painter | None = None
  if overlay or window:
    paint = DrivenBeside(driven) if driven else Overlay(system, person)
  smooth, lost, start = TrackingFilter(smoothing, system.camera), 0, None
  with contextlib.ExitStack() as stack:
    film = stack.enter_context(_Film(overlay, rate)) if overlay else None
    stack.enter_context(_closed_by_signals(source))
    for frame in source:
      start = time.perf_counter() if start is None else start
      face, tracking = tracker(frame.image), None
      if face is not None and face.seen:
        tracking = smooth(face.tracking, face.square.box, frame.time)
        stream.add(frame.time, tracking, face.square.box, frame.image.shape[:2])
      else:
        lost += 1
        smooth.reset()
      if paint is None:
        continue
      picture = paint(frame.image, face, tracking)
      if film is not None:
        film.add(frame.time, picture)
      if window is not None and not window.show(picture):
        source.close()
  seconds = 0.0 if start is None else time.perf_counter() - start
  counts = Counts(source.num_read, len(stream), lost, seconds)
  motion = stream.close()
  if motion is None:
    raise UserError(
      f"No face was found in any of the {counts.lost} frames; give a source with a "
      "face in view, at least some 100 pixels high."
    )
  return motion, counts


class _Film:
  """Pictures at any times as a video of a fixed rate; a context manager."""

  def __init__(self, path: str, rate: float):
    self._rate, self._start = rate, 0.0
    self._last: np.ndarray | None = None
    try:
      self._writer = VideoWriter(path, rate)
    except ValueError as error:
      raise UserError(f"The overlay cannot be written: {error}.") from error

  def add(self, time_s: float, picture: np.ndarray) -> None:
    """Shows a picture from a time on, until the next one."""
    if self._last is None:
      self._start = time_s
    place = round((time_s - self._start) * self._rate)
    for _ in range(self._writer.num_frames, place):
      self._writer.write(self._last)
    if self._writer.num_frames == place:
      self._writer.write(picture)
    self._last = picture

  def __enter__(self) -> "_Film":
    self._writer.__enter__()
    return self

  def __exit__(self, *error) -> None:
    self._writer.__exit__(*error)


@contextlib.contextmanager
def _closed_by_signals(source: Every | Newest) -> Iterator[None]:
  """Inside of it the first SIGINT or SIGTERM closes the source instead of killing."""
  if threading.current_thread() is not threading.main_thread():
    yield  # Python allows no handlers elsewhere
    return
  before = {number: None for number in (signal.SIGINT, signal.SIGTERM)}

  def note(number, frame):
    source.close()
    signal.signal(number, before[number])

  for number in before:
    before[number] = signal.signal(number, note)
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
