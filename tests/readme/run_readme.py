"""Runs the commands of a page for real, from top to bottom: `make readme`.

  python tests/readme/run_readme.py             README.md
  python tests/readme/run_readme.py --quick     nothing that takes ten minutes or more
  python tests/readme/run_readme.py --list      says what would be run

Commands run in a scratch folder that shows the checkout's files, as for somebody who
works in it, one after the other: what one wrote is there for the next. What the reader
would bring is made where it is named and not there: a clip of a synthetic person, a
folder of some, a picture. Code of Python is run as a file. What cannot be run here is
skipped with the reason (SKIPPED), and what would take a day is run smaller: the flags
that were added (SMALLER) stand in the table. A command within a sentence is run if it
is complete, that is, if its required flags are there.

The table with the seconds of each goes to <folder>/readme.md and <folder>/readme.json,
what each command said to <folder>/logs. Exit status 0: nothing that was run failed.
"""

import argparse
import ast
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
SHELL = ("", "bash", "console", "sh")  # languages of blocks; others are not run
SYNTHETIC = ("--seconds=3", "--size=256")  # of the clips that stand in for the reader's

# What a command has in it that cannot be had here.
SKIPPED = (
  (r"^(sudo |apt|pip install|git clone)", "changes the machine, or needs a network"),
  (r"--source=\d+\b", "needs a camera"),
  (r"--show\b", "needs a screen"),
  (r"TF_CONFIG|multi_worker", "needs a cluster"),
  (r"AFLW2000|300VW|BU-?3DFE|FaceWarehouse|CelebA|NoW\b|VoxCeleb", "needs a data set"),
  (r"ICT-?FaceKit|ict_facekit|ict\.npz", "needs ICT-FaceKit's folder"),
  (r"my_shapes", "needs a folder of OBJ files"),
  (r"pface_build_tf_mesh_renderer|bazel", "needs Bazel"),
  (r"--beam\b", "needs Apache Beam"),
  (r"\bLOCK= ", "would replace the tested versions by the newest"),
  (r"/path/to/|[A-Z]{3,}\||=[A-Z]+$|=[A-Z]+ ", "is a pattern, not a command"),
  (r"\.\.\.", "is a pattern, not a command"),
)
# What would take longer than anybody waits: flags that are added, and why.
SMALLER = (
  (
    r"^pface_train\b",
    [f"--gin_param=stage{i}/Stage.steps = 2" for i in (1, 2)]
    + ["--gin_param=train.groups_per_batch = 1", "--gin_param=train.log_every = 1"]
    + ["--gin_param=train.recalibration_batches = 1"],
    "the paper's training takes a large GPU for a day",
  ),
  (
    r"^pface_ablations\b",
    ["--seeds=1", "--rows=A,B", "--limit=4"]
    + [f"--gin_param={s}/Stage.steps = 2" for s in ("warm_up", "stage1", "stage2")]
    + ["--gin_param=train.recalibration_batches = 1"],
    "fifteen runs of minutes",
  ),
  (r"^pface_synthesize_data\b.*--persons=\d\d", ["--persons=3", *SYNTHETIC], "hours"),
  (r"^pface_synthesize_data\b", SYNTHETIC, "minutes a clip"),
)
# Too long for --quick.
LONG = (
  (r"^make test( WORKERS=\d+)?$", "the whole suite takes 15 minutes"),
  (r"^make demo", "trains for ten minutes"),
  (r"make test .*fuzz", "thousands of files"),
  (r"^pface_benchmark_", "measures for minutes, on an idle machine"),
  (r"^pface_evaluate .*--fit", "minutes"),
)


class Piece(NamedTuple):
  """A command, or a block of Python."""

  text: str
  kind: str  # "shell", "python" or "sentence"


class Step(NamedTuple):
  """What is done about a piece."""

  text: str  # as it is run; of Python its first line
  skipped: str  # the reason; empty: it is run
  smaller: str  # the flags that were added, and why
  kind: str
  code: str = ""  # of Python


class Result(NamedTuple):
  """A row of the table."""

  command: str
  status: str  # "ran", "failed" or "skipped"
  seconds: float
  note: str


