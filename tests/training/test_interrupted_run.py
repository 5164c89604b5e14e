"""Killed and resumed, a run follows the uninterrupted one bit for bit."""

import glob
import os
import pathlib
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from toy_run import configure, toy_system

from personalized_face.core.errors import UserError
from personalized_face.training.checkpoints import Checkpoints, restore_stage
from personalized_face.training.interruption import Interruption
from personalized_face.training.stages import configured_stage
from personalized_face.training.summaries import Summaries
from personalized_face.training.trainer import Trainer

STEPS = 10
# A checkpoint every other step, so that a kill also falls into the writing of one.
PARAMS = (
  "train.stages = ('stage1',)",
  "train.log_every = 1",
  "train.checkpoint_every = 2",
  f"stage1/Stage.steps = {STEPS}",
  "stage1/Stage.final_learning_rate = 1e-4",
)


def _process(run_dir, records_dir):
  folder = pathlib.Path(__file__).parent
  paths = [folder.parents[1], folder.parent, folder]
  return subprocess.Popen(
    [sys.executable, folder / "killed_run.py", run_dir, records_dir, *PARAMS],
    env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _losses(run_dir):
  """{tag: {step: set of values}}: a step taken twice, after a kill, is there twice."""
  found = {}
  for path in glob.glob(os.path.join(run_dir, "logs", "stage1", "*")):
    for event in EventFileLoader(path).Load():
      for value in event.summary.value:
        if value.tag.startswith("loss/"):
          number = tf.make_ndarray(value.tensor).item()
          found.setdefault(value.tag, {}).setdefault(event.step, set()).add(number)
  return found


def test_interrupted_run_follows_the_uninterrupted_one(tmp_path, records_dir):
  whole, parts = _process(tmp_path / "whole", records_dir), tmp_path / "parts"
  generator = random.Random(0)
  for number in (signal.SIGKILL, signal.SIGTERM, None):
    process = _process(parts, records_dir)
    steps_left = generator.randint(1, 3)
    for line in process.stdout:
      steps_left -= line.startswith("step ")
      if number and not steps_left:
        process.send_signal(number)
        break
    errors = process.communicate()[1]
    # SIGTERM ends in a status of ours, not in the signal.
    ends = {None: 0, signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143}
    assert process.returncode == ends[number], errors
    if number == signal.SIGTERM:
      assert "SIGTERM: stage1 stopped at step" in errors
      assert "Traceback" not in errors
  assert whole.communicate()[1] is not None and whole.returncode == 0
  expected, found = _losses(tmp_path / "whole"), _losses(parts)
  assert set(expected["loss/total"]) == set(range(1, STEPS + 1))
  assert found == expected


def test_sigterm_is_as_before_once_training_has_ended():
  before = signal.getsignal(signal.SIGTERM)
  with Interruption() as interruption:
    assert not interruption.requested
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.requested
  assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """Untrained checkpoints of steps 1, 2 and 3; R_0^t says which is which."""
  folder = tmp_path_factory.mktemp("saved")
  configure(folder)
  trainer = _trainer()
  checkpoints = Checkpoints(str(folder), trainer, keep=3)
  for step in (1, 2, 3):
    trainer.step.assign(step)
    trainer.system.mean_albedo.assign(np.full(trainer.system.mean_albedo.shape, step))
    checkpoints.save()
  return folder


def _trainer():
  stage, weights = configured_stage("stage1")
  return Trainer(toy_system(), stage, None, weights)


def _damage(folder, step, how):
  (data,) = (folder / "stage1").glob(f"ckpt-{step}.data*")
  content = bytearray(data.read_bytes())
  if how == "a flipped bit":
    content[len(content) // 2] ^= 1
  data.write_bytes(content[: len(content) // 2] if how == "cut off" else content)
  if how == "gone":
    data.unlink()


@pytest.fixture
def copied(saved, tmp_path):
  folder = tmp_path / "run"
  folder.mkdir()
  (folder / "stage1").mkdir()
  for path in (saved / "stage1").iterdir():
    content = path.read_bytes()
    (folder / "stage1" / path.name).write_bytes(content)
  configure(tmp_path)
  return folder


@pytest.mark.parametrize("how", ["a flipped bit", "cut off", "gone"])
def test_damaged_checkpoint_is_named_and_the_one_before_used(copied, how, caplog):
  _damage(copied, 3, how)
  trainer = _trainer()
  assert Checkpoints(str(copied), trainer).restore() == 2
  assert np.all(np.array(trainer.system.mean_albedo) == 2)
  assert str(copied / "stage1" / "ckpt-3") in caplog.text
  # Evaluation and export read it likewise.
  system = toy_system()
  restore_stage(system, str(copied), "stage1")
  assert np.all(np.array(system.mean_albedo) == 2)


def test_lost_list_of_checkpoints_is_no_start_from_scratch(copied):
  (copied / "stage1" / "checkpoint").unlink()
  assert Checkpoints(str(copied), _trainer()).restore() == 3


def test_nothing_but_damage_is_one_sentence(copied):
  for step in (1, 2, 3):
    _damage(copied, step, "cut off")
  with pytest.raises(UserError, match=r"Every checkpoint .*\(ckpt-3, ckpt-2, ckpt-1\)"):
    Checkpoints(str(copied), _trainer()).restore()


def test_what_a_killed_process_was_writing_is_removed(copied):
  rest = copied / "stage1" / "ckpt-4_temp"
  rest.mkdir()
  (rest / "part-00000-of-00001.data").write_bytes(b"half")
  Checkpoints(str(copied), _trainer()).restore()
  assert not rest.exists()


def test_full_disk_is_one_sentence_and_leaves_no_rest(tmp_path, monkeypatch):
  configure(tmp_path)
  checkpoints = Checkpoints(str(tmp_path), _trainer())
  rest = tmp_path / "stage1" / "ckpt-0_temp"

  def full(*args, **kwargs):  # as TensorFlow says it
    rest.mkdir(parents=True)
    message = f"{{{{function_node __wrapped__SaveV2}}}} {rest}; No space left on device"
    raise tf.errors.ResourceExhaustedError(None, None, message)

  monkeypatch.setattr(checkpoints._manager, "save", full)
  with pytest.raises(UserError, match=r"stage1 \(No space left on device\); make room"):
    checkpoints.save()
  assert not rest.exists()


def test_unwritable_log_is_one_sentence(tmp_path):
  configure(tmp_path)
  (tmp_path / "logs").write_text("a file where a folder is needed")
  with pytest.raises(UserError, match=r"^The log cannot be written .*logs/stage1 \("):
    Summaries(str(tmp_path), _trainer())
