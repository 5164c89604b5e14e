"""Preparations of real clips that are killed, gone on with, and compared; a script.

  python tests/data/kill_and_resume.py FOLDER 10 CLIP.mp4 CLIP.mp4 ...

Prepares the clips undisturbed, then COUNT times anew: kill -9 at a random moment of
that time, then the same command again. Prints a table; its exit status is 0 if each of
them ended in the same bytes. test_resume.py does the like with toy clips, at set
moments.
"""

import hashlib
import pathlib
import random
import subprocess
import sys
import time

# Of the files of a folder of records, those that say when and how long.
_OF_THE_RUN = ("manifest.csv", "dataset_info.json")


def _start(clips: list[str], output: pathlib.Path) -> subprocess.Popen:
  """The command as a user gives it, with two workers; killed, it leaves them behind."""
  command = [sys.executable, "-m", "personalized_face", "prepare_data"]
  command += [f"--input={clip}" for clip in clips]
  return subprocess.Popen(
    [*command, f"--output_dir={output}", "--num_workers=2"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def digests(folder: pathlib.Path) -> dict[str, str]:
  """SHA-256 of each file that does not depend on the clock."""
  return {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.iterdir())
    if path.name not in _OF_THE_RUN
  }


def _killed(clips: list[str], output: pathlib.Path, seconds: float) -> str:
  """Kills a run after so many seconds; says how far it had come."""
  process = _start(clips, output)
  time.sleep(seconds)
  ended = process.poll() is not None
  process.kill()  # SIGKILL
  process.wait()
  if ended or output.exists():
    return "all"
  units = list(output.with_name(f"{output.name}.work").glob("units/*/*.json"))
  return f"{len(units)} of {len(clips)} clips"


def main(folder: pathlib.Path, count: int, clips: list[str]) -> int:
  """Prints the table and returns the exit status."""
  folder.mkdir(parents=True)
  start = time.monotonic()
  whole = _start(clips, folder / "whole").wait()
  duration = time.monotonic() - start
  want = digests(folder / "whole")
  print(f"undisturbed: {duration:.1f} s, exit status {whole}, {len(want)} files\n")
  print(
    "| killed after s | done by then | exit status of the second run | same bytes |"
  )
  print("|---|---|---|---|")
  draw, wrong = random.Random(0), 0
  for i in range(count):
    output = folder / f"killed_{i}"
    # A second to find its legs: before it, there is nothing to kill.
    seconds = draw.uniform(1.0, duration)
    done = _killed(clips, output, seconds)
    status = _start(clips, output).wait()
    same = digests(output) == want
    left = output.with_name(f"{output.name}.work").exists()
    wrong += not same or left or status != whole
    print(
      f"| {seconds:.1f} | {done} | {status} | {'yes' if same else 'NO'} |", flush=True
    )
  return int(wrong > 0)


if __name__ == "__main__":
  sys.exit(main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
