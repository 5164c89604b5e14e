"""An hour of training and an hour of tracking: is memory flat, does the speed stay?

  python tests/soak/run.py --output_dir=soak
  python tests/soak/run.py --output_dir=soak --minutes=5

Both run at the same time, on clips of synthetic people: the training of the desk size,
with checkpoints and pictures as its configuration has them, and `pface_track
--realtime`, which draws and writes as it goes, on a video of that length with a cut
every ten seconds. Every ten seconds their memory, the time of the processors and what
they got done is written down. Speed is counted per second of processor time, so that
other work on the machine does not pass for drift.

The figures go to soak.json, the samples to <name>.csv, the graph to soak.png. Exit
status 0: both went on to the end, and neither memory nor speed of the last quarter
differs by more than LIMITS from the second quarter's.
"""

import argparse
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
EVERY = 10.0  # seconds between samples
FPS = 10  # of the video that is tracked: about what is left beside a training
LIMITS = {"memory": 1.05, "speed": 0.9}  # of the second quarter's, most and least
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
  """What there is to see of a process and its children."""

  seconds: float  # since the start
  memory_mib: float  # resident
  cpu_seconds: float
  done: int  # steps or frames


def family(pid: int) -> list[int]:
  """A process and all that descend from it."""
  found = [pid]
  for each in found:
    try:
      for task in os.listdir(f"/proc/{each}/task"):
        with open(f"/proc/{each}/task/{task}/children", encoding="ascii") as file:
          found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
      continue  # it has ended
  return found


def usage(pid: int) -> tuple[float, float]:
  """Resident memory in MiB and processor seconds of a process and its children."""
  pages, ticks = 0, 0
  for each in family(pid):
    try:
      with open(f"/proc/{each}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
      continue
    ticks += sum(int(field) for field in fields[11:15])  # its own, and ended children's
    pages += int(fields[21])
  return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, ticks / _TICKS


def steps_shown(log: pathlib.Path) -> int:
  """The steps that a training's last progress bar shows."""
  with open(log, "rb") as file:
    file.seek(max(0, log.stat().st_size - 4096))
    shown = re.findall(rb"\| *(\d+)/\d+ \[", file.read())
  return int(shown[-1]) if shown else 0


def lines_written(path: pathlib.Path) -> int:
  """The frames in a motion that is being written."""
  if not path.is_file():
    return 0
  with open(path, "rb") as file:
    return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def figures(samples: list[Sample]) -> dict[str, float]:
  """What a run comes to: its second quarter beside its last.

  Raises:
    ValueError: fewer samples than there have to be.
  """
  if len(samples) < 9:
    raise ValueError(f"{len(samples)} samples are too few to compare quarters of.")
  end = samples[-1].seconds
  quarters = [
    [s for s in samples if low * end <= s.seconds <= high * end]
    for low, high in ((0.25, 0.5), (0.75, 1.0))
  ]
  memory = [statistics.median(s.memory_mib for s in part) for part in quarters]
  speed = [
    (part[-1].done - part[0].done) / (part[-1].cpu_seconds - part[0].cpu_seconds)
    for part in quarters
  ]
  return {
    "minutes": end / 60,
    "done": samples[-1].done,
    "memory_mib_second_quarter": memory[0],
    "memory_mib_last_quarter": memory[1],
    "memory_ratio": memory[1] / memory[0],
    "per_cpu_second_second_quarter": speed[0],
    "per_cpu_second_last_quarter": speed[1],
    "speed_ratio": speed[1] / speed[0],
  }


def verdicts(found: dict[str, float]) -> list[str]:
  """What a run did wrong, a sentence each."""
  wrong = []
  if found["memory_ratio"] > LIMITS["memory"]:
    wrong.append(f"memory grew to {found['memory_ratio']:.3f} of what it was")
  if found["speed_ratio"] < LIMITS["speed"]:
    wrong.append(f"speed fell to {found['speed_ratio']:.3f} of what it was")
  return wrong


class Run:
  """A command that is watched."""

  def __init__(self, name: str, command: list[str], folder: pathlib.Path):
    """Starts it; what it says goes to <name>.log."""
    self.name, self.samples = name, []
    self.log = folder / f"{name}.log"
    with open(self.log, "wb") as log:
      self._process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=_environment()
      )
    self._begin = time.monotonic()

  def sample(self, done: Callable[[], int]) -> bool:
    """Writes down what there is to see; False once it has ended."""
    if self._process.poll() is not None:
      return False
    seconds = time.monotonic() - self._begin
    self.samples.append(Sample(seconds, *usage(self._process.pid), done()))
    return True

  def stop(self) -> int:
    """Its exit status, after SIGTERM where it is still there."""
    if self._process.poll() is None:
      self._process.send_signal(signal.SIGTERM)
    return self._process.wait(timeout=300)

  def save(self, folder: pathlib.Path) -> None:
    """Writes <name>.csv."""
    with open(folder / f"{self.name}.csv", "w", newline="", encoding="utf-8") as file:
      writer = csv.writer(file)
      writer.writerow(Sample._fields)
      writer.writerows([round(value, 3) for value in s] for s in self.samples)