def pieces(page: str) -> list[Piece]:
  """The commands and the Python of a page, in its order."""
  found = []
  fence = re.compile(r"^```(\w*)\n(.*?)^```|`([^`\n]+(?:\n[^`\n]+)?)`", re.M | re.S)
  for language, block, inline in (match.groups() for match in fence.finditer(page)):
    if inline:
      text = " ".join(inline.split())
      if re.match(r"([A-Z_]+=\S+ )*(pface_\w+|make|python) ", text):
        found.append(Piece(text, "sentence"))
    elif language == "python":
      found.append(Piece(block, "python"))
    elif language in SHELL:
      lines = re.sub(r"\\\n\s*", "", block).splitlines()
      lines = [line.strip().removeprefix("$ ") for line in lines]
      found += [Piece(line, "shell") for line in lines if line and line[0] != "#"]
  return found


def plan(page: str, quick: bool = False, only: str = "") -> list[Step]:
  """What is done about each piece of a page; what stands there twice is run once.

  Args:
    page: Markdown.
    quick: skips what is LONG.
    only: a regular expression; what it is not found in is skipped.
  """
  steps, seen = [], set()
  for piece in pieces(page):
    if piece.text not in seen:
      seen.add(piece.text)
      step = _step(piece, quick)
      if not re.search(only, piece.text) and not step.skipped:
        step = step._replace(skipped="not asked for (--only)")
      steps.append(step)
  return steps


def _step(piece: Piece, quick: bool) -> Step:
  text = piece.text
  if piece.kind == "python":
    return Step(text.splitlines()[0] + " ...", "", "", "python", text)
  reasons = [why for pattern, why in SKIPPED if re.search(pattern, text)]
  if quick:
    reasons += [f"{why} (--quick)" for pattern, why in LONG if re.search(pattern, text)]
  if piece.kind == "sentence" and not _is_complete(text):
    reasons.append("only part of a command, in a sentence")
  if reasons:
    return Step(text, reasons[0], "", piece.kind)
  for pattern, flags, why in SMALLER:
    if re.search(pattern, text):
      added = shlex.join(flags)
      return Step(f"{text} {added}", "", f"{added} ({why})", piece.kind)
  return Step(text, "", "", piece.kind)


def _is_complete(text: str) -> bool:
  """Whether a command has the flags without which it does not start."""
  name = text.split()[0].removeprefix("pface_")
  source = ROOT / "tools" / f"{name}.py"
  if not source.is_file():
    return bool(re.match(r"([A-Z_]+=\S+ )*make ", text))
  required = []
  for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      if node.func.attr.startswith("mark_flag"):
        value = ast.literal_eval(node.args[0])
        required += [value] if isinstance(value, str) else value
  return all(f"--{flag}=" in text for flag in required) and " " in text


