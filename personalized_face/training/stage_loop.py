"""The steps of one stage, and what happens every so often between them.

batches -> Trainer.train_step -> summaries, checkpoints
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from personalized_face import native_logs
from personalized_face.core.errors import UserError
from personalized_face.core.types import Batch
from personalized_face.training import disk, guards
from personalized_face.training.checkpoints import Checkpoints
from personalized_face.training.interruption import Interruption, Preempted
from personalized_face.training.summaries import Summaries
from personalized_face.training.trainer import Trainer, non_finite_term


class Every(NamedTuple):
  """Steps between two of each."""

  log: int
  pictures: int
  checkpoint: int


class StageLoop:
  """Runs one stage from where it stands to its end."""

  def __init__(
    self,
    trainer: Trainer,
    checkpoints: Checkpoints,
    summaries: Summaries,
    every: Every,
    interruption: Interruption,
    run_dir: str,
    names_of: Callable[[int], list[str]],
  ):
    """Takes what a stage is made of.

    Args:
      trainer, checkpoints, summaries: of the stage.
      every: how often what is done.
      interruption: whether SIGTERM has come.
      run_dir: where a failed step is left for a replay.
      names_of: the records that a step's batch is made of.
    """
    self._trainer = trainer
    self._checkpoints = checkpoints
    self._summaries = summaries
    self._every = every
    self._interruption = interruption
    self._run_dir = run_dir
    self._names_of = names_of
    self._coverage = guards.CoverageWatch()

  def run(self, batches: tf.data.Dataset) -> dict[str, float]:
    """Takes a step with each batch.

    Args:
      batches: as many as steps are left.

    Returns:
      The last logged terms.

    Raises:
      Preempted: after SIGTERM, once a checkpoint is written.
      UserError: a loss term or gradient that is not finite, named.
    """
    name, steps = self._trainer.stage.name, self._trainer.stage.steps
    first = int(self._trainer.step)
    logged: dict[str, float] = {}
    with tqdm(batches, name, total=steps, initial=first, mininterval=1) as bar:
      for step, batch in enumerate(bar, start=first + 1):
        try:
          # Graph rewrites and XLA report on stderr while the first step is compiled.
          with native_logs.silenced() if step == first + 1 else nullcontext():
            terms = self._trainer.train_step(batch)
        except tf.errors.InvalidArgumentError as error:
          raise self._stopped(error, batch, step) from error
        # The only places where the host waits for the device.
        if self._due(self._every.log, step):
          logged = self._log(step, terms)
          bar.set_postfix(loss=f"{logged['total']:.2f}", refresh=False)
        if self._due(self._every.pictures, step):
          self._summaries.pictures(step, batch)
        if step == steps:
          break  # its checkpoint is written by who finishes the stage
        if self._interruption.requested:
          raise self._preempted(step)
        if self._due(self._every.checkpoint, step):
          self._checkpoints.save()
    return logged

  def _due(self, every: int, step: int) -> bool:
    return step % every == 0 or step == self._trainer.stage.steps

  def _log(self, step: int, terms: dict) -> dict[str, float]:
    rate = float(self._trainer.optimizer.learning_rate)
    self._summaries.scalars(step, terms, rate)
    logged = {name: float(value) for name, value in terms.items()}
    if "coverage_percent" in logged:
      warning = self._coverage.add(step, logged["coverage_percent"], logged["total"])
      if warning:
        logging.warning("%s", warning)
    return logged

  def _preempted(self, step: int) -> Preempted:
    """Saves all there is; returns what to raise."""
    path = self._checkpoints.save()
    self._summaries.close()
    stage = self._trainer.stage
    logging.info(
      "SIGTERM: %s stopped at step %d of %d. Its checkpoint is %s; the same command "
      "goes on from there.",
      stage.name,
      step,
      stage.steps,
      path,
    )
    return Preempted()

  def _stopped(self, error: tf.errors.OpError, batch: Batch, step: int) -> Exception:
    """What to raise for a failed step: a sentence, where a value was not finite."""
    term = non_finite_term(error)
    if term is None:
      return error
    stage = self._trainer.stage.name
    names = self._names_of(step)
    try:
      path = guards.save_replay(
        self._run_dir, self._trainer.system, batch, stage, step, term, names
      )
      hint = f"pface_train --replay={path} takes that step again"
    except (OSError, tf.errors.OpError) as failure:
      hint = f"the batch could not be saved ({disk.reason(failure)})"
    return UserError(
      f"{stage} stopped at step {step}: the {term} is not finite, in a batch of "
      f"{', '.join(names)}; {hint}, and a lower {stage}/Stage.learning_rate or a "
      f"{stage}/Stage.gradient_clip_norm may mend it."
    )