def graph(runs: dict[str, list[Sample]], path: pathlib.Path) -> None:
  """Memory and speed over time, a column each, a row for each run."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(9, 2.6 * len(runs)), layout="constrained")
  panels = figure.subplots(len(runs), 2, squeeze=False)
  for (name, samples), (left, right) in zip(runs.items(), panels, strict=True):
    minutes = [s.seconds / 60 for s in samples]
    left.plot(minutes, [s.memory_mib for s in samples])
    left.set_title(f"{name}: resident memory, MiB", fontsize=10)
    right.set_title(f"{name}: done per processor second", fontsize=10)
    span = 6  # samples: a minute
    pairs = list(zip(samples, samples[span:], strict=False))
    right.plot(
      [b.seconds / 60 for _, b in pairs],
      [(b.done - a.done) / (b.cpu_seconds - a.cpu_seconds) for a, b in pairs],
    )
    for panel in (left, right):
      panel.set_ylim(bottom=0)
      panel.set_xlabel("minutes")
  FigureCanvasAgg(figure).print_png(path)


def _environment() -> dict[str, str]:
  return {**os.environ, "PYTHONPATH": str(ROOT)}


def _tool(name: str, *flags: str) -> list[str]:
  return [sys.executable, str(ROOT / "tools" / f"{name}.py"), *flags]


def _clips(folder: pathlib.Path, minutes: float) -> pathlib.Path:
  """Makes clips, their records, and the long video; returns this."""
  import cv2

  clips = folder / "clips"
  for command in (
    _tool("synthesize_data", f"--output_dir={clips}", "--persons=2", "--seconds=10"),
    _tool(
      "prepare_data",
      f"--input={clips}",
      f"--output_dir={folder / 'records'}",
      "--gin_param=Preparation.size = 112",
    ),
  ):
    subprocess.run(command, check=True, env=_environment())
  path = folder / "long.mp4"
  sources, left = sorted(clips.rglob("*.mp4")), int(60 * FPS * (minutes + 1))
  writer = None
  while left > 0:
    for source in sources:
      video = cv2.VideoCapture(str(source))
      while left > 0 and (read := video.read())[0]:
        if writer is None:
          size = read[1].shape[1::-1]
          writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, size
          )
        writer.write(read[1])
        left -= 1
  writer.release()
  return path


def main() -> int:
  """Returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--output_dir", required=True, help="made, must not exist")
  parser.add_argument("--minutes", type=float, default=60.0)
  flags = parser.parse_args()
  if 60 * flags.minutes < 12 * EVERY:
    parser.error("--minutes has to be 2 at least: quarters of it are compared.")
  folder = pathlib.Path(flags.output_dir).absolute()
  folder.mkdir(parents=True)
  video = _clips(folder, flags.minutes)
  motion = folder / "motion.partial.csv"
  gin = "papers/personalized_face"
  train = _tool(
    "train",
    f"--records_dir={folder / 'records'}",
    f"--run_dir={folder / 'training'}",
    f"--gin_file={gin}/stage1.gin",
    f"--gin_file={gin}/desk.gin",
    "--gin_param=train.stages = ('stage1',)",
    "--gin_param=stage1/Stage.steps = 1000000",
  )
  track = _tool(
    "track",
    f"--source={video}",
    "--realtime",
    f"--output={folder / 'motion.csv'}",
    f"--overlay={folder / 'overlay.mp4'}",
  )
  runs = {
    name: Run(name, command, folder)
    for name, command in (("training", train), ("tracking", track))
  }
  done = {
    "training": lambda: steps_shown(runs["training"].log),
    "tracking": lambda: lines_written(motion),
  }
  begin = time.monotonic()
  alive = dict.fromkeys(runs, True)
  while time.monotonic() - begin < 60 * flags.minutes and any(alive.values()):
    time.sleep(EVERY)
    alive = {name: run.sample(done[name]) for name, run in runs.items()}
    print(
      "  ".join(
        f"{name} {run.samples[-1].done} in {run.samples[-1].memory_mib:.0f} MiB"
        for name, run in runs.items()
        if run.samples
      ),
      end="\r",
      flush=True,
    )
  print()
  found, failed = {}, []
  for name, run in runs.items():
    status = run.stop()
    run.save(folder)
    if not alive[name]:
      failed.append(f"{name} ended by itself, with status {status}: see {run.log}")
      continue
    of_run = figures(run.samples)
    found |= {f"{name}_{key}": value for key, value in of_run.items()}
    failed += [f"{name}: {text}" for text in verdicts(of_run)]
  graph({name: run.samples for name, run in runs.items()}, folder / "soak.png")
  (folder / "soak.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
  shutil.rmtree(folder / "clips")
  video.unlink()
  for key, value in found.items():
    print(f"{key:45} {value:.3f}")
  print("\n".join(failed) or f"Flat. The graph is {folder / 'soak.png'}.")
  return int(bool(failed))


if __name__ == "__main__":
  sys.exit(main())
