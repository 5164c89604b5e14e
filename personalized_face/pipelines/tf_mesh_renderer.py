"""Builds the paper's own rasterizer by Bazel and puts it where its backend looks."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from absl import logging

from personalized_face import resources
from personalized_face.core.errors import UserError
from personalized_face.rendering.tf_mesh_renderer import library_path

TARGET = "//:tf_mesh_renderer_kernel"
_LIBRARY = "bin/external/tf_mesh_renderer/rasterize_triangles_kernel.so"
# The kernel's sources, relative to the root of google/tf_mesh_renderer.
SOURCES = tuple(
  f"mesh_renderer/kernels/rasterize_triangles_{part}"
  for part in ("grad.cc", "impl.cc", "impl.h", "op.cc")
)
_OFFLINE_RULES = ("remote_coverage_tools", "rules_cc", "rules_java", "rules_proto")
# The first release that .bazelrc is written for. Older ones do not know its flags, have
# the rules of C++ built in, and would download them all the same.
_MODERN = 7
_IDLE = "--max_idle_secs=60"  # Bazel's server waits three hours unless told


def build_kernel(sources: str | None = None, timeout: float = 600.0) -> str:
  """Runs `bazel build` and installs the library.

  Args:
    sources: a folder that holds google/tf_mesh_renderer, or an unpacked source package
      `mesh-renderer`, which has the same files; None lets Bazel fetch the commit that
      WORKSPACE pins.
    timeout: seconds.

  Returns:
    The path of the library.

  Raises:
    UserError: no checkout, no Bazel, no sources, or the build failed.
  """
  root = _checkout()
  command, environment = bazel_command(root)
  environment["PYTHON_BIN_PATH"] = sys.executable
  with tempfile.TemporaryDirectory() as folder:
    outputs = os.path.join(folder, "outputs")
    options = [f"--symlink_prefix={outputs}/"]  # none in the checkout
    if sources:
      upstream = os.path.join(folder, "tf_mesh_renderer")
      _copy_sources(root, sources, upstream)
      options.append(f"--override_repository=tf_mesh_renderer={upstream}")
    logging.info("Building the kernel of tf_mesh_renderer with Bazel.")
    try:
      built = subprocess.run(
        [*command, *options, TARGET],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
      )
    except subprocess.TimeoutExpired as error:
      raise UserError(f"Bazel has not finished in {timeout:.0f} s.") from error
    if built.returncode:
      raise UserError(f"Bazel failed: {_reason(built.stderr)}")
    return _install(os.path.join(outputs, _LIBRARY), library_path())


def bazel_command(root: str) -> tuple[list[str], dict[str, str]]:
  """How to call `bazel build` of the version that is installed.

  Args:
    root: the checkout.

  Returns:
    The command up to the targets, and its environment.

  Raises:
    UserError: there is no Bazel.
  """
  bazel = shutil.which("bazel") or shutil.which("bazelisk")
  if not bazel:
    raise UserError(
      "Bazel is not installed; on Debian: apt-get install -y bazel-bootstrap, elsewhere"
      " see bazel.build."
    )
  environment = dict(os.environ)
  said = _ask_version(bazel, root, environment)
  if said.returncode:
    # Debian's wrapper stops at the version in .bazelversion when it is not there.
    environment["USE_BAZEL_VERSION"] = "latest"
    said = _ask_version(bazel, root, environment)
  if said.returncode:
    raise UserError(f"{bazel} does not run: {_reason(said.stderr + said.stdout)}")
  # Debian's build calls itself "no_version".
  version = re.search(r"bazel (\d+)\.", said.stdout)
  if version and int(version[1]) >= _MODERN:
    return [bazel, _IDLE, "build"], environment
  shims = os.path.join(root, "third_party", "bazel_offline")
  return [
    bazel,
    _IDLE,
    "--noworkspace_rc",
    "build",
    "--compilation_mode=opt",
    "--cxxopt=-std=c++17",
    "--host_cxxopt=-std=c++17",
    *(f"--override_repository={r}={os.path.join(shims, r)}" for r in _OFFLINE_RULES),
  ], environment


def _ask_version(
  bazel: str, root: str, environment: dict[str, str]
) -> subprocess.CompletedProcess:
  return subprocess.run(
    [bazel, "--version"], cwd=root, env=environment, capture_output=True, text=True
  )


def _checkout() -> str:
  root = os.path.dirname(os.path.abspath(resources.gin_dir()))
  if not os.path.exists(os.path.join(root, "WORKSPACE")):
    raise UserError(
      "The kernel is built from a checkout of the repository, where WORKSPACE is; this"
      " is an installed package."
    )
  return root


def _copy_sources(root: str, sources: str, folder: str) -> None:
  """Makes a Bazel repository of a copy, without the BUILD files it came with."""
  for name in SOURCES:
    source, target = os.path.join(sources, name), os.path.join(folder, name)
    if not os.path.isfile(source):
      raise UserError(f"{sources} holds no {name}: it is not tf_mesh_renderer.")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(source, target)
  build = os.path.join(root, "third_party", "tf_mesh_renderer.BUILD")
  shutil.copy(build, os.path.join(folder, "BUILD"))
  with open(os.path.join(folder, "WORKSPACE"), "w", encoding="utf-8") as file:
    file.write('workspace(name = "tf_mesh_renderer")\n')


def _install(built: str, path: str) -> str:
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  # A process may have the old file loaded: a new one takes its name.
  partial = f"{path}.{os.getpid()}"
  shutil.copyfile(built, partial)
  os.replace(partial, path)
  return path


def _reason(text: str) -> str:
  """The first line that says what was wrong."""
  lines = [re.sub(r"\x1b\[[\d;]*m", "", line).strip() for line in text.splitlines()]
  lines = [line for line in lines if line]
  errors = [line for line in lines if "error" in line.lower()]
  return " ".join((errors or lines or ["it said nothing"])[:2])
