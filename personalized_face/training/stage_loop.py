"""The steps of one stage, and what happens every so often between them.

batches -> Trainer.train_step -> summaries, checkpoints
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from personalized_face import native_logs
from personalized_face.core.errors import UserError
from personalized_face.core.types import Batch
from personalized_face.progress import tqdm
from personalized_face.training import disk, distribution, guards
from personalized_face.training.checkpoints import Checkpoints
from personalized_face.training.held_out import HeldOut
from personalized_face.training.interruption import Interruption, Preempted
from personalized_face.training.step_clock import StepClock
from personalized_face.training.summaries import Summaries
from personalized_face.training.trainer import Trainer, non_finite_term


class Every(NamedTuple):
  """Steps between two of each."""

  log: int
  pictures: int
  checkpoint: int
  evaluation: int  # 0: never


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
    held_out: HeldOut,
    images_per_step: int,
  ):
    """Takes what a stage is made of.

    Args:
      trainer, checkpoints, summaries: of the stage.
      every: how often what is done.
      interruption: whether SIGTERM has come.
      run_dir: where a failed step is left for a replay.
      names_of: the records that a step's batch is made of.
      held_out: what the pictures show, and what is measured every so often.
      images_per_step: in a whole batch.
    """
    self._trainer = trainer
    self._checkpoints = checkpoints
    self._summaries = summaries
    self._every = every
    self._interruption = interruption
    self._run_dir = run_dir
    self._names_of = names_of
    self._held_out = held_out
    self._images_per_step = images_per_step
    self._clock = StepClock()
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
    first = int(self._trainer.step.numpy())
    logged: dict[str, float] = {}
    bar = tqdm(
      self._clock.watch(batches),
      name,
      total=steps,
      initial=first,
      mininterval=1,
      disable=not distribution.writes(),
    )
    with bar:
      for step, batch in enumerate(bar, start=first + 1):
        try:
          # Graph rewrites and XLA report on stderr while the first step is compiled.
          with native_logs.silenced() if step == first + 1 else nullcontext():
            terms = self._trainer.train_step(batch, self._stop())
        except tf.errors.InvalidArgumentError as error:
          raise self._stopped(error, batch, step) from error
        # The only places where the host waits for the device.
        if self._due(self._every.log, step):
          logged = self._log(step, terms)
          bar.set_postfix(loss=f"{logged['total']:.2f}", refresh=False)
        if self._due(self._every.pictures, step):
          shown = self._held_out.frames or distribution.local(batch)
          self._summaries.pictures(step, shown)
        if self._due(self._every.evaluation, step):
          self._evaluate(step)
        if step == steps:
          break  # its checkpoint is written by who finishes the stage
        if self._stops(terms):
          raise self._preempted(step)
        if self._due(self._every.checkpoint, step):
          self._checkpoints.save()
    return logged

  def _stop(self) -> tf.Tensor | None:
    """What tells the other workers, with the step, that this one has to stop."""
    if distribution.num_workers() == 1:
      return None
    return tf.constant(float(self._interruption.requested))

  def _stops(self, terms: dict) -> bool:
    """Whether to leave after this step; all workers say the same of the same step."""
    if "stop" in terms:
      return float(terms["stop"]) > 0
    return self._interruption.requested

  def _due(self, every: int, step: int) -> bool:
    if not every:
      return False
    return step % every == 0 or step == self._trainer.stage.steps

  def _evaluate(self, step: int) -> None:
    """Figures of the held-out frames, and the best checkpoint so far."""
    if self._held_out.frames is None or not distribution.writes():
      return
    figures = self._held_out.figures()
    self._summaries.metrics(step, figures)
    with self._trainer.averaged_weights():
      self._checkpoints.save_best(figures)

  def _log(self, step: int, terms: dict) -> dict[str, float]:
    rate = float(tf.convert_to_tensor(self._trainer.optimizer.learning_rate))
    self._summaries.scalars(step, terms, rate)
    self._summaries.timing(step, self._clock.read(self._images_per_step))
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
    batch = distribution.local(batch)
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
