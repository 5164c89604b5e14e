"""The run folder: template, configuration, and a checkpoint folder per stage.

    <run>/template.npz   what everything is expressed in
    <run>/config.gin     the operative configuration
    <run>/<stage>/ckpt-* system, optimizer and step; the newest few
    <run>/<stage>/best/  the system alone, where its held-out loss was the lowest
    <run>/logs/          TensorBoard

A checkpoint becomes visible only when complete: TensorFlow writes the `checkpoint` file
that names it last. Each is read through before it is used, its checksums with it; a
damaged one is named, and the one before it taken.
"""

import glob
import json
import os
import re
import shutil

import gin
import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training import disk
from personalized_face.training.trainer import Trainer

TEMPLATE_FILE = "template.npz"
CONFIG_FILE = "config.gin"
BEST = "best"  # in a stage's folder: the system at its lowest held-out loss


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
  if not np.array_equal(there.landmark_offsets, template.landmark_offsets):
    template.save(path)  # what is evaluated is what is trained on


class Checkpoints:
  """Saves and restores one stage of a run."""

  def __init__(
    self, run_dir: str, trainer: Trainer, keep: int = 3, writes: bool = True
  ):
    """Makes nothing yet.

    Args:
      run_dir: the run folder.
      trainer: whose stage, system, optimizer and step are kept.
      keep: so many of the newest stay.
      writes: False restores only, on all workers but one.
    """
    self._trainer = trainer
    self._writes = writes
    self._folder = os.path.join(run_dir, trainer.stage.name)
    self._manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(
        system=trainer.system, optimizer=trainer.optimizer, step=trainer.step
      ),
      self._folder,
      max_to_keep=keep,
    )
    # Several workers make a variable together, but only one of them saves: TensorFlow's
    # count of the saves has to be there before.
    self._manager.checkpoint.save_counter  # noqa: B018

  def restore(self) -> int:
    """Restores the newest sound checkpoint, if any; returns the step to go on at.

    Raises:
      UserError: there are checkpoints, but none is sound or fits.
    """
    if self._writes:
      self._remove_unfinished()
    path = _newest_sound(self._folder)
    if path:
      _restore(self._manager.checkpoint, path)
    return int(self._trainer.step.numpy())

  def save(self) -> str | None:
    """Writes a checkpoint of the present step; returns its path.

    Raises:
      UserError: the disk is full or the folder cannot be written.
    """
    if not self._writes:
      return None
    step = int(self._trainer.step.numpy())
    try:
      with disk.writing(f"The checkpoint of step {step}", self._folder):
        return self._manager.save(checkpoint_number=step)
    except UserError:
      self._remove_unfinished()
      raise

  def save_best(self, figures: dict[str, float]) -> bool:
    """Keeps the system in `best/` where its held-out loss is the lowest so far.

    Args:
      figures: of `HeldOut`; "loss" decides, all go to best/figures.json.

    Returns:
      Whether it was.
    """
    folder = os.path.join(self._folder, BEST)
    path = os.path.join(folder, "figures.json")
    if not self._writes or not figures["loss"] < _best_loss(path):
      return False
    step = int(self._trainer.step.numpy())
    checkpoint = tf.train.Checkpoint(system=self._trainer.system)
    before = _paths(folder)
    with disk.writing("The best checkpoint", folder):
      prefix = checkpoint.write(os.path.join(folder, f"ckpt-{step}"))
      for old in set(before) - {prefix}:
        for file in glob.glob(f"{glob.escape(old)}.*"):
          os.remove(file)
      with open(f"{path}.partial", "w", encoding="utf-8") as file:
        json.dump({"step": step, **figures}, file, indent=2)
      os.replace(f"{path}.partial", path)
    return True

  def _remove_unfinished(self) -> None:
    """Removes what a killed process or a full disk left half written."""
    for rest in glob.glob(os.path.join(glob.escape(self._folder), "*_temp")):
      shutil.rmtree(rest, ignore_errors=True)


