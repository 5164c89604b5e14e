"""How fast a video is tracked: file in, motion out, beside the bare network.

Every frame is read once; then each network looks at it as a tracker whose motion is
written, with the face rendered and laid on the frame, and alone; and MediaPipe's face
mesh looks at it with its own tracking. All take turns, so that a busy machine slows all
alike: a stretch of frames each, whose first ones do not count, since the caches still
hold the data of whoever was before.
"""

import itertools
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
  TrackedFace,
  TrackFunction,
  person_geometry,
  to_float,
)
from personalized_face.systems.personalized_face import PersonalizedFace

_STRETCH = 20  # frames of a turn
_WARM_UP = 3  # of these, the first, do not count
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
    num_frames: at most so many are read.
    mesh: what MEDIAPIPE's row times, [H, W, 3] uint8 RGB to anything; None: it.

  Raises:
    UserError: no face in the first frame, or too few frames.
  """
  mesh = mesh or mediapipe_mesh()
  seconds: dict[tuple[str, str], list[float]] = {}
  frames = _timed(itertools.islice(read_frames(video, None), num_frames))
  with tempfile.TemporaryDirectory() as folder:
    contenders: dict[tuple[str, str], Callable[[Frame], bool]] = {}
    while stretch := list(itertools.islice(frames, _STRETCH)):
      if not contenders:
        crop = _first_crop(system, detector, video, stretch[0][0])
        person = person or model_person(system, crop[np.newaxis])
        for name, track in {"Keras": None, **(others or {})}.items():
          path = os.path.join(folder, name)
          lane = _Lane(system, detector, person, track, check_every, path)
          contenders |= {(name, part): call for part, call in lane.parts().items()}
        contenders[MEDIAPIPE, "mesh"] = lambda frame: mesh(frame.image) is not False
      for key, look in contenders.items():
        for count, (frame, reading) in enumerate(stretch):
          start = time.perf_counter()
          seen = look(frame)
          taken = time.perf_counter() - start
          if seen and count >= _WARM_UP:
            reading *= key[1] != "network"
            seconds.setdefault(key, []).append(taken + reading)
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
  """One way to run TrackNet: as a tracker, with an overlay, and alone."""

  def __init__(
    self,
    system: PersonalizedFace,
    detector: FaceDetector,
    person: PersonModel,
    track: TrackFunction | None,
    check_every: int,
    path: str,
  ):
    geometry = person_geometry(system, person)
    self._trackers = {
      part: FaceTracker(system, detector, geometry, check_every, track)
      for part in ("motion", "overlay")
    }
    self._streams = {
      part: MotionStream(f"{path}_{part}.csv", system.template, 30.0)
      for part in self._trackers
    }
    self._render = PersonRenderer(system, person)
    self._is_keras = track is None
    self._network = track or _keras_network(system)
    self._crops: dict[int, np.ndarray | tf.Tensor] = {}  # by the number of the frame

  def parts(self) -> dict[str, Callable[[Frame], bool]]:
    """What looks at a frame and says whether the face was there, in its order."""
    return {"motion": self._motion, "overlay": self._overlay, "network": self._alone}

  def _follow(self, part: str, frame: Frame) -> TrackedFace | None:
    face = self._trackers[part](frame.image)
    if face is None or not face.seen:
      return None
    size = frame.image.shape[:2]
    self._streams[part].add(frame.time, face.tracking, face.square.box, size)
    return face

  def _motion(self, frame: Frame) -> bool:
    return self._follow("motion", frame) is not None

  def _overlay(self, frame: Frame) -> bool:
    face = self._follow("overlay", frame)
    if face is None:
      return False
    into_source(frame.image, self._render(face.tracking), face.square)
    crop = face.crop[np.newaxis]
    self._crops[frame.number] = tf.constant(to_float(crop)) if self._is_keras else crop
    return True

  def _alone(self, frame: Frame) -> bool:
    crop = self._crops.pop(frame.number, None)
    if crop is None:
      return False
    self._network(crop)
    return True


def _keras_network(system: PersonalizedFace) -> Callable[[tf.Tensor], Tracking]:
  graph = tf.function(system.track, autograph=False)
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
  for name in dict.fromkeys(name for name, _ in seconds):
    alone = seconds.get((name, "network"))
    for part in (part for part in said if (name, part) in seconds):
      taken = 1000 * np.array(seconds[name, part])
      median = float(np.median(taken))
      share = median / (1000 * float(np.median(alone))) if alone else None
      title = f"{name}: {said[part]}"
      rows.append(Row(title, median, float(taken.mean()), share))
  return rows
