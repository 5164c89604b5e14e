"""Tracks a face through a clip with TrackNet (Supp. Section 3 of the paper).

    frame --square of the frame before--> crop --TrackNet--> Tracking
                 ^                                              |
                 +---- bounds of the projected landmarks <------+

follow.py says where the squares come from. `FaceTracker` is that loop a frame at a
time, for a clip (`track_video`) as for a camera. Photos that do not follow one another
are each detected.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.core.types import (
  PersonGeometry,
  PersonModel,
  Tensor,
  Tracking,
)
from personalized_face.data.crop import Square, crop_image, face_square
from personalized_face.data.detector import FaceDetector, landmarks_68
from personalized_face.data.video import Frame, read_image
from personalized_face.face_model.files import Motion, mean_rate
from personalized_face.inference.follow import SquareFollower
from personalized_face.inference.tflite_decode import LandmarkDecoder
from personalized_face.systems.personalized_face import PersonalizedFace

# What TrackNet does, done by something else: crops [I, S, S, 3] uint8 to a Tracking
# [I, ...] numpy, as TFLiteTrackNet.
TrackFunction = Callable[[np.ndarray], Tracking]


class TrackedClip(NamedTuple):
  """A clip's motion and the pictures it was read from."""

  motion: Motion  # F frames, numpy
  crops: np.ndarray  # [F, S, S, 3] uint8 RGB, S the crop size of the system
  landmarks: np.ndarray  # [F, L, 2] float32 as projected, pixels of the crop
  first_frame: int  # index in the source of the first frame with a face
  num_detections: int  # how many frames asked the detector


class TrackedFace(NamedTuple):
  """What was found in one frame."""

  square: Square  # of the crop, pixels of the frame
  crop: np.ndarray  # [S, S, 3] uint8 RGB
  tracking: Tracking  # [1, ...] numpy
  landmarks: np.ndarray  # [L, 2] as projected, pixels of the crop
  # False where the face was lost: the crop is then where it was last, and the rest is
  # what TrackNet makes of that.
  seen: bool


class Tracker:
  """TrackNet and the projection of its landmarks, traced once for any person."""

  def __init__(self, system: PersonalizedFace, track: TrackFunction | None = None):
    """Traces nothing yet; `track` None takes the system's own TrackNet."""
    self._system = system
    self._track = track
    self._marked = np.asarray(system.template.landmark_vertices)
    self._step = tf.function(self._track_and_project, autograph=False)

  def __call__(
    self, crops: np.ndarray, geometry: PersonGeometry
  ) -> tuple[Tracking, np.ndarray]:
    """Tracks pictures of one person.

    Args:
      crops: [I, S, S, 3] uint8 RGB.
      geometry: of that person, B = 1; only its marked vertices are used.

    Returns:
      The Tracking, [I, ...] numpy, and the landmarks [I, L, 2], pixels of the crop.
    """
    return self.track(crops, self.marked(geometry))

  def warm_up(self) -> None:
    """Traces the graphs, so that a camera's first frames do not have to wait."""
    side, template = self._system.camera.height, self._system.template
    crop = np.zeros([1, side, side, 3], np.uint8)
    if self._track is not None:
      self._track(crop)
      return
    deltas = template.blendshape_deltas.transpose(1, 0, 2)
    self(crop, PersonGeometry(template.vertices[np.newaxis], deltas[np.newaxis]))

  def marked(self, geometry: PersonGeometry) -> PersonGeometry | LandmarkDecoder:
    """All of a person that `track` needs: it is of the 68 marked vertices alone."""
    marked = PersonGeometry(
      *(np.take(np.asarray(part), self._marked, axis=1) for part in geometry)
    )
    return marked if self._track is None else LandmarkDecoder(self._system, marked)

  def track(
    self, crops: np.ndarray, marked: PersonGeometry | LandmarkDecoder
  ) -> tuple[Tracking, np.ndarray]:
    """As a call, with what `marked` has made; for frame after frame."""
    if self._track is not None:
      tracking = self._track(crops)
      return tracking, marked(tracking)
    tracking, landmarks = self._step(to_float(crops), marked)
    return Tracking(*(value.numpy() for value in tracking)), landmarks.numpy()

  def _track_and_project(
    self, images: Tensor, marked: PersonGeometry
  ) -> tuple[Tracking, Tensor]:
    tracking = self._system.track(images)
    return tracking, _project(self._system, tracking, marked)


def _project(
  system: PersonalizedFace, tracking: Tracking, marked: PersonGeometry
) -> Tensor:
  """[I, L, 2] pixels of the crops."""
  grouped = Tracking(*(value[tf.newaxis] for value in tracking))  # B = 1
  # Eq. 1 is a sum per vertex, so the 68 marked vertices suffice.
  vertices = system.face_model.shape(marked, grouped.expression)
  return system.project_marked(system.camera_vertices(vertices, grouped))[0]


