"""Breaks one line in each module and looks whether a test goes red.

  python tests/mutation/run.py                  all that is not in results.tsv yet
  python tests/mutation/run.py losses/ core/uv  modules whose path holds one of these
  python tests/mutation/run.py --seconds=170    begins no further one after so long
  python tests/mutation/run.py --list           says what is missing, runs nothing

mutations.tsv has a row for each module: its path within the package, a piece of text
that stands in it once, what it becomes, and the tests that should notice, as given to
pytest. A row is done on a copy of the checkout, by `pytest -x` in a process of its own,
forked from one that has TensorFlow loaded. results.tsv has the test that went red first
and how: `assertion` (an assertion, or an exception that did not come), the type of an
exception that came instead, or

  survived    no test went red
  broken      the module or a test could not even be imported
  timeout     no answer within --limit seconds
  not red     the test that went red is red on the sound tree too (see `_control`)

A row is done again once its module, its text or its tests have changed. Exit status 0:
each module has its line, and each was noticed.
"""

import argparse
import csv
import hashlib
import importlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
HERE = pathlib.Path(__file__).parent
PACKAGE = "personalized_face"
_NOTICED_NOT = ("survived", "broken", "timeout", "not red")
# Loaded once, before the forks; none of them starts a thread when it is imported.
_HEAVY = ("tensorflow", "keras", "scipy.sparse", "scipy.spatial", "cv2", "hypothesis")


class Mutation(NamedTuple):
  """A row of mutations.tsv."""

  module: str  # path within the package
  old: str
  new: str
  tests: str  # as pytest's arguments, relative to tests/


class Outcome(NamedTuple):
  """A row of results.tsv."""

  module: str
  outcome: str
  test: str  # the first one that went red
  line: str  # of the module, and what it became
  broken: str
  key: str  # says of what the result is


def read_mutations(path: pathlib.Path) -> list[Mutation]:
  """The rows of a mutations.tsv; lines that begin with # are comments."""
  lines = path.read_text(encoding="utf-8").splitlines()
  rows = [line.split("\t") for line in lines if line and line[0] != "#"]
  for row in rows:
    if len(row) != len(Mutation._fields):
      raise ValueError(f"{path.name}: {len(row)} columns in {row}")
  return [Mutation(*row) for row in rows]


def read_outcomes(path: pathlib.Path) -> dict[str, Outcome]:
  """The rows of a results.tsv by module; none where there is no file."""
  if not path.exists():
    return {}
  with path.open(newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file, delimiter="\t"))[1:]
  return {row[0]: Outcome(*row) for row in rows}


def write_outcomes(path: pathlib.Path, outcomes: dict[str, Outcome]) -> None:
  """Writes results.tsv in the order of the modules."""
  temporary = path.with_suffix(".tmp")
  with temporary.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(Outcome._fields)
    writer.writerows(outcomes[module] for module in sorted(outcomes))
  os.replace(temporary, path)


def mutate(source: str, mutation: Mutation) -> tuple[str, str, str]:
  """Returns the broken source, the line, and the line broken.

  Raises:
    ValueError: the text stands there never or more than once.
  """
  if source.count(mutation.old) != 1 or mutation.old == mutation.new:
    raise ValueError(
      f"{mutation.module} has {mutation.old!r} {source.count(mutation.old)} times"
    )
  start = source.index(mutation.old)
  first = source.rindex("\n", 0, start) + 1
  last = source.index("\n", start + len(mutation.old))
  line = source[first:last]
  broken = source.replace(mutation.old, mutation.new)
  return broken, line, line.replace(mutation.old, mutation.new)


def key_of(root: pathlib.Path, mutation: Mutation) -> str:
  """Changes with the module, the row and the test files it names."""
  digest = hashlib.sha256("\t".join(mutation).encode())
  digest.update((root / PACKAGE / mutation.module).read_bytes())
  for word in shlex.split(mutation.tests):
    path = root / "tests" / word.split("::")[0]
    if path.is_file():
      digest.update(path.read_bytes())
  return digest.hexdigest()[:12]


class Noticed:
  """A pytest plugin that keeps the first failure: the test and the exception's type."""

  def __init__(self):
    self.test, self.kind, self.passed = "", "", 0

  def pytest_exception_interact(self, node, call, report):
    """Called for an exception in a test or while a file is read."""
    if not self.kind:
      self.test, self.kind = node.nodeid, call.excinfo.typename

  def pytest_runtest_logreport(self, report):
    """Counts what has passed: a row that names no test at all proves nothing."""
    self.passed += report.passed and report.when == "call"

  def outcome(self, status: int) -> str:
    """The word for results.tsv."""
    if not self.kind:
      return "survived" if self.passed and status == 0 else "broken"
    if self.kind in ("AssertionError", "Failed"):
      return "assertion"
    imports = ("CollectError", "SyntaxError", "IndentationError", "ImportError")
    return "broken" if self.kind in imports else self.kind


