"""The run folder: template, configuration, and a checkpoint folder per stage.

    <run>/template.npz   what everything is expressed in
    <run>/config.gin     the operative configuration
    <run>/<stage>/ckpt-* system, optimizer and step; the newest few
    <run>/logs/          TensorBoard

A checkpoint becomes visible only when complete: TensorFlow writes the `checkpoint` file
that names it last.
"""

import os

import tensorflow as tf

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training.trainer import Trainer

TEMPLATE_FILE = "template.npz"
CONFIG_FILE = "config.gin"


def claim_run_dir(run_dir: str, template: FaceTemplate) -> None:
  """Makes the run folder, or checks that the one there has the same template.

  Raises:
    UserError: the folder cannot be made, or holds a run with another template.
  """
  try:
    os.makedirs(run_dir, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"The run folder {run_dir} cannot be made ({error.strerror}); choose another "
      "with --run_dir."
    ) from error
  path = os.path.join(run_dir, TEMPLATE_FILE)
  if not os.path.exists(path):
    template.save(path)
    return
  there = FaceTemplate.load(path)
  if there.hash != template.hash:
    raise UserError(
      f"{run_dir} holds a run with template {there.name} ({there.hash}), not "
      f"{template.name} ({template.hash}); train it with that template, or choose "
      "another --run_dir."
    )


class Checkpoints:
  """Saves and restores one stage of a run."""

  def __init__(self, run_dir: str, trainer: Trainer, keep: int = 2):
    self._trainer = trainer
    self._manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(
        system=trainer.system, optimizer=trainer.optimizer, step=trainer.step
      ),
      os.path.join(run_dir, trainer.stage.name),
      max_to_keep=keep,
    )

  def restore(self) -> int:
    """Restores the newest checkpoint if there is one; returns the step to go on at."""
    path = self._manager.latest_checkpoint
    if path:
      _restore(self._manager.checkpoint, path)
    return int(self._trainer.step)

  def save(self) -> str:
    """Writes a checkpoint of the present step."""
    return self._manager.save(checkpoint_number=int(self._trainer.step))


def restore_stage(system: PersonalizedFace, run_dir: str, stage_name: str) -> None:
  """Loads the networks and R_0^t as a finished stage left them.

  Raises:
    UserError: the stage has no checkpoint there.
  """
  path = tf.train.latest_checkpoint(os.path.join(run_dir, stage_name))
  if path is None:
    raise UserError(
      f"{run_dir} has no checkpoint of {stage_name}; train that stage first."
    )
  _restore(tf.train.Checkpoint(system=system), path)


def load_system(run_dir: str, stage_name: str | None = None) -> PersonalizedFace:
  """Builds the system of a run from its own configuration and restores it.

  Args:
    run_dir: as `pface_train` left it.
    stage_name: which stage; by default the last one the run's configuration lists.

  Raises:
    UserError: not a run folder, or no checkpoint.
  """
  config_path = os.path.join(run_dir, CONFIG_FILE)
  if not os.path.isfile(config_path):
    raise UserError(
      f"{run_dir} is not a finished run (it has no {CONFIG_FILE}); train one with "
      "`pface_train --run_dir`."
    )
  template = FaceTemplate.load(os.path.join(run_dir, TEMPLATE_FILE))
  config.parse([config_path], [])
  system = build_system(template)
  restore_stage(system, run_dir, stage_name or _last_stage(run_dir))
  return system


def _last_stage(run_dir: str) -> str:
  """The stage whose checkpoint is the newest."""
  states = {}
  for name in sorted(os.listdir(run_dir)):
    state = os.path.join(run_dir, name, "checkpoint")
    if os.path.isfile(state):
      states[os.path.getmtime(state)] = name
  if not states:
    raise UserError(f"{run_dir} has no checkpoint; train it first with `pface_train`.")
  return states[max(states)]


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
  try:
    checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
  except (tf.errors.OpError, AssertionError, ValueError) as error:
    reason = str(error).splitlines()[0]
    raise UserError(
      f"The checkpoint {path} does not fit this configuration or is damaged "
      f"({reason}); use the run's own config.gin, or delete that checkpoint to go back "
      "to the one before."
    ) from error
