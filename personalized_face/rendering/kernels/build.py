"""Compiles the ops on first use, and finds them again.

An op's binary belongs to one TensorFlow and to one kind of processor, and neither is
known when a wheel is made; a compiler takes half a minute. So the sources lie in the
package, and the library is kept in the user's cache folder under a name that changes
with whatever it depends on: TensorFlow's version, the sources, the compiler's flags and
the processor. Nothing else is needed: TensorFlow brings its headers along.

Where there is no compiler, or it fails, one warning says so, and the renderer goes on
without the ops.
"""

import contextlib
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from personalized_face.core.cache import cache_folder

# The compiler to take: a command, or nothing ("") for none at all.
COMPILER_VARIABLE = "PFACE_RENDERER_CXX"
_COMPILERS = ("g++", "clang++", "c++")
_FOLDER = os.path.dirname(os.path.abspath(__file__))
# The one file that includes TensorFlow; the others are the kernels.
_OPS = "ops.cc"
_FLAGS = ("-std=c++17", "-fPIC", "-DNDEBUG", "-pthread")
# Two triangles must round their common edge alike, so nothing is contracted; whether a
# calculation traps or sets errno keeps compilers from using vector instructions.
_KERNEL_FLAGS = (
  "-O3",
  "-ffp-contract=off",
  "-fno-trapping-math",
  "-fno-math-errno",
)
_TIMEOUT = 600  # seconds; a slow machine under load takes a minute
_lock = threading.Lock()


class BuildError(Exception):
  """The library cannot be had; the message is a sentence for the user."""


def load() -> object | None:
  """The ops as Python functions, compiled before where need be.

  Returns:
    What `tf.load_op_library` returns; None, after one warning, where there is none.
  """
  with _lock:
    return _load()


@functools.cache
def _load() -> object | None:
  try:
    path = library()
    return tf.load_op_library(path)
  except BuildError as error:
    logging.warning("%s", error)
  except tf.errors.OpError as error:
    logging.warning(
      "The renderer's kernel does not load (%s), so it renders with the slower xla "
      "backend; delete %s to compile it again.",
      error.message,
      path,
    )
  return None


def library(folder: str | None = None) -> str:
  """The path of the compiled library; compiles it if it is not there yet.

  Args:
    folder: where libraries are kept; by default in the user's cache folder.

  Raises:
    BuildError: no compiler, or it fails.
  """
  folder = folder or os.path.join(cache_folder(), "kernels")
  name = f"renderer-{_key()}"
  path = os.path.join(folder, f"{name}.so")
  if os.path.exists(path):
    return path
  compiler = _find_compiler()
  try:
    os.makedirs(folder, exist_ok=True)
    held = _exclusive(os.path.join(folder, f"{name}.lock"))
  except OSError:
    # Nowhere to keep it: compiled for this process alone.
    folder = tempfile.mkdtemp(prefix="personalized_face-")
    path, held = os.path.join(folder, f"{name}.so"), contextlib.nullcontext()
  with held:
    if not os.path.exists(path):  # another process may have made it meanwhile
      _compile(compiler, path)
  return path


def sources() -> list[str]:
  """The C++ files of the library, without the tests; headers too."""
  names = sorted(os.listdir(_FOLDER))
  wanted = [n for n in names if n.endswith((".cc", ".h")) and "test" not in n]
  return [os.path.join(_FOLDER, name) for name in wanted]


def kernel_flags() -> list[str]:
  """The compiler's flags for the files that do not include TensorFlow."""
  flags = [*_FLAGS, *_KERNEL_FLAGS]
  # The processor must be part of the library's name wherever it decides on its code.
  return [*flags, "-march=native"] if _processor() else flags


def _key() -> str:
  """Changes with whatever the library depends on."""
  parts = [tf.version.VERSION, *tf.sysconfig.get_compile_flags()[1:]]
  parts += [*kernel_flags(), _processor(), platform.machine()]
  digest = hashlib.sha256("\n".join(parts).encode())
  for path in sources():
    with open(path, "rb") as file:
      digest.update(os.path.basename(path).encode() + file.read())
  return f"tf{tf.version.VERSION}-{digest.hexdigest()[:12]}"