class Bench:
  """A copy of the checkout in which modules are broken, and tests run."""

  def __init__(self, root: pathlib.Path, folder: pathlib.Path):
    self.folder = folder / "copy"
    self._answer, self.log = folder / "answer.json", folder / "log.txt"
    names = subprocess.run(
      ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
      cwd=root,
      capture_output=True,
      check=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
      if (root / name).is_file():
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, self.folder / name)
    # A broken module's template must not stay in the user's cache, but a sound one
    # need not be built anew.
    cache = pathlib.Path(
      os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    )
    if (cache / PACKAGE).is_dir():
      shutil.copytree(cache / PACKAGE, folder / "cache" / PACKAGE)
    self._variables = {
      "XDG_CACHE_HOME": str(folder / "cache"),
      "PYTHONPATH": str(self.folder),
      "PYTHONDONTWRITEBYTECODE": "1",
      "PERSONALIZED_FACE_DATA": str(root.parent / "shared" / "data"),
    }
    if "PERSONALIZED_FACE_DATA" in os.environ:
      del self._variables["PERSONALIZED_FACE_DATA"]

  def try_out(self, mutation: Mutation, limit: float) -> tuple[str, str, str, str]:
    """Breaks the module, runs the tests, mends the module.

    Returns:
      outcome, test, the line, the line broken.
    """
    path = self.folder / PACKAGE / mutation.module
    source = path.read_text(encoding="utf-8")
    broken, line, broken_line = mutate(source, mutation)
    before = path.stat()
    try:
      path.write_text(broken, encoding="utf-8")
      # Python tells a stale .pyc by the second of the change and the size alone.
      os.utime(path, (before.st_atime, before.st_mtime + 100))
      outcome, test = self.pytest(
        ["-x", *shlex.split(mutation.tests)], limit, sound=False
      )
    finally:
      path.write_text(source, encoding="utf-8")
      os.utime(path, (before.st_atime, before.st_mtime))
    return outcome, test, line.strip(), broken_line.strip()

  def pytest(
    self, arguments: list[str], limit: float, sound: bool
  ) -> tuple[str, list[str] | str]:
    """Runs pytest in a forked process.

    Returns:
      The outcome and the first test that went red; of a sound tree, the tests that did.
    """
    self._answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
      self._become_pytest(arguments, sound)
    if not _wait(child, limit):
      return "timeout", ""
    if not self._answer.exists():
      return "broken", ""
    answer = json.loads(self._answer.read_text())
    return answer["outcome"], answer["test"]

  def _become_pytest(self, arguments: list[str], sound: bool) -> None:
    """The forked process; does not return."""
    os.setsid()
    output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(self._variables)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(self.folder))
    os.chdir(self.folder / "tests")
    import pytest

    seen = _AllRed() if sound else Noticed()
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir=.."]
    status = pytest.main([*options, *arguments], plugins=[seen])
    package = importlib.import_module(PACKAGE)
    if not package.__file__.startswith(str(self.folder)):
      os._exit(1)  # another installation was tested
    answer = {"outcome": seen.outcome(int(status)), "test": seen.test}
    self._answer.write_text(json.dumps(answer))
    os._exit(0)


class _AllRed:
  """A pytest plugin that keeps every test that fails."""

  def __init__(self):
    self.test = []

  def pytest_exception_interact(self, node, call, report):
    self.test.append(node.nodeid)

  def outcome(self, status: int) -> str:
    return str(status)


def _wait(child: int, limit: float) -> bool:
  """Waits for a forked process, ends its whole group after `limit` seconds."""
  end = time.monotonic() + limit
  while time.monotonic() < end:
    if os.waitpid(child, os.WNOHANG)[0]:
      return True
    time.sleep(0.05)
  os.killpg(child, signal.SIGKILL)
  os.waitpid(child, 0)
  return False


def _control(bench: Bench, outcomes: dict[str, Outcome], limit: float) -> dict:
  """The outcomes, less those of tests that are red on the sound tree, too."""
  named = {o.test for o in outcomes.values() if o.outcome not in _NOTICED_NOT}
  _, red = bench.pytest(sorted(named), limit, sound=True)
  return {
    module: o._replace(outcome="not red") if o.test in red else o
    for module, o in outcomes.items()
  }


def modules_of(root: pathlib.Path) -> set[str]:
  """The package's modules, the empty __init__ files left out."""
  folder = root / PACKAGE
  return {
    str(path.relative_to(folder))
    for path in folder.rglob("*.py")
    if path.name != "__init__.py"
  }


