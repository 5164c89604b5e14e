"""A toy training run under a strategy, as a process of its own.

  python distributed_run.py STRATEGY RUN_DIR RECORDS_DIR [gin parameter ...]

"multi_worker" finds its cluster in TF_CONFIG. "mirrored" gets two logical CPUs.
"""

import os
import pathlib
import sys

import tensorflow as tf
from toy_run import configure, toy_system

from personalized_face import config
from personalized_face.training import distribution
from personalized_face.training.checkpoints import claim_run_dir
from personalized_face.training.loop import train


def main(name: str, run_dir: str, records_dir: str, *params: str) -> None:
  gin_folder = pathlib.Path(f"{run_dir}_gin_{os.getpid()}")  # each worker its own
  gin_folder.mkdir()
  devices = ()
  if name == "mirrored":
    devices = ("/cpu:0", "/cpu:1")
    (cpu,) = tf.config.list_physical_devices("CPU")
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
  bindings = f"make_strategy.name = '{name}'", f"make_strategy.devices = {devices}"
  configure(gin_folder, *params, *bindings)
  config.make_deterministic()
  strategy = distribution.make_strategy()
  with distribution.scope(strategy):
    system = toy_system()
    if distribution.writes():
      claim_run_dir(run_dir, system.template)
    train(system, records_dir, run_dir)
    print("wrote" if distribution.writes() else "read", strategy, flush=True)


if __name__ == "__main__":
  main(*sys.argv[1:])
