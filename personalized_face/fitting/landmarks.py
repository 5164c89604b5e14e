"""The start: pose, expression and a coarse identity from the 68 landmarks alone.

No picture is rendered, only the marked vertices are posed and projected, so all frames
descend together in milliseconds a step. With the identity free at the same time, what
is common to all frames goes there and not into the coefficients, which an l1 keeps few
(DESIGN section 6, point 3).
"""

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core import topology
from personalized_face.core.types import PersonGeometry, PersonModel, Tensor, Tracking
from personalized_face.core.uv import VertexSampler
from personalized_face.fitting.adam import RowAdam
from personalized_face.fitting.expression_prior import (
  ExpressionPrior,
  beyond_expected,
)
from personalized_face.fitting.frames import Frames
from personalized_face.fitting.openings import opening_loss
from personalized_face.fitting.parameters import (
  PersonParameters,
  TrackingParameters,
)
from personalized_face.fitting.priors import NeutralPrior
from personalized_face.losses.landmark import landmark_loss, landmark_weights
from personalized_face.losses.regularization import expression_l1
from personalized_face.losses.smoothness import shape_smoothness_loss
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.systems.personalized_face import PersonalizedFace

# Of a step from rest: a lid that shuts between two frames has some way to go.
_WARM_EXPRESSION, _WARM_POSE = 0.6, 0.2
_CLEARLY = 1.2  # times the error: the neighbours' motion also knows their pixels


