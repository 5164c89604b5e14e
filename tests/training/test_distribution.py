"""Whatever a batch is spread over, the losses are those of one process."""

import glob
import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from toy_run import configure

from personalized_face.core.errors import UserError
from personalized_face.data.dataset import make_dataset
from personalized_face.training import distribution

STEPS = 4
PARAMS = (
  "train.stages = ('stage1',)",
  "train.log_every = 1",
  f"stage1/Stage.steps = {STEPS}",
  "stage1/Stage.gradient_clip_norm = 10.0",  # below the first steps' norms
)


def _start(strategy, run_dir, records_dir, cluster=None, index=0):
  folder = pathlib.Path(__file__).parent
  paths = [folder.parents[1], folder.parent, folder]
  env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
  if cluster:
    task = {"type": "worker", "index": index}
    env["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster}, "task": task})
  script = folder / "distributed_run.py"
  return subprocess.Popen(
    [sys.executable, script, strategy, run_dir, records_dir, *PARAMS],
    env=env,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def _finish(process):
  said = process.communicate(timeout=240)[0]
  assert process.returncode == 0, said[-3000:]
  # Not the last line: TensorFlow complains when the other worker leaves first.
  (line,) = re.findall(r"^(?:wrote|read)\b.*", said, re.MULTILINE)
  return line


def _losses(run_dir):
  """{tag: values by step} of the one event file."""
  (path,) = glob.glob(os.path.join(run_dir, "logs", "stage1", "events*"))
  found = {}
  for event in EventFileLoader(path).Load():
    for value in event.summary.value:
      if value.tag.startswith(("loss/", "train/gradient_norm", "gradient_norm/")):
        found.setdefault(value.tag, []).append(tf.make_ndarray(value.tensor).item())
  return found


@pytest.fixture(scope="module")
def one_process(tmp_path_factory, records_dir):
  run_dir = tmp_path_factory.mktemp("one") / "run"
  _finish(_start("none", run_dir, records_dir))
  return _losses(run_dir)


def _assert_same(found, expected):
  assert found.keys() == expected.keys()
  for tag, values in expected.items():
    assert len(values) == STEPS
    # Sums in another order differ in float32's last bits,
    np.testing.assert_allclose(found[tag][0], values[0], rtol=1e-5, err_msg=tag)
    if tag.startswith("loss/"):
      # which Adam, dividing a gradient by its own size, enlarges from step to step.
      np.testing.assert_allclose(found[tag], values, rtol=1e-2, err_msg=tag)


def _free_ports(count):
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(("127.0.0.1", 0))
  ports = [one.getsockname()[1] for one in sockets]
  for one in sockets:
    one.close()
  return ports


def test_two_worker_processes_train_like_one(tmp_path, records_dir, one_process):
  cluster = [f"127.0.0.1:{port}" for port in _free_ports(2)]
  run_dir = tmp_path / "run"
  workers = [
    _start("multi_worker", run_dir, records_dir, cluster, index) for index in (0, 1)
  ]
  said = [_finish(worker) for worker in workers]
  assert [line.split()[0] for line in said] == ["wrote", "read"]
  _assert_same(_losses(run_dir), one_process)
  assert os.path.isfile(run_dir / "config.gin")


def test_two_devices_train_like_one(tmp_path, records_dir, one_process):
  _finish(_start("mirrored", tmp_path / "run", records_dir))
  _assert_same(_losses(tmp_path / "run"), one_process)


def test_parts_of_a_batch_make_it_up(records_dir):
  def batches(**values):
    data = make_dataset(records_dir, groups_per_batch=4, frames_per_group=2, **values)
    return [batch.images.numpy() for batch in data.take(3)]

  whole = batches(skip_batches=1)
  parts = [batches(skip_batches=1, shard=(i, 2)) for i in (0, 1)]
  for batch, *of_workers in zip(whole, *parts, strict=True):
    np.testing.assert_array_equal(np.concatenate(of_workers), batch)
  with pytest.raises(ValueError, match="batches of 4 do not divide into 3 parts"):
    batches(shard=(0, 3))


def test_one_device_strategy_spreads_nothing(tmp_path, records_dir):
  configure(tmp_path, "make_strategy.name = 'one_device'")
  strategy = distribution.make_strategy()
  assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  with distribution.scope(strategy):
    assert distribution.num_workers() == 1 and distribution.writes()
  assert distribution.make_strategy(name="none") is None


def test_a_batch_that_cannot_be_shared_is_one_sentence():
  with pytest.raises(UserError, match="groups_per_batch is 6, .* a multiple of 4"):
    distribution.spread(None, groups_per_batch=6, steps=1, micro_batches=4)


def test_bad_strategies_are_one_sentence(tmp_path, monkeypatch):
  configure(tmp_path)
  with pytest.raises(UserError, match="'sharded'; choose one of none, one_device"):
    distribution.make_strategy(name="sharded")
  monkeypatch.setenv("TF_CONFIG", "")
  with pytest.raises(UserError, match="TF_CONFIG"):
    distribution.make_strategy(name="multi_worker")
