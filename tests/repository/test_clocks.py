"""Nobody measures by the time of day, which may be set back while a command runs."""

import ast

import pytest
from repository.commands import ROOT

SOURCES = sorted(
  [*(ROOT / "personalized_face").rglob("*.py"), *ROOT.glob("tools/*.py")]
)
# Of time, datetime, os and os.path.
OF_DAY = {
  "time",
  "time_ns",
  "now",
  "utcnow",
  "today",
  "getmtime",
  "getctime",
  "st_mtime",
}
ALLOWED = {
  # The newest profile of a benchmark's folder: TensorFlow names them by the time too.
  ("personalized_face/pipelines/step_trace.py", "getmtime"),
}


def times_of_day(source: str) -> set[str]:
  """The names by which a module asks for the time of day or of a file."""
  found = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Attribute) and node.attr in OF_DAY:
      # `time.time`, not `frame.time`.
      of_module = isinstance(node.value, ast.Name) and node.value.id == "time"
      if node.attr not in ("time", "time_ns") or of_module:
        found.add(node.attr)
    if isinstance(node, ast.ImportFrom):
      names = {alias.name for alias in node.names}
      if node.module in ("time", "datetime"):
        found |= names & OF_DAY
      if node.module == "tqdm" or any(name == "tqdm" for name in names):
        if node.module != "personalized_face.progress":
          found |= names & {"tqdm", "trange"}
  return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_module_does_not_ask_for_the_time_of_day(path):
  name = str(path.relative_to(ROOT))
  found = {(name, one) for one in times_of_day(path.read_text(encoding="utf-8"))}
  assert found - ALLOWED == set()


def test_the_walk_sees_every_form():
  for source in (
    "import time\ntime.time()",
    "from time import time",
    "import datetime\ndatetime.datetime.now()",
    "import os\nos.path.getmtime('x')",
    "from tqdm import tqdm",
  ):
    assert times_of_day(source), source
  assert not times_of_day("import time\ntime.monotonic()\nframe.time")
  assert not times_of_day("from personalized_face.progress import tqdm")