class FaceTracker:
  """Follows one face, a frame at a time."""

  def __init__(
    self,
    system: PersonalizedFace,
    detector: FaceDetector,
    geometry: PersonGeometry | None = None,
    check_every: int = 15,
    track: TrackFunction | None = None,
  ):
    """Starts before the first frame.

    Args:
      system: with trained networks.
      detector: for the first frame, after a loss, and for checks.
      geometry: of the person, B = 1; None lets ModelNet see the first crop. It decides
        only where the landmarks are that the next square is drawn round.
      check_every: every so many frames the detector checks that the face is still in
        the square; 0 never, as the paper; 1 lets it lead. See follow.py.
      track: in place of the system's TrackNet.
    """
    self._system = system
    self._tracker = Tracker(system, track)
    self._follower = SquareFollower(detector, check_every)
    self._size = system.camera.height
    self._marked = None if geometry is None else self._tracker.marked(geometry)

  @property
  def num_detections(self) -> int:
    """How many frames asked the detector so far."""
    return self._follower.num_detections

  def warm_up(self) -> None:
    """See `Tracker.warm_up`."""
    self._tracker.warm_up()

  def __call__(self, image: np.ndarray) -> TrackedFace | None:
    """Tracks in [H, W, 3] uint8 RGB; None while no face has been seen yet."""
    square = self._follower.look(image)
    if square is None:
      return None
    crop = crop_image(image, square, self._size)
    if self._marked is None:
      geometry = geometry_of(self._system, crop[np.newaxis])
      self._marked = self._tracker.marked(geometry)
    tracking, landmarks = self._tracker.track(crop[np.newaxis], self._marked)
    self._follower.predict(landmarks[0], self._size)
    seen = self._follower.seen and bool(np.isfinite(landmarks).all())
    return TrackedFace(square, crop, tracking, landmarks[0], seen)


def to_float(crops: np.ndarray) -> np.ndarray:
  """uint8 pictures as the networks take them: float32 in [0, 1]."""
  return crops.astype(np.float32) / 255.0


def geometry_of(system: PersonalizedFace, crops: np.ndarray) -> PersonGeometry:
  """ModelNet's geometry (B = 1) of the person on crops [N, S, S, 3] uint8."""
  person = system.model_face(to_float(crops)[np.newaxis])
  return system.face_model.geometry(*system.face_model.vertex_offsets(person))


def bare_person(system: PersonalizedFace) -> PersonModel:
  """The template as a person, numpy, without the leading dimension B."""
  flat = system.face_model.template_person(1)
  return PersonModel(*(np.asarray(part)[0] for part in flat))


def person_geometry(system: PersonalizedFace, person: PersonModel) -> PersonGeometry:
  """The geometry (B = 1) of a person without the leading dimension B."""
  batch = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
  return system.face_model.geometry(*system.face_model.vertex_offsets(batch))


def marked_geometry(system: PersonalizedFace, person: PersonModel) -> PersonGeometry:
  """The same of the 68 marked vertices alone."""
  marked = np.asarray(system.template.landmark_vertices)
  return PersonGeometry(
    *(tf.gather(part, marked, axis=1) for part in person_geometry(system, person))
  )


def project_landmarks(
  system: PersonalizedFace, person: PersonModel, tracking: Tracking
) -> np.ndarray:
  """The 68 landmarks of a motion's frames, without rendering them.

  Args:
    system: decode.
    person: without the leading dimension B.
    tracking: [F, ...].

  Returns:
    [F, 68, 2] pixels of the crops.
  """
  return _project(system, tracking, marked_geometry(system, person)).numpy()


def track_video(
  system: PersonalizedFace,
  frames: Iterable[Frame],
  detector: FaceDetector,
  name: str = "the video",
  geometry: PersonGeometry | None = None,
  check_every: int = 15,
  track: TrackFunction | None = None,
) -> TrackedClip:
  """Tracks a video's face frame by frame.

  Frames before the first face are left out.

  Args:
    system: with trained networks.
    frames: in order, as `data.video.read_frames` yields them.
    name: of the video, for messages.
    detector, geometry, check_every, track: see `FaceTracker`.

  Raises:
    UserError: no face in any frame.
  """
  tracker = FaceTracker(system, detector, geometry, check_every, track)
  faces, times, count, size = [], [], 0, (0, 0)
  for frame in frames:
    count += 1
    face = tracker(frame.image)
    if face is None:
      continue
    size = frame.image.shape[:2]
    times.append(frame.time)
    faces.append(face)
  if not times:
    raise UserError(
      f"No face was found in any of the {count} frames of {name}; give a video with a "
      "face in view, at least some 100 pixels high."
    )
  trackings = zip(*(face.tracking for face in faces), strict=True)
  motion = Motion(
    times=np.array(times, np.float64),
    tracking=Tracking(*(np.concatenate(values) for values in trackings)),
    boxes=np.array([face.square.box for face in faces], np.float32),
    frame_size=size,
    fps=mean_rate(times),
  )
  return TrackedClip(
    motion,
    np.stack([face.crop for face in faces]),
    np.stack([face.landmarks for face in faces]),
    first_frame=count - len(times),  # from the first face on, none is left out
    num_detections=tracker.num_detections,
  )


def find_faces(
  paths: Sequence[str], detector: FaceDetector, crop_size: int
) -> tuple[list[str], list[Square], np.ndarray]:
  """Finds the face in each of several photos, which do not follow one another.

  Args:
    paths: of images.
    detector: asked once for each.
    crop_size: S, pixels.

  Returns:
    The paths of those with a face, their squares and crops [F, S, S, 3] uint8.

  Raises:
    UserError: an image cannot be read, or none has a face.
  """
  found, squares, crops = [], [], []
  for path in paths:
    photo = read_image(path)
    points = detector.detect(photo)
    if points is None:
      logging.warning("No face was found in %s; it is left out.", path)
      continue
    found.append(path)
    squares.append(face_square(landmarks_68(points)))
    crops.append(crop_image(photo, squares[-1], crop_size))
  if not found:
    raise UserError(
      f"No face was found in {', '.join(paths)}; give photos with a face in view, at "
      "least some 100 pixels high."
    )
  return found, squares, np.stack(crops)


def squares_of(boxes: np.ndarray) -> Iterator[Square]:
  """The squares that a motion's boxes [F, 4] are the corners of."""
  for x0, y0, x1, _ in np.asarray(boxes, np.float64).tolist():
    yield Square(x0, y0, x1 - x0)
