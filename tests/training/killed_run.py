"""A toy training run as a process of its own, which a test may kill at any step.

  python killed_run.py RUN_DIR RECORDS_DIR [gin parameter ...]

Prints `step N` once step N is done. The tests' folders are on PYTHONPATH.
"""

import pathlib
import sys

from absl import logging
from toy_run import configure, toy_system

from personalized_face import config
from personalized_face.training import stage_loop
from personalized_face.training.checkpoints import claim_run_dir
from personalized_face.training.loop import train


def main(run_dir: str, records_dir: str, *params: str) -> None:
  logging.set_verbosity(logging.INFO)  # as the commands do
  pathlib.Path(run_dir).mkdir(exist_ok=True)
  configure(pathlib.Path(run_dir), *params)
  config.make_deterministic()
  system = toy_system()
  claim_run_dir(run_dir, system.template)
  log = stage_loop.StageLoop._log

  def log_and_say(self, step, terms):
    logged = log(self, step, terms)
    print("step", step, flush=True)
    return logged

  stage_loop.StageLoop._log = log_and_say
  train(system, records_dir, run_dir)


if __name__ == "__main__":
  main(*sys.argv[1:])
