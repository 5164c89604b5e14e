"""The fit: one person's frames -> PersonModel and Tracking, in phases.

    landmarks (fitting/landmarks.py) -> light at constant albedo
    -> identity and static albedo -> blendshape and dynamic-albedo corrections

The decode, the renderer and the losses are those of training; gin gives each phase its
values under its name as a scope, as it gives them to the stages of training.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import (
  Batch,
  PersonModel,
  Rendering,
  Tensor,
  Tracking,
)
from personalized_face.fitting.adam import RowAdam
from personalized_face.fitting.contour import SpreadContour
from personalized_face.fitting.expression_prior import (
  ExpressionPrior,
  beyond_expected,
)
from personalized_face.fitting.frames import Frames, minibatches
from personalized_face.fitting.landmarks import LandmarkSolver
from personalized_face.fitting.light import solve_light
from personalized_face.fitting.parameters import PersonParameters, TrackingParameters
from personalized_face.fitting.priors import FitPriors, without_occlusions
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.systems.personalized_face import PersonalizedFace

_NEVER = 1e3  # an error that no pixel reaches
_FRAMES = 4  # the N that the weights of the losses of a person are stated for
# The terms of Eq. 3 that count once per person.
_PERSON_TERMS = ("smoothness", "blendshape_gradient")


@gin.configurable(module="fitting")
@dataclasses.dataclass(frozen=True)
class Phase:
  """What moves in a phase, by how much a step. 0 holds a quantity still.

  Attributes:
    name: its gin scope.
    steps: of Adam, each on a minibatch.
    expression, pose, light: raw units (face_model/parameters.py), per frame.
    neutral, static_albedo, blendshapes, dynamic_albedo: raw units, each level of a map.
    final_share: what is left of the step sizes at the end, by a cosine.
    occlusion_scale: see `without_occlusions`; None counts every pixel.
  """

  name: str
  steps: int
  expression: float = 0.0
  pose: float = 0.0
  light: float = 0.0
  neutral: float = 0.0
  static_albedo: float = 0.0
  blendshapes: float = 0.0
  dynamic_albedo: float = 0.0
  final_share: float = 1.0
  occlusion_scale: float | None = None

  @property
  def moves_corrections(self) -> bool:
    """Whether anything that depends on the expression is learned."""
    return self.blendshapes > 0 or self.dynamic_albedo > 0


@gin.configurable(module="fitting")
@dataclasses.dataclass(frozen=True)
class Schedule:
  """The fit's phases by name, and the frames of a step."""

  phases: Sequence[str]
  frames_per_step: int = 4
  seed: int = 0

  def configured(self) -> list[tuple[Phase, LossWeights]]:
    """Each phase with its weights, as gin has them under its name."""
    found = []
    for name in self.phases:
      with gin.config_scope(name):
        found.append((Phase(name=name), LossWeights()))
    return found


class Shown(NamedTuple):
  """Some frames of a fit, R of them."""

  rows: np.ndarray  # [R] integer, which frames
  images: np.ndarray  # [R, S, S, 3] in [0, 1]
  rendering: Rendering  # [R, ...]


