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

from personalized_face import config
from personalized_face.data.dataset import make_dataset
from personalized_face.losses.total import FaceLoss
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training import batch_norm
from personalized_face.training.checkpoints import CONFIG_FILE, Checkpoints
from personalized_face.training.interruption import Interruption, Preempted
from personalized_face.training.precision import bfloat16_convolutions
from personalized_face.training.stage_loop import Every, StageLoop
from personalized_face.training.stages import configured_stage
from personalized_face.training.summaries import Summaries
from personalized_face.training.trainer import Trainer


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
  keep_checkpoints: int = 3,
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
    keep_checkpoints: so many of the newest of each stage stay.
    bfloat16: convolutions of the steps in bfloat16, on a CPU that has it. Statistics,
      evaluation and exports stay float32.

  Returns:
    The last logged terms of the last stage.

  Raises:
    Preempted: after SIGTERM, once a checkpoint is written.
    UserError: a loss term that is not finite, named with its stage and step.
  """
  face_loss = FaceLoss(system.template, system.camera.height, camera=system.camera)
  terms: dict[str, float] = {}
  every = Every(log_every, pictures_every, checkpoint_every)
  with Interruption() as interruption:
    for index, name in enumerate(stages):
      stage, weights = configured_stage(name)
      trainer = Trainer(system, stage, face_loss, weights)
      checkpoints = Checkpoints(run_dir, trainer, keep_checkpoints)
      start = checkpoints.restore()
      if start >= stage.steps:
        logging.info("%s is complete in %s (%d steps).", name, run_dir, start)
        continue
      batches = functools.partial(
        _stage_data,
        name,
        records_dir,
        groups_per_batch=groups_per_batch,
        frames_per_group=frames_per_group,
        # Each stage walks the data in an order of its own.
        seed=seed + index,
      )
      summaries = Summaries(run_dir, trainer)
      summaries.text("config", config.operative_config_text())

      def names_of(step: int, batches=batches) -> list[str]:
        names = next(iter(batches(skip_batches=step - 1, names=True)))
        return [name.decode() for name in names.numpy()]

      stage_loop = StageLoop(
        trainer, checkpoints, summaries, every, interruption, run_dir, names_of
      )
      with bfloat16_convolutions(bfloat16):
        terms = stage_loop.run(batches(skip_batches=start).take(stage.steps - start))
      if recalibration_batches and stage.batch_statistics:
        batch_norm.recalibrate(
          system,
          batches().take(recalibration_batches),
          track_net=stage.train_track_net,
          model_net=stage.train_model_net,
        )
      checkpoints.save()
      summaries.close()
      if interruption.requested and index + 1 < len(stages):
        logging.info("SIGTERM: stopped after %s; the same command goes on.", name)
        raise Preempted()
  config.save_operative(os.path.join(run_dir, CONFIG_FILE))
  return terms


def _stage_data(stage: str, records_dir: str, **options) -> tf.data.Dataset:
  """Training batches, with what gin has for the stage: `refine/Jitter.shift = 0`."""
  with gin.config_scope(stage):
    return make_dataset(records_dir, "train", **options)
