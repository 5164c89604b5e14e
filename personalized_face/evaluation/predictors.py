"""What predicts: the networks of a run, the bare template, a detector, files.

    picture --detector--> square --crop--> Solver: PersonModel, Tracking
            --Eq. 1, 2, pose, camera--> landmarks, mesh --renderer--> Prediction

A Solver is the part that differs between ways of using the model: networks, the prior,
a fit to the pictures themselves (fit_solver.py). ModelPredictor does the rest, and
takes the time of each stage.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

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


class View(NamedTuple):
  """One picture in which the face was found."""

  picture: np.ndarray  # [H, W, 3] uint8 RGB
  square: Square  # of the face in it
  crop: np.ndarray  # [S, S, 3] uint8, what the square shows; S the system's crop size


class Solver(Protocol):
  """Views of one person to who it is and what each view shows."""

  def solve(
    self, views: Sequence[View], watch: Stopwatch
  ) -> tuple[PersonModel, Tracking] | None:
    """Solves.

    Args:
      views: N of one person.
      watch: takes the time of the stages "track" and "model".

    Returns:
      Numpy: the person without B, the tracking [N, ...]; None where there is no face
      to be seen after all.
    """
    ...


class NetworkSolver:
  """ModelNet on all N crops, TrackNet on each: the paper's own way (Section 4)."""

  def __init__(self, system: PersonalizedFace):
    self._track = tf.function(system.track, autograph=False)
    self._model = tf.function(system.model_face, autograph=False)

  def solve(
    self, views: Sequence[View], watch: Stopwatch
  ) -> tuple[PersonModel, Tracking]:
    """See Solver."""
    images = to_float(_crops(views))
    with watch("track"):
      tracking = Tracking(*(value.numpy() for value in self._track(images)))
    with watch("model"):
      person = self._model(images[np.newaxis])
      person = PersonModel(*(value.numpy()[0] for value in person))
    return person, tracking


class PriorSolver:
  """TrackNet moves the bare template with R_0^t: the corrections are switched off."""

  def __init__(self, system: PersonalizedFace):
    self._track = tf.function(system.track, autograph=False)
    person = system.face_model.template_person()
    albedo = np.asarray(system.linear_mean_albedo)[np.newaxis]
    person = person._replace(static_albedo=albedo)
    self._person = PersonModel(*(np.asarray(value)[0] for value in person))

  def solve(
    self, views: Sequence[View], watch: Stopwatch
  ) -> tuple[PersonModel, Tracking]:
    """See Solver."""
    with watch("track"):
      tracking = self._track(to_float(_crops(views)))
      tracking = Tracking(*(value.numpy() for value in tracking))
    return self._person, tracking


def _crops(views: Sequence[View]) -> np.ndarray:
  """[N, S, S, 3] uint8."""
  return np.stack([view.crop for view in views])


class ModelPredictor:
  """A Solver, a detector before it, the face model and the renderer after it.

  Attributes:
    name: heads the table row.
    seconds: see Predictor. The first call of each stage holds TensorFlow's tracing.
    landmark_vertices: [68] the vertices that are scored.
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
    self.landmark_vertices = np.asarray(landmark_vertices)
    self._decode = tf.function(self._decoded, autograph=False)
    self._render = tf.function(self._rendered, autograph=False)
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

    Of several pictures of one person (N > 1) those without a face are left out, which
    `pictures_used` says, and the expression is the mean of the others'.
    """
    if not sample.clip or sample.clip != self._clip or self._follower is None:
      self._follower = SquareFollower(self._detector, self._check_every)
    self._clip, self.solved = sample.clip, None
    with self._watch("detect"):
      squares = [self._follower.look(pictures[0])]
      for picture in pictures[1:]:
        squares.append(SquareFollower(self._detector, 0).look(picture))
    size = self._system.camera.height
    views = [
      View(picture, square, crop_image(picture, square, size))
      for picture, square in zip(pictures, squares, strict=True)
      if square is not None
    ]
    solved = self._solver.solve(views, self._watch) if views else None
    if solved is None:
      return NOT_FOUND
    person, tracking = solved
    expression = np.broadcast_to(
      tracking.expression.mean(axis=0), tracking.expression.shape
    )
    first = Tracking(*(v[:1] for v in tracking._replace(expression=expression)))
    self.solved = person, first, views[0].crop
    prediction, followed = self._predict(person, first, views[0].square)
    if squares[0] is not None:
      self._follower.predict(followed, size)
    return prediction._replace(pictures_used=len(views))

  def _predict(
    self, person: PersonModel, tracking: Tracking, square: Square
  ) -> tuple[Prediction, np.ndarray]:
    """One frame, and the points in its crop that the next square is set by."""
    batch = PersonModel(*(value[np.newaxis] for value in person))
    grouped = Tracking(*(value[np.newaxis] for value in tracking))
    with self._watch("decode"):
      decoded = self._decode(batch, grouped)
      neutral, vertices, template, in_camera, points, followed, albedo = decoded
      points, followed = points.numpy()[0, 0], followed.numpy()[0, 0]
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
      mesh_landmarks=mesh[self.landmark_vertices],
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
      parsing=rendering.parsing.numpy()[0, 0].argmax(axis=-1).astype(np.uint8),
      box=np.array(square.box, np.float32),
    )
    return prediction, followed

  def _decoded(self, person: PersonModel, tracking: Tracking) -> tuple:
    model, system = self._system.face_model, self._system
    geometry = model.geometry(*model.vertex_offsets(person))
    vertices = model.shape(geometry, tracking.expression)
    in_camera = system.camera_vertices(vertices, tracking)
    # Squares are set by the detector's points, on all crops that were ever trained on;
    # what is scored are the points that the benchmark means.
    followed = system.project_landmarks(in_camera)
    scored = tf.gather(in_camera, self.landmark_vertices, axis=-2)
    points = project(scored, system.camera)
    albedo = model.albedo(person, tracking.expression)
    blank = tf.zeros_like(geometry.neutral), tf.zeros_like(geometry.displacements)
    template = model.shape(model.geometry(*blank), tracking.expression)
    return geometry.neutral, vertices, template, in_camera, points, followed, albedo

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