class PersonFit:
  """A fit under way: what has been found so far can be read at any time.

  Attributes:
    parameters, tracking: the variables.
  """

  def __init__(
    self, system: PersonalizedFace, frames: Frames, skin_colour: bool = True
  ):
    """Sets up; nothing is fitted yet.

    Args:
      system: decode and renderer; its networks are not used.
      frames: of the person.
      skin_colour: whether the template's albedo takes the person's colour at the start
        and the light is white; without albedo corrections the light must have it.
    """
    self._skin_colour = skin_colour
    self._system = system
    self._frames = frames
    self.parameters = PersonParameters(system.template)
    count = system.template.num_blendshapes
    self.tracking = TrackingParameters(frames.scenes, count)
    self._expected = frames.expected_expression(count)
    self._priors = FitPriors(system.template)
    self._expression_prior = ExpressionPrior(system.template.blendshape_names)
    self._contour = SpreadContour(system)
    self._loss = FaceLoss(system.template, system.camera.height)
    self._optimizers = _Optimizers(self.parameters, self.tracking)
    self._corrected = False  # whether blendshape corrections have begun
    self._steps = {}

  def restart(self, frames: Frames) -> None:
    """Forgets what was found and takes another person's frames; traces serve again.

    Args:
      frames: as many, of the same scenes.

    Raises:
      ValueError: of other scenes.
    """
    if not np.array_equal(frames.scenes, self._frames.scenes):
      raise ValueError(f"frames of the scenes {frames.scenes}, not as before")
    self._frames, self._corrected = frames, False
    self._expected = frames.expected_expression(self._expected.shape[1])
    self.parameters.reset()
    self.tracking.reset()
    self._optimizers.reset()

  def person(self) -> PersonModel:
    """The person found so far; numpy, without B."""
    person = self.parameters.person(self._corrected)
    return PersonModel(*(value.numpy()[0] for value in person))

  def shown(self) -> Shown:
    """At most four frames, spread over all, as they are rendered by now."""
    count = self._frames.count
    rows = np.linspace(0, count - 1, min(_FRAMES, count)).astype(int)
    full = np.resize(rows, _FRAMES)  # no new trace
    part = Tracking(*(value[full][np.newaxis] for value in self.tracking.all()))
    rendering = self._render(self.parameters.person(self._corrected), part)
    return Shown(
      rows,
      self._frames.batch(rows).images[0],
      Rendering(*(value[0, : len(rows)] for value in rendering)),
    )

  def run(
    self,
    schedule: Schedule,
    phases: list[tuple[Phase, LossWeights]] | None = None,
    on_step: Callable[[str, int, dict], None] | None = None,
  ) -> bool:
    """Runs every phase.

    Args:
      schedule: minibatches and the phases.
      phases: in place of the schedule's own, such as `ablation.ablated` makes.
      on_step: called after each step with the phase's name, the steps done since the
        beginning, and the raw terms of the loss, scalars.

    Returns:
      Whether the fit came to its end; False where an interrupt (Ctrl-C) ended it, with
      the best so far in place.
    """
    phases = phases or schedule.configured()
    total = sum(phase.steps for phase, _ in phases)
    done = 0
    try:
      LandmarkSolver(self._system).solve_with_identity(
        self.parameters, self._frames, self.tracking
      )
      self._start_light()
      for i, (phase, weights) in enumerate(phases):
        done = self._run_phase(phase, weights, schedule, i, done, total, on_step)
    except KeyboardInterrupt:
      logging.warning("Interrupted after %d of %d steps; kept as it is.", done, total)
      return False
    return True

  def _start_light(self) -> None:
    """White light for each scene, and the colour of the skin, in closed form."""
    person, tracking = self.parameters.person(False), self.tracking.all()
    light = np.zeros(self.tracking.scene_light.shape, np.float32)
    colours = []
    for scene in range(len(light)):
      members = np.flatnonzero(self._frames.scenes == scene)
      chosen = members[
        np.linspace(0, len(members) - 1, min(4, len(members))).astype(int)
      ]
      chosen = np.resize(chosen, _FRAMES)  # one shape for every scene
      part = Tracking(*(value[chosen][np.newaxis] for value in tracking))
      rendering = self._render(person, part)
      images = self._frames.batch(chosen).images
      found, colour = solve_light(images, rendering, self._skin_colour)
      light[scene] = (found - ambient_light(1.0)).ravel()
      colours.append(colour)
    self.tracking.scene_light.assign(light)
    self.parameters.colour.assign(np.exp(np.mean(np.log(colours), axis=0)))

  @tf.function(autograph=False)
  def _render(self, person: PersonModel, tracking: Tracking):
    return self._system.reconstruct(person, tracking).rendering

  def _run_phase(self, phase, weights, schedule, index, done, total, on_step) -> int:
    size = schedule.frames_per_step
    chosen = minibatches(
      self._frames.count, size, phase.steps, seed=schedule.seed + index
    )
    scale = tf.constant(phase.occlusion_scale or _NEVER, tf.float32)
    self._corrected |= phase.moves_corrections
    step, values = self._step_of(phase, weights, chosen.shape[1])
    for i, rows in enumerate(chosen):
      ease = _cosine(i / max(phase.steps, 1), phase.final_share)
      sizes = self._optimizers.sizes(phase, ease, (done + 1) / total)
      batch, expected = self._frames.batch(rows), tf.constant(self._expected[rows])
      terms = step(tf.constant(rows), batch, expected, sizes, values, scale)
      done += 1
      if on_step:
        on_step(phase.name, done, terms)
    return done

  def _step_of(self, phase: Phase, weights: LossWeights, frames: int):
    """A traced step for what a phase moves, and its loss weights as tensors."""
    share = frames / _FRAMES
    values = {
      name: value * (share if name in _PERSON_TERMS else 1.0)
      for name, value in weights._asdict().items()
      if value
    }
    key = (phase.moves_corrections or self._corrected, *values)
    if key not in self._steps:
      self._steps[key] = tf.function(self._make_step(*key), autograph=False)
    return self._steps[key], {k: tf.constant(v, tf.float32) for k, v in values.items()}

  def _make_step(self, corrections: bool, *names: str):
    """One step that evaluates the named terms."""
    sources = self._optimizers.sources(corrections)

    def step(
      rows: Tensor,
      batch: Batch,
      expected: Tensor,
      sizes: dict,
      values: dict,
      scale: Tensor,
    ) -> dict[str, Tensor]:
      table = tf.gather(self.tracking.rows, rows)
      scene_light = tf.convert_to_tensor(self.tracking.scene_light)
      with tf.GradientTape() as tape:
        tape.watch([table, scene_light])
        person = self.parameters.person(corrections)
        tracking = self.tracking.tracking(table, scene_light, rows)
        tracking = Tracking(*(value[tf.newaxis] for value in tracking))
        outputs = self._system.reconstruct(person, tracking)
        outputs = outputs._replace(
          tracking=beyond_expected(tracking, expected),
          landmarks=self._contour.landmarks(outputs),
          rendering=without_occlusions(batch, outputs.rendering, scale),
        )
        weights = LossWeights(**dict.fromkeys(LossWeights._fields, 0.0))
        weights = weights._replace(**{name: values[name] for name in names})
        total, terms = self._loss(outputs, batch, weights)
        share = rows.shape[0] / _FRAMES
        total += share * self._priors.of_person(
          person.static_albedo, person.neutral_correction, outputs.neutral_offsets
        )
        total += self._priors.of_light(self.tracking.light_change(table))
        total += self._expression_prior(tracking.expression)
        total += self._priors.of_openings(
          outputs.landmarks, batch.landmarks, self._system.camera.height
        )
      variables = [table, scene_light, *sources]
      gradients = tape.gradient(total, variables)
      self._optimizers.step(gradients, rows, sizes, corrections)
      return {"total": total, **terms}

    return step