def _problems(
  mutations: list[Mutation], outcomes: dict[str, Outcome], wanted: list[str]
) -> list[str]:
  """What the last lines say: modules without a row, rows without a red test."""
  rows = {m.module for m in mutations}
  lines = [f"{m}: no row in mutations.tsv" for m in sorted(modules_of(ROOT) - rows)]
  lines += [f"{m}: there is no such module" for m in sorted(rows - modules_of(ROOT))]
  for mutation in mutations:
    known = outcomes.get(mutation.module)
    try:
      mutate((ROOT / PACKAGE / mutation.module).read_text("utf-8"), mutation)
      done = known is not None and known.key == key_of(ROOT, mutation)
    except (OSError, ValueError) as error:
      lines.append(str(error))
      continue
    if not done:
      lines.append(f"{mutation.module}: not tried")
    elif known.outcome in _NOTICED_NOT:
      lines.append(f"{mutation.module}: {known.outcome}: {known.broken}")
  return [n for n in lines if not wanted or any(part in n for part in wanted)]


def _still_to_do(
  mutations: list[Mutation], outcomes: dict[str, Outcome], again: bool
) -> list[Mutation]:
  """The rows whose result is not known, or was that nobody noticed if `again`.

  Those that were never done come first: of the others much is known already.
  """
  found = []
  for mutation in mutations:
    known = outcomes.get(mutation.module)
    if known is None or known.key != key_of(ROOT, mutation):
      found.append(mutation)
    elif again and known.outcome in _NOTICED_NOT:
      found.append(mutation)
  return sorted(found, key=lambda mutation: mutation.module in outcomes)


def main() -> int:
  """Returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("modules", nargs="*", help="pieces of paths; all if none")
  parser.add_argument("--seconds", type=float, default=float("inf"))
  parser.add_argument("--limit", type=float, default=240, help="seconds for one row")
  parser.add_argument("--list", action="store_true", help="run nothing")
  parser.add_argument("--again", action="store_true", help="what was not noticed too")
  parser.add_argument("--control", action="store_true", help="on the sound tree")
  flags = parser.parse_args()
  mutations = read_mutations(HERE / "mutations.tsv")
  outcomes = read_outcomes(HERE / "results.tsv")
  todo = [
    m
    for m in _still_to_do(mutations, outcomes, flags.again)
    if not flags.modules or any(part in m.module for part in flags.modules)
  ]
  if not flags.list and (todo or flags.control):
    _run(todo, outcomes, flags)
  problems = _problems(mutations, outcomes, flags.modules)
  print("\n".join(problems))
  noticed = sum(o.outcome not in _NOTICED_NOT for o in outcomes.values())
  asserted = sum(o.outcome == "assertion" for o in outcomes.values())
  print(
    f"{len(modules_of(ROOT))} modules, {len(outcomes)} tried, {noticed} noticed, "
    f"{asserted} by an assertion; see {HERE / 'results.tsv'}"
  )
  return bool(problems)


def _import_quietly() -> None:
  """Loads _HEAVY; what TensorFlow's libraries say as they start goes nowhere."""
  kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    for name in _HEAVY:
      importlib.import_module(name)
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


def _run(todo, outcomes: dict[str, Outcome], flags: argparse.Namespace) -> None:
  """Does the rows; `outcomes` and results.tsv grow with each."""
  os.nice(19)
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  _import_quietly()
  from tqdm import tqdm

  end = time.monotonic() + flags.seconds
  with tempfile.TemporaryDirectory() as folder:
    bench = Bench(ROOT, pathlib.Path(folder))
    for mutation in (bar := tqdm(todo, unit="module")):
      if time.monotonic() > end:
        break
      bar.set_postfix_str(mutation.module)
      begin = time.monotonic()
      try:
        outcome, test, line, broken = bench.try_out(mutation, flags.limit)
      except (OSError, ValueError) as error:  # the last lines say so, too
        tqdm.write(str(error))
        continue
      key = key_of(bench.folder, mutation)  # the checkout may have changed meanwhile
      outcomes[mutation.module] = Outcome(
        mutation.module, outcome, test, line, broken, key
      )
      write_outcomes(HERE / "results.tsv", outcomes)
      seconds = time.monotonic() - begin
      tqdm.write(f"{seconds:6.1f} s  {outcome:14} {mutation.module}  {test}")
      if outcome in _NOTICED_NOT:
        text = bench.log.read_text(errors="replace")
        tqdm.write("\n".join(re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()[-4:]))
    if flags.control:
      outcomes.update(_control(bench, outcomes, 10 * flags.limit))
      write_outcomes(HERE / "results.tsv", outcomes)


if __name__ == "__main__":
  sys.exit(main())
