"""What predicts: the networks of a run, the bare template, a detector, files.

    picture --detector--> square --crop--> Solver: PersonModel, Tracking
            --Eq. 1, 2, pose, camera--> landmarks, mesh --renderer--> Prediction

A Solver is the part that differs between ways of using the model: networks, the prior,
a direct fit. ModelPredictor does the rest, and takes the time of each stage.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.crop import Square, crop_image, landmark_box, to_source
from personalized_face.data.detector import (
  BOX_MARGIN,
  FaceDetector,
  detect_in_box,
  landmarks_68,
)
from personalized_face.evaluation.benchmark import Sample
from personalized_face.evaluation.predictions import (
  NOT_FOUND,
  Prediction,
  path_of,
  read_prediction,
)
from personalized_face.inference.follow import SquareFollower
from personalized_face.inference.track import to_float
from personalized_face.rendering.camera import project
from personalized_face.systems.personalized_face import PersonalizedFace

STAGES = ("detect", "track", "model", "decode", "render")
MM_PER_DM = 100.0


class Stopwatch:
  """Collects {stage: seconds of each call}."""

  def __init__(self):
    self.seconds: dict[str, list[float]] = {}

  @contextlib.contextmanager
  def __call__(self, stage: str) -> Iterator[None]:
    """Takes the time of a `with` block."""
    start = time.perf_counter()
    yield
    self.seconds.setdefault(stage, []).append(time.perf_counter() - start)


class Solver(Protocol):
  """Crops of one person to who it is and what each crop shows."""

  def solve(self, crops: np.ndarray, watch: Stopwatch) -> tuple[PersonModel, Tracking]:
    """Solves.

    Args:
      crops: [N, S, S, 3] uint8 RGB of one person, S the system's crop size.
      watch: takes the time of the stages "track" and "model".

    Returns:
      Numpy: the person without B, the tracking [N, ...].
    """
    ...


class NetworkSolver:
  """ModelNet on all N crops, TrackNet on each: the paper's own way (Section 4)."""

  def __init__(self, system: PersonalizedFace):
    self._track = tf.function(system.track)
    self._model = tf.function(system.model_face)

  def solve(self, crops: np.ndarray, watch: Stopwatch) -> tuple[PersonModel, Tracking]:
    """See Solver."""
    images = to_float(crops)
    with watch("track"):
      tracking = Tracking(*(value.numpy() for value in self._track(images)))
    with watch("model"):
      person = self._model(images[np.newaxis])
      person = PersonModel(*(value.numpy()[0] for value in person))
    return person, tracking


class PriorSolver:
  """TrackNet moves the bare template with R_0^t: the corrections are switched off."""

  def __init__(self, system: PersonalizedFace):
    self._track = tf.function(system.track)
    person = system.face_model.template_person()
    albedo = np.asarray(system.mean_albedo)[np.newaxis]
    person = person._replace(static_albedo=albedo)
    self._person = PersonModel(*(np.asarray(value)[0] for value in person))

  def solve(self, crops: np.ndarray, watch: Stopwatch) -> tuple[PersonModel, Tracking]:
    """See Solver."""
    with watch("track"):
      tracking = self._track(to_float(crops))
      tracking = Tracking(*(value.numpy() for value in tracking))
    return self._person, tracking