class _Optimizers:
  """One Adam for each table and each level of a map."""

  def __init__(self, parameters: PersonParameters, tracking: TrackingParameters):
    self._tracking = tracking
    self._maps = parameters.maps
    self._rows = RowAdam(tracking.rows)
    self._scene_light = RowAdam(tracking.scene_light)
    self._levels = {
      name: [RowAdam(level) for level in pyramid.levels]
      for name, pyramid in parameters.maps._asdict().items()
    }

  def sources(self, corrections: bool) -> list[tf.Variable]:
    """The levels that are differentiated, in a fixed order."""
    return [o.variable for name in self._names(corrections) for o in self._levels[name]]

  def sizes(self, phase: Phase, ease: float, progress: float) -> dict[str, Tensor]:
    """The step sizes of one step."""
    row = self._tracking.step_sizes(phase.expression, phase.pose, phase.light)
    sizes = {"rows": ease * row, "scene_light": np.float32(ease * phase.light)}
    for name, size in (
      ("shape_neutral", phase.neutral),
      ("shape_blendshapes", phase.blendshapes),
      ("albedo_neutral", phase.static_albedo),
      ("albedo_blendshapes", phase.dynamic_albedo),
    ):
      shares = getattr(self._maps, name).shares(progress)
      sizes[name] = ease * size * np.array(shares, np.float32)
    return {name: tf.constant(value, tf.float32) for name, value in sizes.items()}

  def step(self, gradients, rows: Tensor, sizes: dict, corrections: bool) -> None:
    """Moves everything."""
    to_rows, to_light, *to_levels = gradients
    self._rows.step(to_rows, sizes["rows"], rows)
    self._scene_light.step(to_light, sizes["scene_light"])
    to_levels = iter(to_levels)
    for name in self._names(corrections):
      for i, optimizer in enumerate(self._levels[name]):
        optimizer.step(next(to_levels), sizes[name][i])

  def reset(self) -> None:
    """Forgets all moments."""
    levels = [optimizer for group in self._levels.values() for optimizer in group]
    for optimizer in (self._rows, self._scene_light, *levels):
      optimizer.reset()

  def _names(self, corrections: bool) -> list[str]:
    moved = ("shape_neutral", "albedo_neutral")
    return [name for name in self._levels if corrections or name in moved]


def _cosine(share: float, final: float) -> float:
  """From 1 to `final`."""
  return final + (1 - final) * 0.5 * (1 + np.cos(np.pi * share))
