"""The soak runner: what it counts, and that growth and slowing do not pass."""

import csv
import subprocess
import sys
import time

import pytest
from soak import run
from soak.run import Sample


def samples(memory_per_step=0.0, slowing=0.0, count=41):
  """A run that does ten things a processor second, at first."""
  found, done = [], 0.0
  for i in range(count):
    found.append(Sample(10.0 * i, 500 + memory_per_step * i, 5.0 * i, int(done)))
    done += 50 * (1 - slowing * i / count)
  return found


def test_a_flat_run_passes():
  found = run.figures(samples())
  assert found["memory_ratio"] == 1
  assert found["per_cpu_second_last_quarter"] == pytest.approx(10)
  assert not run.verdicts(found)


def test_growth_and_slowing_are_told():
  grown = run.verdicts(run.figures(samples(memory_per_step=3)))
  assert len(grown) == 1 and grown[0].startswith("memory grew to 1.1")
  slower = run.verdicts(run.figures(samples(slowing=0.5)))
  assert len(slower) == 1 and slower[0].startswith("speed fell to 0.")


def test_too_few_samples_are_refused():
  with pytest.raises(ValueError, match="8 samples"):
    run.figures(samples(count=8))


def test_memory_and_time_of_children_count(tmp_path):
  code = "import time; held = bytearray(200 << 20); time.sleep(60)"
  command = ["bash", "-c", f"'{sys.executable}' -c '{code}'; true"]
  watched = run.Run("child", command, tmp_path)
  for _ in range(100):
    assert watched.sample(lambda: 7)
    if watched.samples[-1].memory_mib > 200:
      break
    time.sleep(0.1)
  assert watched.samples[-1].memory_mib > 200 and watched.samples[-1].done == 7
  children = run.family(watched._process.pid)
  assert len(children) == 2 and watched.stop() == -15
  subprocess.run(["kill", str(children[1])], check=False)
  assert not watched.sample(lambda: 8)
  watched.save(tmp_path)
  with open(tmp_path / "child.csv", encoding="utf-8") as file:
    rows = list(csv.reader(file))
  assert rows[0][1] == "memory_mib" and len(rows) == 1 + len(watched.samples)


def test_progress_is_read(tmp_path):
  log = tmp_path / "log"
  log.write_bytes(b"a: 1%| | 12/200 [00:01<]\ra: 2%|#  | 34/200 [00:02<00:09, 4it/s]")
  assert run.steps_shown(log) == 34
  log.write_bytes(b"starting\n")
  assert run.steps_shown(log) == 0
  motion = tmp_path / "motion.csv"
  assert run.lines_written(motion) == 0
  motion.write_bytes(b"x\n" * 100)
  assert run.lines_written(motion) == 100


def test_graph_is_drawn(tmp_path):
  run.graph({"training": samples(), "tracking": samples()}, tmp_path / "soak.png")
  assert (tmp_path / "soak.png").stat().st_size > 10_000