@gin.configurable(module="fitting")
class LandmarkSolver:
  """Solves motion from landmarks, for a known person or together with the identity."""

  def __init__(
    self,
    system: PersonalizedFace,
    steps: int = 300,
    step_size: float = 0.3,
    landmark_weight: float = 0.5,
    expression_weight: float = 0.2,
    smoothness_weight: float = 2.5,
    jaw_weight: float = 0.5,
    opening_weight: float = 0.4,
  ):
    """Sets up.

    Args:
      system: whose decode and camera are used.
      steps: of Adam, on all frames at once.
      step_size: at the start, raw units; falls to a hundredth by a cosine.
      landmark_weight: of L_lm, per frame.
      expression_weight: of the l1 of w, per frame.
      smoothness_weight: of L_sd.
      jaw_weight: of the contour points.
      opening_weight: of `opening_loss`, per frame.
    """
    self._system = system
    self._template = system.template
    self._marked = np.asarray(system.template.landmark_vertices)
    self._steps, self._step_size = steps, step_size
    self._landmark_weight = landmark_weight
    self._expression_weight = expression_weight
    self._neutral_prior = NeutralPrior(system.template)
    self._smoothness_weight = smoothness_weight
    self._weights = landmark_weights(jaw_weight)
    self._opening_weight = opening_weight
    self._expression_prior = ExpressionPrior(system.template.blendshape_names)
    self._edges = topology.edges(system.template.triangles)
    self._sample = VertexSampler(system.template.uv, system.template.uv_size)

  def solve(
    self,
    person: PersonModel,
    frames: Frames,
    tracking: TrackingParameters,
    warm: bool = False,
  ) -> None:
    """Moves `tracking` to where a given person's landmarks fit best.

    Args:
      person: B = 1.
      frames: F.
      tracking: of the same frames; where it stands is the start.
      warm: whether that is close already: a third of the steps, the head's a fifth as
        long. A blink or a shout between two frames is not, so that a frame which ends
        clearly better from rest is taken from there.
    """
    geometry = self._system.face_model.geometry(
      *self._system.face_model.vertex_offsets(person)
    )
    marked = PersonGeometry(*(tf.gather(v, self._marked, axis=1) for v in geometry))
    optimizer = RowAdam(tracking.rows)
    landmarks, expected = self._targets(frames)

    @tf.function(autograph=False)
    def step(size):
      with tf.GradientTape() as tape:
        total = self._motion_loss(marked, tracking, landmarks, expected)
      optimizer.step(tape.gradient(total, tracking.rows), size)

    def descend(sizes: Sequence[np.ndarray]) -> None:
      optimizer.reset()
      for size in sizes:
        step(tf.constant(size, tf.float32))

    def error() -> np.ndarray:
      """NME of each frame, [F]."""
      points, _ = self._project(marked, tracking)
      return nme_percent(points[0], landmarks[0])

    from_rest = [self._size(i, tracking) for i in range(self._steps)]
    if not warm:
      descend(from_rest)
      return
    sizes = self._step_size * tracking.step_sizes(_WARM_EXPRESSION, _WARM_POSE, 0.0)
    descend([self._cosine(i) * sizes for i in range(0, self._steps, 3)])
    refined, refined_error = tracking.rows.numpy(), error()
    moving = tracking.step_sizes(1.0, 1.0, 0.0) > 0  # not the light
    tracking.rows.assign(np.where(moving, 0, refined))
    descend(from_rest)
    kept = (refined_error <= _CLEARLY * error())[:, np.newaxis]
    tracking.rows.assign(np.where(kept, refined, tracking.rows))

  def solve_with_identity(
    self, parameters: PersonParameters, frames: Frames, tracking: TrackingParameters
  ) -> None:
    """The same, with the coarse levels of the identity's map free as well."""
    levels = [v for v in parameters.maps.shape_neutral.levels if v.shape[0] <= 32]
    optimizers = [RowAdam(v) for v in (tracking.rows, *levels)]
    landmarks, expected = self._targets(frames)
    deltas = tf.constant(self._template.blendshape_deltas.transpose(1, 0, 2))
    deltas = tf.gather(deltas, self._marked)[tf.newaxis]
    neutral = tf.constant(self._template.vertices)

    @tf.function(autograph=False)
    def step(size, identity_size):
      with tf.GradientTape() as tape:
        person = parameters.person(blendshapes=False)
        offsets = self._sample(person.neutral_correction)  # [1, V, 3]
        marked = tf.gather(neutral + offsets, self._marked, axis=1)
        geometry = PersonGeometry(marked, deltas)
        total = self._motion_loss(geometry, tracking, landmarks, expected)
        # Of the person once, but as the mean of four frames' losses would weigh it.
        share = frames.count / 4
        smooth = shape_smoothness_loss(offsets, self._edges)
        total += share * self._smoothness_weight * smooth
        total += share * self._neutral_prior(offsets)
      sources = [tracking.rows, *levels]
      gradients = tape.gradient(total, sources)
      optimizers[0].step(gradients[0], size)
      for optimizer, gradient in zip(optimizers[1:], gradients[1:], strict=True):
        optimizer.step(gradient, identity_size)

    for i in range(self._steps):
      # The pose first: a head that is still off would be explained by its shape.
      free = 0.0 if i < self._steps // 3 else 0.03 * self._cosine(i)
      step(tf.constant(self._size(i, tracking)), tf.constant(free, tf.float32))

  def _targets(self, frames: Frames) -> tuple[Tensor, Tensor]:
    """Landmarks [1, F, L, 2] and the expected coefficients [F, K]."""
    expected = frames.expected_expression(self._template.num_blendshapes)
    return tf.constant(frames.landmarks[np.newaxis]), tf.constant(expected)

  def _motion_loss(
    self,
    marked: PersonGeometry,
    tracking: TrackingParameters,
    landmarks: Tensor,
    expected: Tensor,
  ) -> Tensor:
    predicted, motion = self._project(marked, tracking)
    size = self._system.camera.height
    total = self._landmark_weight * landmark_loss(
      predicted, landmarks, size, self._weights
    )
    total += self._opening_weight * opening_loss(predicted, landmarks, size)
    total += self._expression_prior(motion.expression)
    beyond = beyond_expected(motion, expected).expression
    return total + self._expression_weight * expression_l1(beyond)

  def _project(
    self, marked: PersonGeometry, tracking: TrackingParameters
  ) -> tuple[Tensor, Tracking]:
    """The points [1, F, L, 2] in pixels, and the motion [1, F, ...]."""
    chosen = tf.range(tracking.rows.shape[0])
    motion = tracking.tracking(
      tf.convert_to_tensor(tracking.rows),
      tf.convert_to_tensor(tracking.scene_light),
      chosen,
    )
    motion = Tracking(*(value[tf.newaxis] for value in motion))
    vertices = self._system.face_model.shape(marked, motion.expression)
    vertices = self._system.camera_vertices(vertices, motion)
    return self._system.project_marked(vertices), motion

  def _size(self, i: int, tracking: TrackingParameters) -> np.ndarray:
    """[K + 33] of step i. The expression waits until the head is about in place."""
    expression = 0.0 if i < self._steps // 6 else 1.0
    share = tracking.step_sizes(expression, 1.0, 0.0)
    return (self._step_size * self._cosine(i) * share).astype(np.float32)

  def _cosine(self, i: int) -> float:
    return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * i / self._steps))
