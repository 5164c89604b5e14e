"""How fast a video is tracked: file in, motion out, beside the bare network.

Every frame is read once; then each network looks at it alone, as a tracker whose motion
is written, and with the face rendered and laid on the frame; and MediaPipe's face mesh
looks at it with its own tracking. All take turns frame by frame, so that a busy machine
slows all alike.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face import native_logs
from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.crop import crop_image, face_square
from personalized_face.data.detector import FaceDetector, landmarks_68
from personalized_face.data.video import Frame, read_frames
from personalized_face.export.motion_stream import MotionStream
from personalized_face.inference.reconstruct import model_person
from personalized_face.inference.render import PersonRenderer
from personalized_face.inference.sheets import into_source
from personalized_face.inference.track import (
  FaceTracker,
  TrackFunction,
  person_geometry,
  to_float,
)
from personalized_face.systems.personalized_face import PersonalizedFace

_WARM_UP = 3  # frames that are looked at and do not count
MEDIAPIPE = "MediaPipe's face mesh"


class Row(NamedTuple):
  """One way to treat a frame."""

  name: str
  median_ms: float
  mean_ms: float  # checks by the detector, every so many frames, count here
  of_network: float | None  # the median, in that of the bare network

  @property
  def frames_per_second(self) -> float:
    """At the median."""
    return 1000 / self.median_ms


def time_tracking(
  system: PersonalizedFace,
  video: str,
  detector: FaceDetector,
  person: PersonModel | None = None,
  others: Mapping[str, TrackFunction] | None = None,
  num_frames: int = 200,
  check_every: int = 15,
  mesh: Callable[[np.ndarray], object] | None = None,
) -> list[Row]:
  """Times the frames of a video.

  Args:
    system: with trained networks.
    video: with a face in view in every frame.
    detector, check_every: see `FaceTracker`.
    person: without B; None lets ModelNet see the first crop.
    others: other ways to run TrackNet, by name, such as `TFLiteTrackNet`.
    num_frames: at most so many count.
    mesh: what MEDIAPIPE's row times, [H, W, 3] uint8 RGB to anything; None: it.

  Raises:
    UserError: no face in the first frame, or too few frames.
  """
  mesh = mesh or mediapipe_mesh()
  seconds: dict[tuple[str, str], list[float]] = {}
  with tempfile.TemporaryDirectory() as folder:
    lanes: list[_Lane] = []
    for count, (frame, reading) in enumerate(_timed(read_frames(video, None))):
      if not lanes:
        crop = _first_crop(system, detector, video, frame)
        person = person or model_person(system, crop[np.newaxis])
        lanes = [
          _Lane(name, system, detector, person, track, check_every, folder)
          for name, track in {"Keras": None, **(others or {})}.items()
        ]
      taken = {
        (lane.name, part): value + reading * (part != "network")
        for lane in lanes
        for part, value in lane(frame).items()
      }
      start = time.perf_counter()
      mesh(frame.image)
      taken[MEDIAPIPE, "mesh"] = time.perf_counter() - start + reading
      if count >= _WARM_UP:
        for key, value in taken.items():
          seconds.setdefault(key, []).append(value)
      if count + 1 == num_frames + _WARM_UP:
        break
  if not seconds:
    raise UserError(f"{video} is too short; give more than {_WARM_UP} frames.")
  return _rows(seconds)


def table(rows: list[Row]) -> str:
  """Markdown."""
  lines = [
    "| a frame | median ms | mean ms | frames/s | of the network alone |",
    "|---|---:|---:|---:|---:|",
  ]
  for row in rows:
    share = "-" if row.of_network is None else f"{row.of_network:.2f}"
    lines.append(
      f"| {row.name} | {row.median_ms:.1f} | {row.mean_ms:.1f} | "
      f"{row.frames_per_second:.1f} | {share} |"
    )
  return "\n".join(lines)


def mediapipe_mesh() -> Callable[[np.ndarray], object]:
  """MediaPipe's FaceMesh as for a video, with its own tracking and refined eyes."""
  with native_logs.silenced():
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
    mesh.process(np.zeros([64, 64, 3], np.uint8))
  return mesh.process


class _Lane:
  """One way to run TrackNet: alone, as a tracker, and with an overlay."""

  def __init__(
    self,
    name: str,
    system: PersonalizedFace,
    detector: FaceDetector,
    person: PersonModel,
    track: TrackFunction | None,
    check_every: int,
    folder: str,
  ):
    self.name = name
    self._tracker = FaceTracker(
      system, detector, person_geometry(system, person), check_every, track
    )
    self._render = PersonRenderer(system, person)
    path = os.path.join(folder, f"{name}.csv")
    self._stream = MotionStream(path, system.template, 30.0)
    self._is_keras = track is None
    self._network = track or _keras_network(system)

  def __call__(self, frame: Frame) -> dict[str, float]:
    """Seconds of each part; empty where no face is seen."""
    start = time.perf_counter()
    face = self._tracker(frame.image)
    if face is None or not face.seen:
      return {}
    size = frame.image.shape[:2]
    self._stream.add(frame.time, face.tracking, face.square.box, size)
    tracked = time.perf_counter()
    into_source(frame.image, self._render(face.tracking), face.square)
    drawn = time.perf_counter()
    crop = face.crop[np.newaxis]
    crop = tf.constant(to_float(crop)) if self._is_keras else crop
    begin = time.perf_counter()
    self._network(crop)
    alone = time.perf_counter() - begin
    return {"network": alone, "motion": tracked - start, "overlay": drawn - start}


def _keras_network(system: PersonalizedFace) -> Callable[[tf.Tensor], Tracking]:
  graph = tf.function(system.track)
  return lambda images: Tracking(*(value.numpy() for value in graph(images)))


def _timed(frames):
  """Frames, each with the seconds that reading it took."""
  frames = iter(frames)
  while True:
    start = time.perf_counter()
    frame = next(frames, None)
    if frame is None:
      return
    yield frame, time.perf_counter() - start


def _first_crop(
  system: PersonalizedFace, detector: FaceDetector, video: str, frame: Frame
) -> np.ndarray:
  """The crop [S, S, 3] uint8 of the face in the first frame."""
  points = detector.detect(frame.image)
  if points is None:
    raise UserError(f"{video} has no face in its first frame; cut it to one that has.")
  return crop_image(
    frame.image, face_square(landmarks_68(points)), system.camera.height
  )


def _rows(seconds: Mapping[tuple[str, str], list[float]]) -> list[Row]:
  said = {
    "network": "TrackNet alone",
    "motion": "file in, motion out",
    "overlay": "the same, rendered and laid on the frame",
    "mesh": "file in, points out",
  }
  rows = []
  for (name, part), taken in seconds.items():
    taken = 1000 * np.array(taken)
    median = float(np.median(taken))
    alone = seconds.get((name, "network"))
    share = median / (1000 * float(np.median(alone))) if alone else None
    rows.append(Row(f"{name}: {said[part]}", median, float(taken.mean()), share))
  return rows