def restore_stage(system: PersonalizedFace, run_dir: str, stage_name: str) -> None:
  """Loads the networks and R_0^t as a finished stage left them.

  Raises:
    UserError: the stage has no checkpoint there.
  """
  path = _newest_sound(os.path.join(run_dir, stage_name))
  if path is None:
    raise UserError(
      f"{run_dir} has no checkpoint of {stage_name}; train that stage first."
    )
  _restore(tf.train.Checkpoint(system=system), path)


def restore_file(system: PersonalizedFace, path: str) -> None:
  """Loads the networks and R_0^t from one checkpoint, given without its endings.

  Raises:
    UserError: it is not there or damaged, or does not fit.
  """
  reason = _damage(path)
  if reason is not None:
    raise UserError(f"The checkpoint {path} cannot be read ({reason}); make it again.")
  _restore(tf.train.Checkpoint(system=system), path)


def load_system(run_dir: str, stage_name: str | None = None) -> PersonalizedFace:
  """Builds the system of a run from its own configuration and restores it.

  Args:
    run_dir: as `pface_train` left it.
    stage_name: which stage; by default the last one the run's configuration lists.
      "stage1/best" is stage1 at its lowest held-out loss.

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


def _best_loss(path: str) -> float:
  """Of best/figures.json; infinite where there is none, or one that is damaged."""
  try:
    with open(path, encoding="utf-8") as file:
      return float(json.load(file)["loss"])
  except FileNotFoundError:
    return np.inf
  except (ValueError, LookupError, TypeError, RecursionError) as error:
    logging.warning("%s is damaged (%s) and will be written anew.", path, error)
    return np.inf


def _last_stage(run_dir: str) -> str:
  """The last of the configured stages that has a checkpoint, else the last of any.

  A fine-tuned or unpacked run has a stage of its own, and its training's configuration.
  Not the one that was written last: files that were copied, or written after the clock
  had been set back, have other times.
  """
  try:
    configured = gin.query_parameter("train.stages")
  except ValueError:  # not configured by a training
    configured = ()
  for names in (configured, sorted(os.listdir(run_dir))):
    there = [name for name in names if _paths(os.path.join(run_dir, name))]
    if there:
      return there[-1]
  raise UserError(f"{run_dir} has no checkpoint; train it first with `pface_train`.")


def _newest_sound(folder: str) -> str | None:
  """The newest checkpoint that can be read; None where there is none at all.

  Raises:
    UserError: all are damaged.
  """
  paths = _paths(folder)
  for path in paths:
    reason = _damage(path)
    if reason is None:
      return path
    logging.warning(
      "The checkpoint %s is damaged (%s); the one before it is used.", path, reason
    )
  if paths:
    names = ", ".join(map(os.path.basename, paths))
    raise UserError(
      f"Every checkpoint in {folder} is damaged ({names}); delete that folder to train "
      "the stage anew."
    )
  return None


def _paths(folder: str) -> list[str]:
  """The checkpoints of a folder, the newest first."""
  try:
    state = tf.train.get_checkpoint_state(folder)
  except ValueError:  # it names none, or is no text, which TensorFlow does not expect
    state = None
  if state is not None:
    return list(state.all_model_checkpoint_paths)[::-1]
  # Without the file that names them (lost, damaged), by their steps.
  found = {}
  for path in glob.glob(os.path.join(glob.escape(folder), "ckpt-*.index")):
    if step := re.search(r"ckpt-(\d+)\.index$", path):
      found[int(step[1])] = path.removesuffix(".index")
  return [found[step] for step in sorted(found, reverse=True)]


def _damage(path: str) -> str | None:
  """Reads every tensor of a checkpoint; returns what is wrong with it, or None."""
  try:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_dtype_map():
      reader.get_tensor(name)
  except (tf.errors.OpError, ValueError, LookupError, RuntimeError) as error:
    return disk.reason(error)
  return None


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
  try:
    # Not `restore`: that asks for a count of the saves, which `best/` does not have.
    checkpoint.read(path).assert_existing_objects_matched().expect_partial()
  except (tf.errors.OpError, AssertionError, ValueError) as error:
    raise UserError(
      f"The checkpoint {path} does not fit this configuration ({disk.reason(error)}); "
      "use the run's own config.gin, or train in another run folder."
    ) from error
