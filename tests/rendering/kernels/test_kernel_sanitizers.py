"""The C++ kernels under AddressSanitizer and UndefinedBehaviorSanitizer."""

import concurrent.futures
import os
import pathlib
import subprocess

import pytest

from personalized_face.rendering.kernels import build

FOLDER = pathlib.Path(build.__file__).parent
# Beside what is undefined by itself: casts of doubles that fit no integer; and what a
# vector holds back for later, which else counts as its own.
SANITIZE = (
  "-fsanitize=address,undefined,float-cast-overflow",
  "-fno-sanitize-recover=all",
  "-fno-omit-frame-pointer",
  "-D_GLIBCXX_SANITIZE_VECTOR=1",
  "-g1",
)
# -O3 takes the compiler a minute here and finds nothing else; of the kernels' other
# flags those stay that decide on the arithmetic.
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", *SANITIZE, f"-I{FOLDER}")
# Reads one past a vector: the tools are seen to find what they are there for.
FAULT = """
#include <vector>
int main(int count, char**) {
  std::vector<int> v(8);
  v.reserve(64);
  return v.data()[7 + count];
}
"""
ROUNDS = os.environ.get("PERSONALIZED_FACE_FUZZ", "2000")
TIMEOUT = 300  # seconds; a quarter of a minute on two free cores


def _run(command):
  return subprocess.run(
    command,
    capture_output=True,
    text=True,
    timeout=TIMEOUT,
    # The leak checker needs ptrace, which containers often deny.
    env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
  )


@pytest.fixture(scope="module")
def compiler(tmp_path_factory) -> list[str]:
  """A compiler with the sanitizers' libraries; skips without one."""
  try:
    command = build._find_compiler()
  except build.BuildError as error:
    pytest.skip(str(error))
  folder = tmp_path_factory.mktemp("fault")
  source, program = folder / "fault.cc", folder / "fault"
  source.write_text(FAULT)
  done = _run([*command, *FLAGS, str(source), "-o", str(program)])
  if done.returncode:
    pytest.skip(f"{command[0]} has no sanitizers: {done.stderr.strip()[-200:]}")
  found = _run([str(program)])
  if found.returncode == 0 or "AddressSanitizer" not in found.stderr:
    pytest.skip(f"the sanitizers do not work here: {found.stderr.strip()[:200]}")
  return command


@pytest.fixture(scope="module")
def programs(compiler, tmp_path_factory) -> dict[str, pathlib.Path]:
  """The kernels' own tests, each linked with the kernels, everything sanitized."""
  folder = tmp_path_factory.mktemp("sanitized")
  tests = sorted(FOLDER.glob("*_test.cc"))
  kernels = [p for p in build.sources() if p.endswith(".cc") and "ops" not in p]
  sources = [pathlib.Path(source) for source in (*tests, *kernels)]
  objects = {path: folder / f"{path.name}.o" for path in sources}
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    commands = [
      [*compiler, *FLAGS, "-c", str(path), "-o", str(to)]
      for path, to in objects.items()
    ]
    for done in pool.map(_run, commands):
      assert done.returncode == 0, done.stderr
  shared = [str(objects[pathlib.Path(kernel)]) for kernel in kernels]
  made = {test.stem: folder / test.stem for test in tests}
  for test in tests:
    command = [*compiler, *SANITIZE, str(objects[test]), *shared]
    done = _run([*command, "-o", str(made[test.stem])])
    assert done.returncode == 0, done.stderr
  return made


@pytest.mark.parametrize(
  "name", ["adversarial_test", "gradients_test", "rasterize_test"]
)
def test_nothing_outside_the_arrays_and_nothing_undefined(programs, name):
  done = _run([str(programs[name]), ROUNDS])
  assert done.returncode == 0, done.stdout + done.stderr