class Scratch:
  """The folder in which the commands run."""

  def __init__(self, folder: pathlib.Path, python: str):
    """Shows the checkout's files in `folder`; `python` has the package's libraries."""
    self.folder, self._python = folder, python
    self._logs = folder / "logs"
    self._logs.mkdir(parents=True)
    for entry in ROOT.iterdir():
      if entry.name not in ("demo_output", "runs", ".git"):
        (folder / entry.name).symlink_to(entry)
    programs = folder / "programs"
    programs.mkdir()
    for tool in (ROOT / "tools").glob("[!_]*.py"):
      program = programs / f"pface_{tool.stem}"
      call = shlex.join([python, str(tool)])
      program.write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
      program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.path.dirname(python), os.environ["PATH"]])
    self._variables = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    self._clips = 0

  def run(self, number: int, step: Step, limit: float) -> Result:
    """Runs a step and says how it went."""
    if step.skipped:
      return Result(step.text, "skipped", 0.0, step.skipped)
    made = self._bring(step.code or step.text)
    command = ["bash", "-c", step.text]
    if step.kind == "python":
      path = self.folder / f"block_{number}.py"
      path.write_text(step.code, encoding="utf-8")
      command = [self._python, str(path)]
    # Of these the checkout itself is meant, and links are not followed.
    where = ROOT if re.match(r"make (lint|test)\b", step.text) else self.folder
    begin = time.monotonic()
    with open(self._logs / f"{number:02d}.txt", "w", encoding="utf-8") as log:
      log.write(f"{step.text}\n\n")
      log.flush()
      try:
        status = subprocess.run(
          command,
          cwd=where,
          env=self._variables,
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          timeout=limit,
        ).returncode
      except subprocess.TimeoutExpired:
        status = f"no end after {limit:.0f} s"
    notes = [f"stand-ins: {', '.join(made)}"] if made else []
    notes += [f"smaller: {step.smaller}"] if step.smaller else []
    if status != 0:
      notes.insert(0, f"status {status}: {self._last_line(number)}")
    seconds = time.monotonic() - begin
    return Result(
      step.text, "failed" if status else "ran", round(seconds, 1), "; ".join(notes)
    )

  def _last_line(self, number: int) -> str:
    text = (self._logs / f"{number:02d}.txt").read_text(errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]
    return lines[-1][:200]

  def _bring(self, text: str) -> list[str]:
    """Makes the clips, folders and pictures that a command reads and nobody wrote."""
    made = []
    for name in re.findall(r"(?<![\w/.])\w[\w/]*\.(?:mp4|jpe?g|png)\b", text):
      written = re.search(rf"(save\(.|overlay=|output=){re.escape(name)}", text)
      if not written and not (self.folder / name).exists():
        self._clip(self.folder / name)
        made.append(name)
    for name in re.findall(r"--input=([\w/]+/)(?:\s|$)", text):
      if not (self.folder / name).exists():
        for person in ("anna", "ben"):
          self._clip(self.folder / name / f"{person}.mp4")
        made.append(name)
    return made

  def _clip(self, target: pathlib.Path) -> None:
    """A clip of a synthetic person, another one each time; of a picture, its frame."""
    self._clips += 1
    with tempfile.TemporaryDirectory() as folder:
      tool = [self._python, str(ROOT / "tools" / "synthesize_data.py")]
      flags = [f"--output_dir={folder}", "--persons=1", f"--seed={self._clips}"]
      subprocess.run(
        [*tool, *flags, *SYNTHETIC],
        check=True,
        env=self._variables,
        capture_output=True,
      )
      clip = next(pathlib.Path(folder).rglob("*.mp4"))
      target.parent.mkdir(parents=True, exist_ok=True)
      if target.suffix == ".mp4":
        shutil.copy(clip, target)
        return
      import cv2  # comes with the package

      cv2.imwrite(str(target), cv2.VideoCapture(str(clip)).read()[1])


def table(results: list[Result]) -> str:
  """The results as a Markdown table."""
  lines = ["| command | | seconds | |", "|---|---|---:|---|"]
  for result in results:
    cells = [f"`{result.command}`", result.status, f"{result.seconds:.1f}", result.note]
    lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
  return "\n".join(lines) + "\n"


def main() -> int:
  """Returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--page", default="README.md", help="relative to the checkout")
  parser.add_argument("--folder", help="for scratch and results; made, must not exist")
  parser.add_argument("--python", default=sys.executable)
  parser.add_argument("--limit", type=float, default=3600, help="seconds a command")
  parser.add_argument("--quick", action="store_true")
  parser.add_argument("--only", default="", help="a regular expression")
  parser.add_argument("--list", action="store_true")
  flags = parser.parse_args()
  page = (ROOT / flags.page).read_text(encoding="utf-8")
  steps = plan(page, flags.quick, flags.only)
  if flags.list:
    for step in steps:
      print(f"{'skip' if step.skipped else 'run':5} {step.text}  {step.skipped}")
    return 0
  folder = pathlib.Path(flags.folder or tempfile.mkdtemp(prefix="readme_")) / "run"
  scratch, results = Scratch(folder.absolute(), flags.python), []
  for number, step in enumerate(steps, 1):
    print(f"[{number}/{len(steps)}] {step.text}", flush=True)
    results.append(scratch.run(number, step, flags.limit))
    last = results[-1]
    print(f"    {last.status}, {last.seconds:.1f} s  {last.note}", flush=True)
    (folder / "readme.md").write_text(table(results), encoding="utf-8")
    rows = [result._asdict() for result in results]
    (folder / "readme.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
  failed = sum(result.status == "failed" for result in results)
  ran = sum(result.status == "ran" for result in results)
  print(
    f"{ran} ran, {failed} failed, {len(results) - ran - failed} skipped, in "
    f"{sum(result.seconds for result in results) / 60:.1f} minutes; the table is "
    f"{folder}/readme.md, what they said in {folder}/logs."
  )
  return int(failed > 0)


if __name__ == "__main__":
  sys.exit(main())