class ModelPredictor:
  """A Solver, a detector before it, the face model and the renderer after it.

  Attributes:
    name: heads the table row.
    seconds: see Predictor. The first call of each stage holds TensorFlow's tracing.
  """

  def __init__(
    self,
    name: str,
    system: PersonalizedFace,
    solver: Solver,
    detector: FaceDetector,
    check_every: int = 0,
    landmark_vertices: np.ndarray | None = None,
  ):
    """Traces nothing yet.

    Args:
      name: heads the table row.
      system: for the template, the camera, Eq. 1 and 2 and the renderer.
      solver: see Solver.
      detector: finds the face in a still, and in the first frame of a clip.
      check_every: in a clip, every so many frames the detector looks again; 0 is the
        paper's protocol (Section 5.4): the box from the previous frame.
      landmark_vertices: [68] indices of the vertices that are the annotated points;
        None: the template's own, placed for the detector.
    """
    self.name = name
    self._watch = Stopwatch()
    self._system, self._solver, self._detector = system, solver, detector
    self._check_every = check_every
    if landmark_vertices is None:
      landmark_vertices = system.template.landmark_vertices
    self._marked = np.asarray(landmark_vertices)
    self._decode, self._render = tf.function(self._decoded), tf.function(self._rendered)
    self._clip: str | None = None
    self._follower: SquareFollower | None = None
    # The person, the tracking [1, ...] and the crop of the sample predicted last, for
    # pictures; None where no face was found.
    self.solved: tuple[PersonModel, Tracking, np.ndarray] | None = None

  @property
  def seconds(self) -> dict[str, list[float]]:
    """{stage: seconds of each call}."""
    return self._watch.seconds

  def predict(self, sample: Sample, pictures: list[np.ndarray]) -> Prediction:
    """The mesh of the sample; landmarks, pose and rendering of its first picture.

    Of several pictures of one person (N > 1) those without a face are left out, and
    the expression is the mean of the others'.
    """
    if not sample.clip or sample.clip != self._clip or self._follower is None:
      self._follower = SquareFollower(self._detector, self._check_every)
    self._clip, self.solved = sample.clip, None
    with self._watch("detect"):
      squares = [self._follower.look(pictures[0])]
      for picture in pictures[1:]:
        squares.append(SquareFollower(self._detector, 0).look(picture))
    size = self._system.camera.height
    seen = [(p, s) for p, s in zip(pictures, squares, strict=True) if s is not None]
    if not seen:
      return NOT_FOUND
    crops = np.stack([crop_image(picture, square, size) for picture, square in seen])
    person, tracking = self._solver.solve(crops, self._watch)
    expression = np.broadcast_to(
      tracking.expression.mean(axis=0), tracking.expression.shape
    )
    first = Tracking(*(v[:1] for v in tracking._replace(expression=expression)))
    self.solved = person, first, crops[0]
    prediction, landmarks_crop = self._predict(person, first, seen[0][1])
    if squares[0] is not None:
      self._follower.predict(landmarks_crop, size)
    return prediction

  def _predict(
    self, person: PersonModel, tracking: Tracking, square: Square
  ) -> tuple[Prediction, np.ndarray]:
    """One frame, and its landmarks in the crop."""
    batch = PersonModel(*(value[np.newaxis] for value in person))
    grouped = Tracking(*(value[np.newaxis] for value in tracking))
    with self._watch("decode"):
      decoded = self._decode(batch, grouped)
      neutral, vertices, template, in_camera, points, albedo = decoded
      points = points.numpy()[0, 0]
    with self._watch("render"):
      rendering = self._render(in_camera, albedo, grouped.light)
      image = rendering.image.numpy()[0, 0]
    mesh = MM_PER_DM * vertices.numpy()[0, 0]
    camera = self._system.camera
    prediction = Prediction(
      found=True,
      landmarks=to_source(points, square, camera.height),
      vertices=mesh,
      triangles=self._system.template.triangles,
      mesh_landmarks=mesh[self._marked],
      neutral=MM_PER_DM * neutral.numpy()[0],
      template_vertices=MM_PER_DM * template.numpy()[0, 0],
      coefficients=tracking.expression[0],
      coefficient_names=self._system.template.blendshape_names,
      rotation=tracking.rotation[0],
      translation=MM_PER_DM * tracking.translation[0],
      light=tracking.light[0],
      albedo=albedo.numpy()[0, 0],
      rendering=image,
      mask=rendering.mask.numpy()[0, 0] > 0.5,
      box=np.array(square.box, np.float32),
    )
    return prediction, points

  def _decoded(self, person: PersonModel, tracking: Tracking) -> tuple:
    model, system = self._system.face_model, self._system
    geometry = model.geometry(*model.vertex_offsets(person))
    vertices = model.shape(geometry, tracking.expression)
    in_camera = system.camera_vertices(vertices, tracking)
    marked = tf.gather(in_camera, self._marked, axis=-2)
    points = project(marked, system.camera)
    albedo = model.albedo(person, tracking.expression)
    blank = tf.zeros_like(geometry.neutral), tf.zeros_like(geometry.displacements)
    template = model.shape(model.geometry(*blank), tracking.expression)
    return geometry.neutral, vertices, template, in_camera, points, albedo

  def _rendered(self, vertices: tf.Tensor, albedo: tf.Tensor, light: tf.Tensor):
    return self._system.renderer(vertices, albedo, light)


class DetectorPredictor:
  """A detector's own 68 points, MediaPipe's by default; no mesh, no coefficients."""

  def __init__(self, detector: FaceDetector, name: str = "MediaPipe 68 of 478"):
    self.name = name
    self._watch = Stopwatch()
    self._detector = detector
    self._clip, self._points = "", None

  @property
  def seconds(self) -> dict[str, list[float]]:
    """{stage: seconds of each call}."""
    return self._watch.seconds

  def predict(self, sample: Sample, pictures: list[np.ndarray]) -> Prediction:
    """Looks near the points of the frame before, in a clip; else everywhere."""
    if not sample.clip or sample.clip != self._clip:
      self._points = None
    self._clip = sample.clip
    picture, points = pictures[0], None
    with self._watch("detect"):
      if self._points is not None:
        box = landmark_box(self._points)
        points = detect_in_box(self._detector.detect, picture, box, BOX_MARGIN)
      if points is None:
        points = self._detector.detect(picture)
    self._points = points
    if points is None:
      return NOT_FOUND
    return Prediction(found=True, landmarks=landmarks_68(points))


class FilePredictor:
  """Any other system: the files that it wrote (predictions.py has the format)."""

  def __init__(self, folder: str, name: str | None = None):
    """Raises UserError if there is no such folder."""
    if not os.path.isdir(folder):
      raise UserError(f"There is no folder of predictions {folder}.")
    self.name = name or os.path.basename(os.path.normpath(folder))
    self.seconds: dict[str, list[float]] = {}
    self._folder = folder

  def predict(self, sample: Sample, pictures: list[np.ndarray]) -> Prediction | None:
    """Reads one file; None where there is none."""
    del pictures
    path = path_of(self._folder, sample.name)
    return read_prediction(path) if os.path.isfile(path) else None
