"""A run's TrackNet, fine-tuned on one person's fitted frames.

    crops, fitted Tracking --Jitter--> moved crops, moved Tracking --> TrackNet's error

A fit takes minutes for a clip; the network then tracks new footage of the same person
as it comes. It learns the fitted coefficients, pose and light on crops that are moved,
scaled and turned, as those of a live tracker are.
"""

import dataclasses
import os
import shutil
from typing import NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.core.types import (
  Batch,
  PersonGeometry,
  PersonModel,
  Tensor,
  Tracking,
)
from personalized_face.data.augment import Jitter
from personalized_face.data.crop import resized
from personalized_face.data.frame_truth import FrameTruth
from personalized_face.export.run_folder import make_folder
from personalized_face.fitting.frames import Frames, minibatches, take_tracking
from personalized_face.inference.track import Tracker, person_geometry, to_float
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.progress import tqdm
from personalized_face.rendering.camera import Camera, project
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training import disk
from personalized_face.training.checkpoints import (
  CONFIG_FILE,
  TEMPLATE_FILE,
  load_system,
)

STAGE = "distilled"
LEAST_FRAMES = 16  # to learn from
_POINT_STEP = 8  # every so many vertices are compared on the picture
# Squared pixels of a 224 px crop for the square of a coefficient, a radian, a decimetre
# along the view and a light coefficient: what these move a point, see
# face_model/parameters.py; light, which moves none, by its weight in the picture.
_EXPRESSION, _ROTATION, _DEPTH, _LIGHT = 100.0, 1e4, 100.0, 100.0


@gin.configurable(module="pipelines")
@dataclasses.dataclass(frozen=True)
class Distillation:
  """How a tracker is fine-tuned.

  Attributes:
    steps: of Adam.
    batch_size: crops a step.
    learning_rate: at the start; a cosine leads it to 0.
    shift, log_scale, degrees: of the crops, see `Jitter`. A crop that follows the frame
      before is off by as much as the head has moved.
    seed: of frames and jitter.
  """

  steps: int = 300
  batch_size: int = 8
  learning_rate: float = 2e-4
  shift: float = 0.05
  log_scale: float = 0.05
  degrees: float = 5.0
  seed: int = 0


class Distilled(NamedTuple):
  """How near the tracker's points are to the detector's: median NME, percent."""

  before: float
  after: float


def require_run(run_dir: str, template: FaceTemplate) -> None:
  """Says before minutes of fitting that a run cannot be fine-tuned for it.

  Raises:
    UserError: not a run folder, or one of another template.
  """
  path = os.path.join(run_dir, TEMPLATE_FILE)
  for name in (TEMPLATE_FILE, CONFIG_FILE):
    if not os.path.isfile(os.path.join(run_dir, name)):
      raise UserError(
        f"{run_dir} is not a finished run (it has no {name}); name one that "
        "`pface_train` made."
      )
  own = FaceTemplate.load(path)
  if own.hash != template.hash:
    raise UserError(
      f"The tracker in {run_dir} is of the template {own.name} ({own.hash}), not "
      f"{template.name} ({template.hash}); fit with --template={path}."
    )


def distill(
  run_dir: str,
  output_dir: str,
  person: PersonModel,
  frames: Frames,
  tracking: Tracking,
  learned: np.ndarray,
  measured: np.ndarray,
  settings: Distillation,
) -> Distilled:
  """Fine-tunes the TrackNet of a run and writes it as another run.

  An interrupt (Ctrl-C) ends it with what has been learned. gin holds the run's
  configuration afterwards.

  Args:
    run_dir: of pface_train, with the template of the fit.
    output_dir: of the new run.
    person: the fitted one, without B.
    frames: F.
    tracking: [F, ...] fitted to them.
    learned: indices of the frames to learn from.
    measured: indices of the frames to measure on.
    settings: see there.

  Raises:
    UserError: not a run, too few frames, or the folder cannot be written.
  """
  if len(learned) < LEAST_FRAMES:
    raise UserError(
      f"{len(learned)} pictures are too few to fine-tune a tracker on; give a video "
      f"with {LEAST_FRAMES} frames to learn from, or leave --distill off."
    )
  system = load_system(run_dir)
  teacher = _Teacher(system, person_geometry(system, person), settings)
  before = teacher.nme_percent(frames.take(measured))
  chosen = minibatches(len(learned), settings.batch_size, settings.steps, settings.seed)
  crops = resized(frames.images[learned], system.camera.height)
  targets = take_tracking(tracking, learned)
  try:
    for step, rows in enumerate(tqdm(chosen, desc="distilling", unit="step")):
      teacher.step(
        to_float(crops[rows]), take_tracking(targets, rows), tf.constant(step)
      )
  except KeyboardInterrupt:
    logging.warning("Interrupted; the tracker is kept as it is.")
  _write(system, run_dir, output_dir, settings.steps)
  return Distilled(before, teacher.nme_percent(frames.take(measured)))


