"""The runner that breaks lines tells what a test noticed from what none did."""

import subprocess
import sys

import pytest
from mutation import run
from repository.commands import ROOT

MODULE = "def add(a, b):\n  return a + b\n\n\ndef share(a, b):\n  return a / b\n"
TEST = """from personalized_face import sums


def test_add():
  assert sums.add(2, 3) == 5


def test_share():
  assert sums.share(6, 3) == 2
"""
TRIES = {
  ("a + b", "a - b", "-k add"): ("assertion", "test_add"),
  ("a + b", "a - b", "-k share"): ("survived", ""),
  ("a / b", "a / 0", ""): ("ZeroDivisionError", "test_share"),
  ("a + b", "a + ", ""): ("broken", ""),
  ("a + b", "sum(iter(int, 1))", "-k add"): ("timeout", ""),
  ("a + b", "a - b", "-k nothing"): ("broken", ""),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
  """What each of TRIES came to; in a process that has not imported our package."""
  root = tmp_path_factory.mktemp("toy")
  for name, text in (
    ("personalized_face/__init__.py", ""),
    ("personalized_face/sums.py", MODULE),
    ("tests/test_sums.py", TEST),
  ):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
  subprocess.run(["git", "init", "-q", str(root)], check=True)
  code = f"""if True:
    import pathlib, sys, tempfile
    sys.path.insert(0, {str(ROOT / "tests" / "mutation")!r})
    import run
    with tempfile.TemporaryDirectory() as folder:
      bench = run.Bench(pathlib.Path({str(root)!r}), pathlib.Path(folder))
      for old, new, options in {list(TRIES)!r}:
        row = run.Mutation("sums.py", old, new, f"test_sums.py {{options}}")
        limit = 5 if "iter" in new else 120
        print("\\t".join(bench.try_out(row, limit)))
      print(*bench.pytest(["test_sums.py"], 120, sound=True))
  """
  shown = subprocess.run(
    [sys.executable, "-c", code],
    capture_output=True,
    text=True,
    check=True,
    timeout=300,
  )
  return shown.stdout.splitlines()


def test_outcomes(outcomes):
  for line, expected in zip(outcomes, TRIES.values(), strict=False):
    outcome, test, _, _ = line.split("\t")
    assert outcome == expected[0], line
    assert expected[1] in test


def test_the_lines_are_shown_and_the_tree_is_sound_afterwards(outcomes):
  assert outcomes[0].split("\t")[2:] == ["return a + b", "return a - b"]
  assert outcomes[-1] == "0 []"  # pytest's status, and nothing red


def test_mutate_exception_raised():
  for old, new in (("a + c", "a"), ("return", "raise"), ("a + b", "a + b")):
    with pytest.raises(ValueError, match="times"):
      run.mutate(MODULE, run.Mutation("sums.py", old, new, ""))


def test_rows_name_tests_that_there_are():
  rows = run.read_mutations(ROOT / "tests" / "mutation" / "mutations.tsv")
  assert len({row.module for row in rows}) == len(rows) > 200
  for row in rows:
    files = [word for word in row.tests.split(" -k ")[0].split() if word[-3:] == ".py"]
    assert files and all((ROOT / "tests" / name).is_file() for name in files), row