@functools.cache
def _processor() -> str:
  """Model and instruction sets; "" where they cannot be told."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      lines = file.read().split("\n\n")[0].splitlines()
  except OSError:
    return ""
  named = dict(line.split(":", 1) for line in lines if ":" in line)
  named = {key.strip(): value.strip() for key, value in named.items()}
  if platform.machine() != "x86_64" or "flags" not in named:
    return ""
  return f"{named.get('model name', '')} {named['flags']}"


def _find_compiler() -> list[str]:
  """The compiler's command.

  Raises:
    BuildError: there is none.
  """
  chosen = os.environ.get(COMPILER_VARIABLE)
  if chosen is not None and not chosen.strip():
    raise BuildError(
      f"{COMPILER_VARIABLE} is empty, so the renderer's kernel is not compiled and it "
      "renders with the slower xla backend."
    )
  wanted = [chosen] if chosen else [os.environ.get("CXX", ""), *_COMPILERS]
  for command in map(shlex.split, filter(None, wanted)):
    if command and shutil.which(command[0]):
      return command
  raise BuildError(
    f"There is no C++ compiler ({', '.join(filter(None, wanted))}), so the renderer "
    "takes the slower xla backend; install one (Debian, Ubuntu: apt-get install g++) "
    f"or name it in {COMPILER_VARIABLE}."
  )


def _compile(compiler: list[str], path: str) -> None:
  """Compiles all sources at once and links them; `path` appears complete or not.

  Raises:
    BuildError: with the path of the log.
  """
  log = f"{path.removesuffix('.so')}.log"
  logging.info(
    "Compiling the renderer's kernel, once, about 15 s; it is kept in %s.", path
  )
  begin = time.monotonic()
  with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
    objects, commands = [], []
    for source in (s for s in sources() if s.endswith(".cc")):
      objects.append(os.path.join(folder, os.path.basename(source) + ".o"))
      is_op = os.path.basename(source) == _OPS
      # TensorFlow's headers want the flags that TensorFlow was compiled with.
      flags = (
        [*_FLAGS, "-O2", *tf.sysconfig.get_compile_flags()] if is_op else kernel_flags()
      )
      commands.append([*compiler, *flags, "-c", source, "-o", objects[-1]])
    linked = os.path.join(folder, "linked.so")
    link = [*compiler, "-shared", "-pthread", *objects, "-o", linked]
    link += tf.sysconfig.get_link_flags()
    output = _run(commands) or _run([link])
    if output:
      with open(log, "w", encoding="utf-8") as file:
        file.write(output)
      raise BuildError(
        f"The renderer's kernel did not compile, see {log}, so it renders with the "
        f"slower xla backend; mend the compiler, or name another in "
        f"{COMPILER_VARIABLE}."
      )
    os.replace(linked, path)
  logging.info("Compiled in %.0f s.", time.monotonic() - begin)


def _run(commands: list[list[str]]) -> str:
  """Runs commands side by side; returns what those that failed said, "" for none."""
  failed = []
  running = []
  for command in commands:
    try:
      running.append(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
      )
    except OSError as error:
      failed.append(f"$ {shlex.join(command)}\n{error}\n")
  for process in running:
    try:
      output, _ = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
      process.kill()
      output = process.communicate()[0] + b"\nstopped, as it took too long"
    if process.returncode:
      text = output.decode(errors="replace")
      failed.append(f"$ {shlex.join(process.args)}\n{text}\n")
  return "\n".join(failed)


@contextlib.contextmanager
def _locked(file) -> Iterator[None]:
  import fcntl  # not on every system

  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
      pass  # some network folders; two processes then both compile, and the last wins
    yield


def _exclusive(path: str) -> contextlib.AbstractContextManager:
  """A lock between processes; raises OSError where `path` cannot be written."""
  return _locked(open(path, "w", encoding="utf-8"))