class _Teacher:
  """The network, its optimizer and its error."""

  def __init__(
    self, system: PersonalizedFace, geometry: PersonGeometry, settings: Distillation
  ):
    self._system, self._settings, self._geometry = system, settings, geometry
    self._points = PersonGeometry(
      *(tf.constant(np.asarray(part)[:, ::_POINT_STEP]) for part in geometry)
    )
    self._jitter = Jitter(settings.shift, settings.log_scale, settings.degrees)
    self._variables = system.track_net.trainable_variables
    schedule = keras.optimizers.schedules.CosineDecay(
      settings.learning_rate, settings.steps
    )
    self._optimizer = keras.optimizers.Adam(schedule)
    self._optimizer.build(self._variables)

  @tf.function(autograph=False)
  def step(self, images: Tensor, tracking: Tracking, number: Tensor) -> Tensor:
    """Learns from crops [n, S, S, 3] and their Tracking; returns the error."""
    labels = tf.zeros(images.shape[:3], tf.int32)  # the jitter moves some
    batch = Batch(images, self._project(tracking), labels)
    numbers = [self._settings.seed, number]
    moved = self._jitter.apply(batch, numbers)
    target = moved_tracking(tracking, self._jitter, numbers, self._system.camera)
    with tf.GradientTape() as tape:
      # The statistics stay the run's: what is trained is what will be used.
      found = self._system.track(moved.images, training=False)
      error = self._error(found, target, moved.landmarks)
    gradients = tape.gradient(error, self._variables)
    self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
    return error

  def nme_percent(self, frames: Frames) -> float:
    """The tracker's points against the frames' own, without jitter: the median."""
    size = self._system.camera.height
    tracker = Tracker(self._system)
    marked = tracker.marked(self._geometry)
    # One at a time, as it will be used: one trace, and little memory.
    found = np.concatenate(
      [
        tracker.track(crop[np.newaxis], marked)[1]
        for crop in resized(frames.images, size)
      ]
    )
    reference = frames.landmarks * (size / frames.images.shape[1])
    return float(np.median(nme_percent(found, reference)))

  def _error(self, found: Tracking, target: Tracking, points: Tensor) -> Tensor:
    """Squared pixels of a 224 px crop, mean over the crops."""
    per_pixel = 224 / self._system.camera.height
    distances = tf.reduce_sum(tf.square(self._project(found) - points), axis=-1)
    error = per_pixel**2 * tf.reduce_mean(distances)
    for value, wanted, weight in (
      (found.expression, target.expression, _EXPRESSION),
      (found.rotation, target.rotation, _ROTATION),
      (found.translation[:, 2:], target.translation[:, 2:], _DEPTH),
      (found.light, target.light, _LIGHT),
    ):
      difference = tf.reshape(value - wanted, [tf.shape(value)[0], -1])
      error += weight * tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=-1))
    return error

  def _project(self, tracking: Tracking) -> Tensor:
    """The compared points [n, P, 2], pixels of the crop."""
    grouped = Tracking(*(value[tf.newaxis] for value in tracking))  # B = 1
    shape = self._system.face_model.shape(self._points, grouped.expression)
    vertices = self._system.camera_vertices(shape, grouped)
    return project(vertices, self._system.camera)[0]


def moved_tracking(
  tracking: Tracking, jitter: Jitter, numbers: list, camera: Camera
) -> Tracking:
  """The motion that the fixed camera sees in crops that a jitter has moved.

  Turned with the picture; what was enlarged is nearer. Where the head is across the
  view is not said: the moved points do.

  Args:
    tracking: [n, ...] of the crops before.
    jitter, numbers: see `Jitter.apply`.
    camera: of the crops.
  """
  lens = tf.constant([camera.focal_pixels, camera.principal_x, camera.principal_y])
  lenses = tf.tile(lens[tf.newaxis], [tracking.rotation.shape[0], 1])
  moved = jitter.apply_to_truth(FrameTruth(tracking, lenses), numbers, camera.height)
  nearer = camera.focal_pixels / moved.camera[:, :1]
  across, depth = moved.tracking.translation[:, :2], moved.tracking.translation[:, 2:]
  return moved.tracking._replace(translation=tf.concat([across, nearer * depth], -1))


def _write(system: PersonalizedFace, run_dir: str, output_dir: str, steps: int) -> None:
  """The run folder; the checkpoint last, without which it is no run."""
  make_folder(output_dir)
  with disk.writing("The fine-tuned tracker", output_dir):
    if not os.path.samefile(run_dir, output_dir):  # refined once more
      for name in (TEMPLATE_FILE, CONFIG_FILE):
        shutil.copyfile(os.path.join(run_dir, name), os.path.join(output_dir, name))
    checkpoint = tf.train.Checkpoint(system=system)
    folder = os.path.join(output_dir, STAGE)
    tf.train.CheckpointManager(checkpoint, folder, max_to_keep=1).save(steps)
