"""The training loop: stages in order, each resumable, over one set of records.

    records -> tf.data -> Trainer.train_step -> checkpoints, summaries

Each stage starts from what the stage before it left; a stage with a finished
checkpoint is not trained again.
"""

import functools
import os
from collections.abc import Callable, Sequence

import gin
import tensorflow as tf
from absl import logging

from personalized_face import config
from personalized_face.data import record_damage
from personalized_face.data.dataset import make_dataset
from personalized_face.losses.total import SUPERVISED, FaceLoss, LossWeights
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training import batch_norm, distribution
from personalized_face.training.checkpoints import CONFIG_FILE, Checkpoints
from personalized_face.training.held_out import HeldOut
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
  evaluate_every: int = 0,
  held_out_frames: int = 32,
  keep_checkpoints: int = 3,
  micro_batches: int = 1,
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
    evaluate_every: steps between two measurements on held-out frames; the system with
      the lowest loss there is kept beside the last one. 0 measures nothing.
    held_out_frames: so many frames, spread over the "test" split.
    recalibration_batches: batch-norm statistics are averaged over as many training
      batches after each stage; 0 keeps the moving averages (long trainings).
    keep_checkpoints: so many of the newest of each stage stay.
    micro_batches: a replica's part of a batch is computed in so many pieces, for
      batches that memory would not hold; see Trainer.
    bfloat16: convolutions of the steps in bfloat16, on a CPU that has it, and those of
      the held-out measurements between them. What is recalibrated, evaluated or
      exported after a stage is float32.

  Returns:
    The last logged terms of the last stage.

  Raises:
    Preempted: after SIGTERM, once a checkpoint is written.
    UserError: a loss term that is not finite, named with its stage and step; records
      that are damaged.
  """
  face_loss = FaceLoss(system.template, system.camera.height, camera=system.camera)
  terms: dict[str, float] = {}
  every = Every(log_every, pictures_every, checkpoint_every, evaluate_every)
  writes = distribution.writes()
  with record_damage.named(records_dir), Interruption() as interruption:
    for index, name in enumerate(stages):
      stage, weights = configured_stage(name)
      groups = stage.groups_per_batch or groups_per_batch
      trainer = Trainer(system, stage, face_loss, weights, micro_batches)
      checkpoints = Checkpoints(run_dir, trainer, keep_checkpoints, writes)
      start = checkpoints.restore()
      if start >= stage.steps:
        logging.info("%s is complete in %s (%d steps).", name, run_dir, start)
        continue
      batches = functools.partial(
        _stage_data,
        name,
        records_dir,
        groups_per_batch=groups,
        frames_per_group=frames_per_group,
        # Each stage walks the data in an order of its own.
        seed=seed + index,
        **_supervision(system, weights),
      )
      summaries = Summaries(run_dir, trainer, writes)
      summaries.text("config", config.operative_config_text())

      stage_loop = StageLoop(
        trainer,
        checkpoints,
        summaries,
        every,
        interruption,
        run_dir,
        functools.partial(_names, batches),
        HeldOut(trainer, records_dir, held_out_frames),
        groups * frames_per_group,
      )
      with bfloat16_convolutions(bfloat16):
        terms = stage_loop.run(
          distribution.spread(
            functools.partial(batches, skip_batches=start),
            groups,
            stage.steps - start,
            micro_batches,
          )
        )
      _settle(trainer, batches, recalibration_batches)
      checkpoints.save()
      summaries.close()
      # Several workers agree on that in the next stage's first step.
      alone = distribution.num_workers() == 1
      if interruption.requested and alone and index + 1 < len(stages):
        logging.info("SIGTERM: stopped after %s; the same command goes on.", name)
        raise Preempted()
  if writes:
    config.save_operative(os.path.join(run_dir, CONFIG_FILE))
  return terms


def _supervision(system: PersonalizedFace, weights: LossWeights) -> dict:
  """What else the data of a stage have to know: of which shapes the coefficients."""
  needed = [getattr(weights, name) for name in SUPERVISED]
  if any(tf.is_tensor(weight) or weight != 0 for weight in needed):
    return {"known_blendshapes": system.template.blendshape_names}
  return {}


def _names(batches: Callable[..., tf.data.Dataset], step: int) -> list[str]:
  """The records that a step's batch is made of."""
  names = next(iter(batches(skip_batches=step - 1, names=True)))
  return [name.decode() for name in names.numpy()]


def _settle(
  trainer: Trainer, batches: Callable[..., tf.data.Dataset], recalibration_batches: int
) -> None:
  """What the stage leaves: averages of the weights, and of the batch statistics."""
  trainer.take_averages()
  stage = trainer.stage
  if recalibration_batches and stage.batch_statistics:
    batch_norm.recalibrate(
      trainer.system,
      batches().take(recalibration_batches),
      track_net=stage.train_track_net,
      model_net=stage.train_model_net,
    )


def _stage_data(stage: str, records_dir: str, **options) -> tf.data.Dataset:
  """Training batches, with what gin has for the stage: `refine/Jitter.shift = 0`."""
  with gin.config_scope(stage):
    return make_dataset(records_dir, "train", **options)
