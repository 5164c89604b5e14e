"""Motion of new frames with the face model fixed: landmarks, then pixels.

    frames, PersonModel -> landmarks, all frames together -> light in closed form
                        -> pixels, some frames at a time -> Tracking

What the prior (ablation A) is measured with as well: the same steps for both.
"""

from collections.abc import Callable, Mapping

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import Batch, PersonModel, Rendering, Tensor, Tracking
from personalized_face.fitting.adam import RowAdam
from personalized_face.fitting.expression_prior import (
  ExpressionPrior,
  beyond_expected,
)
from personalized_face.fitting.frames import Frames
from personalized_face.fitting.landmarks import LandmarkSolver
from personalized_face.fitting.light import solve_light
from personalized_face.fitting.openings import opening_loss
from personalized_face.fitting.parameters import TrackingParameters
from personalized_face.fitting.priors import FitPriors, without_occlusions
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.systems.personalized_face import PersonalizedFace

_LIGHT_FRAMES = 8
# A blink takes some 0.3 s, a syllable 0.2 s.
_NEAR_SECONDS = 0.15


@gin.configurable(module="fitting")
class TrackingSolver:
  """Solves w, pose and light for one person; traces once."""

  def __init__(
    self,
    system: PersonalizedFace,
    person: PersonModel | None = None,
    steps: int = 20,
    chunk: int = 8,
    expression: float = 0.3,
    pose: float = 0.02,
    light: float = 0.02,
    occlusion_scale: float = 0.2,
    landmark_weight: float = 0.5,
    regularization_weight: float = 0.2,
    opening_weight: float = 0.4,
  ):
    """Sets up.

    Args:
      system: decode and renderer.
      person: without B; None is the bare template, the prior.
      steps: of Adam under the pixels, for each frame.
      chunk: frames solved together.
      expression, pose, light: step sizes at the start, raw units.
      occlusion_scale: see `without_occlusions`.
      landmark_weight, regularization_weight: of Eq. 3; the photometric terms have
        LossWeights' own.
      opening_weight: of `opening_loss`, per frame, at landmarks and at pixels. It may
        be more than in a fit, whose shape would take on the detector's errors.
    """
    self._system = system
    self._prior = person is None
    if person is None:
      self._person = system.face_model.template_person(1)
    else:
      self._person = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
    self._steps, self._chunk = steps, chunk
    self._sizes = (expression, pose, light)
    self._scale = occlusion_scale
    self._loss = FaceLoss(system.template, system.camera.height)
    self._priors = FitPriors(system.template)
    self._expression_prior = ExpressionPrior(system.template.blendshape_names)
    self._opening_weight = opening_weight
    self._weights = LossWeights()._replace(
      landmark=landmark_weight,
      regularization=regularization_weight,
      parsing=0.0,
      smoothness=0.0,
      blendshape_gradient=0.0,
    )
    self._landmarks = LandmarkSolver(system, opening_weight=opening_weight)
    # What descends, one chunk at a time: one trace for all.
    # Every frame of it is a scene of its own, so that chunks may span clips.
    count = system.template.num_blendshapes
    self._local = TrackingParameters(np.arange(chunk), count)
    self._optimizer = RowAdam(self._local.rows)
    self._step = tf.function(self._pixel_step, autograph=False)
    self._render = tf.function(self._rendering, autograph=False)

  def solve(
    self,
    frames: Frames,
    known_light: Mapping[int, np.ndarray] | None = None,
    start: np.ndarray | None = None,
    on_frames: Callable[[int], None] | None = None,
  ) -> Tracking:
    """The motion of all frames.

    Args:
      frames: F of them.
      known_light: [27] raw of the scenes that a fit has seen; that of others is solved
        here.
      start: [F, K + 33] raw rows, such as `between` gives; None starts at rest.
      on_frames: called with the number of frames that have been finished.

    Returns:
      Tracking [F, ...], numpy.
    """
    tracking = TrackingParameters(frames.scenes, self._system.template.num_blendshapes)
    if start is not None:
      tracking.rows.assign(start)
    self._landmarks.solve(self._person, frames, tracking, warm=start is not None)
    light = self._scene_light(frames, tracking.all(), known_light or {})
    tracking.scene_light.assign(light)
    for first in range(0, frames.count, self._chunk):
      rows = np.arange(first, min(first + self._chunk, frames.count))
      self._descend(frames, tracking, rows)
      if on_frames:
        on_frames(len(rows))
    return tracking.all()

  def _scene_light(
    self, frames: Frames, tracking: Tracking, known: Mapping[int, np.ndarray]
  ) -> np.ndarray:
    """[G, 27] raw; what is not known in closed form on the albedo as it is."""
    light = np.zeros([int(frames.scenes.max()) + 1, 27], np.float32)
    for scene in np.unique(frames.scenes).tolist():
      if scene in known:
        light[scene] = known[scene]
        continue
      members = np.flatnonzero(frames.scenes == scene)
      picks = np.linspace(0, len(members) - 1, min(_LIGHT_FRAMES, len(members)))
      chosen = np.resize(members[picks.astype(int)], self._chunk)
      part = Tracking(*(value[chosen][np.newaxis] for value in tracking))
      found, _ = solve_light(frames.batch(chosen).images, self._render(part))
      light[scene] = (found - ambient_light(1.0)).ravel()
    return light

  def _descend(
    self, frames: Frames, tracking: TrackingParameters, rows: np.ndarray
  ) -> None:
    """The pixel steps of one chunk, filled up with its last frame to its full size."""
    full = np.minimum(np.arange(rows[0], rows[0] + self._chunk), rows[-1])
    self._local.rows.assign(tf.gather(tracking.rows, full))
    light = tf.gather(tracking.scene_light, frames.scenes[full])
    self._local.scene_light.assign(light)
    self._optimizer.reset()
    batch = frames.batch(full)
    count = self._system.template.num_blendshapes
    expected = tf.constant(frames.take(full).expected_expression(count))
    batch = tf.nest.map_structure(tf.constant, batch)
    for i in range(self._steps):
      ease = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * i / self._steps))
      sizes = ease * tracking.step_sizes(*self._sizes)
      self._step(batch, tf.constant(sizes, tf.float32), expected)
    found = tf.convert_to_tensor(self._local.rows)[: len(rows)]
    tracking.rows.scatter_update(tf.IndexedSlices(found, rows))

  def _pixel_step(self, batch: Batch, sizes: Tensor, expected: Tensor) -> None:
    """One step of Adam on the chunk's rows."""
    with tf.GradientTape() as tape:
      tracking = self._local.tracking(
        tf.convert_to_tensor(self._local.rows),
        tf.convert_to_tensor(self._local.scene_light),
        tf.range(self._chunk),
      )
      tracking = Tracking(*(value[tf.newaxis] for value in tracking))
      outputs = self._reconstruct(tracking)
      outputs = outputs._replace(
        tracking=beyond_expected(tracking, expected),
        rendering=without_occlusions(batch, outputs.rendering, self._scale),
      )
      total, _ = self._loss(outputs, batch, self._weights)
      total += self._priors.of_light(self._local.light_change(self._local.rows))
      total += self._expression_prior(tracking.expression)
      total += self._opening_weight * opening_loss(
        outputs.landmarks, batch.landmarks, self._system.camera.height
      )
    gradient = tape.gradient(total, self._local.rows)
    self._optimizer.step(gradient, sizes)

  def _rendering(self, tracking: Tracking) -> Rendering:
    return self._reconstruct(tracking).rendering

  def _reconstruct(self, tracking: Tracking):
    if self._prior:
      return self._system.reconstruct_prior(tracking)
    return self._system.reconstruct(self._person, tracking)


def is_near(times: np.ndarray, known_times: np.ndarray) -> np.ndarray:
  """Whether the known motion beside a frame is a start to be trusted.

  A start is only refined. Where the nearest known frame is a shout half a second away,
  the landmarks alone are the better one.

  Args:
    times: [F] seconds.
    known_times: [D] seconds, of the frames whose motion is known.

  Returns:
    [F] bool.
  """
  return np.abs(times[:, np.newaxis] - known_times).min(axis=1) <= _NEAR_SECONDS


def between(
  times: np.ndarray, known_times: np.ndarray, known_rows: np.ndarray
) -> np.ndarray:
  """Where to start from: the raw motion of the neighbouring frames, interpolated.

  Args:
    times: [F] seconds.
    known_times: [D] rising, of the frames whose motion is known.
    known_rows: [D, K + 33] raw.

  Returns:
    [F, K + 33] float32; beyond the ends the first and the last.
  """
  columns = [np.interp(times, known_times, column) for column in known_rows.T]
  return np.stack(columns, axis=1).astype(np.float32)
