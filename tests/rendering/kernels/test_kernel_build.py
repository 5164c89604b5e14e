"""rendering/kernels/build.py: compiling on first use, and doing without."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from personalized_face.rendering.kernels import build

FOLDER = pathlib.Path(build.__file__).parent
TESTS = sorted(FOLDER.glob("*_test.cc"))
# Draws one triangle with whatever "auto" is, and says what it was.
DRAW = """
import numpy as np, tensorflow as tf
from personalized_face.rendering import camera, rasterize
vertices = tf.constant([[[0, 0, -10.0], [1, 0, -10], [0, 1, -10]]])
ids = rasterize.triangle_ids(
  vertices, np.array([[0, 1, 2]]), camera.Camera.for_crop(16)
)
print("backend", rasterize.choose_backend("auto"), int((ids == 0).numpy().sum()))
"""


@pytest.fixture
def compiler() -> list[str]:
  try:
    return build._find_compiler()
  except build.BuildError as error:
    pytest.skip(str(error))


def draw(cache, **environment) -> tuple[str, str]:
  """Runs DRAW in a process of its own; returns its last line and its messages."""
  environment = {
    **os.environ,
    "XDG_CACHE_HOME": str(cache),
    "PYTHONPATH": os.pathsep.join(sys.path),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    **environment,
  }
  done = subprocess.run(
    [sys.executable, "-c", DRAW],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
    timeout=600,
  )
  return done.stdout.splitlines()[-1], done.stderr


@pytest.mark.parametrize("source", TESTS, ids=[path.name for path in TESTS])
def test_kernel_passes_its_own_tests(source, compiler, tmp_path):
  kernels = [p for p in build.sources() if p.endswith(".cc") and "ops" not in p]
  program = tmp_path / "tests"
  flags = [*build.kernel_flags(), "-Wall", "-Wextra", "-Werror"]
  subprocess.run(
    [*compiler, *flags, f"-I{FOLDER}", str(source), *kernels, "-o", str(program)],
    check=True,
  )
  done = subprocess.run([str(program)], capture_output=True, text=True)
  assert done.returncode == 0, done.stdout


def test_without_a_compiler_auto_is_xla(tmp_path):
  line, messages = draw(tmp_path, PATH="", CXX="")
  assert line.startswith("backend xla ") and not line.endswith(" 0")
  (warning,) = (m for m in messages.splitlines() if "compiler" in m)
  assert "There is no C++ compiler (g++, clang++, c++)" in warning
  assert build.COMPILER_VARIABLE in warning  # the way out


def test_compiling_can_be_declined(tmp_path):
  line, messages = draw(tmp_path, **{build.COMPILER_VARIABLE: ""})
  assert line.startswith("backend xla ")
  assert messages.count(f"{build.COMPILER_VARIABLE} is empty") == 1


def test_broken_compiler_is_told_with_its_log(tmp_path):
  broken = tmp_path / "g++"
  broken.write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 1\n")
  broken.chmod(0o755)
  line, messages = draw(tmp_path, **{build.COMPILER_VARIABLE: str(broken)})
  assert line.startswith("backend xla ")
  (log,) = (tmp_path / "personalized_face" / "kernels").glob("*.log")
  assert messages.count(f"did not compile, see {log}") == 1
  assert "the disk is on fire" in log.read_text()
  assert not list(log.parent.glob("*.so"))


def test_first_use_by_many_at_once_compiles_once(tmp_path, compiler, monkeypatch):
  calls = []

  def count(command, path):
    calls.append(path)
    pathlib.Path(path).write_bytes(b"library")

  monkeypatch.setattr(build, "_compile", count)
  found = []
  threads = [
    threading.Thread(target=lambda: found.append(build.library(str(tmp_path))))
    for _ in range(4)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  # The file lock is of the open file: it holds back threads and processes alike.
  assert len(calls) == 1 and found == calls * 4


def test_two_processes_first_use(tmp_path):
  if build.load() is None:
    pytest.skip("there is no C++ compiler here")
  # A compiler that notes its calls, and has its results ready.
  notes, wrapper = tmp_path / "notes", tmp_path / "c++"
  wrapper.write_text(
    f'#!/bin/sh\necho "$@" >> {notes}\n'
    'while [ "$1" != -o ]; do shift; done\n'
    f'sleep 0.2\ncp {build.library()} "$2"\n'
  )
  wrapper.chmod(0o755)
  results = []
  threads = [
    threading.Thread(
      target=lambda: results.append(
        draw(tmp_path, **{build.COMPILER_VARIABLE: str(wrapper)})
      )
    )
    for _ in range(2)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert [line.split()[1] for line, _ in results] == ["cpu", "cpu"]
  assert notes.read_text().count("-shared") == 1
  folder = tmp_path / "personalized_face" / "kernels"
  assert len(list(folder.glob("*.so"))) == 1
  # No half-made files are left behind.
  assert {p.suffix for p in folder.iterdir()} == {".so", ".lock"}


def test_folder_that_cannot_be_written(tmp_path, compiler, monkeypatch):
  monkeypatch.setattr(
    build, "_compile", lambda _, path: pathlib.Path(path).write_bytes(b"library")
  )
  (tmp_path / "file").write_text("in the way")
  path = pathlib.Path(build.library(str(tmp_path / "file")))
  assert path.read_bytes() == b"library"
  shutil.rmtree(path.parent)


def test_library_depends_on_sources_and_processor(monkeypatch, tmp_path):
  keys = {build._key()}
  monkeypatch.setattr(build, "_processor", lambda: "another")
  keys.add(build._key())
  copy = tmp_path / "rasterize.cc"
  copy.write_text((FOLDER / "rasterize.cc").read_text() + "\n")
  sources = [copy if p.endswith("rasterize.cc") else p for p in build.sources()]
  monkeypatch.setattr(build, "sources", lambda: sources)
  keys.add(build._key())
  assert len(keys) == 3
