"""The training loop: stages in order, each resumable, over one set of records.

    records -> tf.data -> Trainer.train_step -> checkpoints, summaries

Each stage starts from what the stage before it left; a stage with a finished
checkpoint is not trained again.
"""

import functools
import os
from collections.abc import Sequence

import gin
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.data.dataset import make_dataset
from personalized_face.losses.total import FaceLoss
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training import batch_norm
from personalized_face.training.checkpoints import CONFIG_FILE, Checkpoints
from personalized_face.training.precision import bfloat16_convolutions
from personalized_face.training.stages import configured_stage
from personalized_face.training.summaries import Summaries
from personalized_face.training.trainer import Trainer, non_finite_term


@gin.configurable(module="training")
def train(
  system: PersonalizedFace,
  records_dir: str,
  run_dir: str,
  stages: Sequence[str] = gin.REQUIRED,
  groups_per_batch: int = gin.REQUIRED,
  frames_per_group: int = gin.REQUIRED,
  seed: int = 0,
  log_every: int = 20,
  pictures_every: int = 200,
  checkpoint_every: int = 500,
  recalibration_batches: int = 0,
  bfloat16: bool = False,
) -> dict[str, float]:
  """Trains the stages in order and leaves the run folder complete.

  Args:
    system: starts from its present values; changed in place.
    records_dir: as `pface_prepare_data` wrote it.
    run_dir: holds template.npz already; gets checkpoints, logs and config.gin.
    stages: names; gin scopes and checkpoint folders.
    groups_per_batch: B persons of a step (the paper: 8).
    frames_per_group: N frames of each (the paper: 4).
    seed: of the order of the data.
    log_every, pictures_every, checkpoint_every: steps between them.
    recalibration_batches: batch-norm statistics are averaged over as many training
      batches after each stage; 0 keeps the moving averages (long trainings).
    bfloat16: convolutions of the steps in bfloat16, on a CPU that has it. Statistics,
      evaluation and exports stay float32.

  Returns:
    The last logged terms of the last stage.

  Raises:
    UserError: a loss term that is not finite, named with its stage and step.
  """
  face_loss = FaceLoss(system.template, system.camera.height, camera=system.camera)
  terms: dict[str, float] = {}
  for index, name in enumerate(stages):
    stage, weights = configured_stage(name)
    trainer = Trainer(system, stage, face_loss, weights)
    checkpoints = Checkpoints(run_dir, trainer)
    start = checkpoints.restore()
    if start >= stage.steps:
      logging.info("%s is complete in %s (%d steps).", name, run_dir, start)
      continue
    batches = functools.partial(
      make_dataset,
      records_dir,
      "train",
      groups_per_batch=groups_per_batch,
      frames_per_group=frames_per_group,
      # Each stage walks the data in an order of its own.
      seed=seed + index,
    )
    summaries = Summaries(run_dir, trainer)
    summaries.text("config", config.operative_config_text())
    with bfloat16_convolutions(bfloat16):
      terms = _run_stage(
        trainer,
        batches(skip_batches=start).take(stage.steps - start),
        checkpoints,
        summaries,
        (log_every, pictures_every, checkpoint_every),
      )
    if recalibration_batches and stage.batch_statistics:
      batch_norm.recalibrate(
        system,
        batches().take(recalibration_batches),
        track_net=stage.train_track_net,
        model_net=stage.train_model_net,
      )
    checkpoints.save()
    summaries.close()
  config.save_operative(os.path.join(run_dir, CONFIG_FILE))
  return terms


def _run_stage(
  trainer: Trainer,
  batches: tf.data.Dataset,
  checkpoints: Checkpoints,
  summaries: Summaries,
  every: tuple[int, int, int],
) -> dict[str, float]:
  """The steps of one stage; returns the last logged terms."""
  log_every, pictures_every, checkpoint_every = every
  steps, first = trainer.stage.steps, int(trainer.step)
  logged: dict[str, float] = {}
  bar = tqdm(batches, trainer.stage.name, total=steps, initial=first, mininterval=1)
  for step, batch in enumerate(bar, start=first + 1):
    try:
      terms = trainer.train_step(batch)
    except tf.errors.InvalidArgumentError as error:
      raise _stopped(error, trainer.stage.name, step) from error
    # The only places where the host waits for the device.
    if step % log_every == 0 or step == steps:
      logged = {name: float(value) for name, value in terms.items()}
      summaries.scalars(step, terms, float(trainer.optimizer.learning_rate))
      bar.set_postfix(loss=f"{logged['total']:.2f}", refresh=False)
    if step % pictures_every == 0 or step == steps:
      summaries.pictures(step, batch)
    if step % checkpoint_every == 0 and step < steps:
      checkpoints.save()
  return logged


def _stopped(error: tf.errors.OpError, stage: str, step: int) -> Exception:
  """What to raise for a failed step: a sentence, where a value was not finite."""
  name = non_finite_term(error)
  if name is None:
    return error
  return UserError(
    f"{stage} stopped at step {step}: the {name} is not finite; lower "
    f"{stage}/Stage.learning_rate, or go on from the last checkpoint."
  )
