"""Silence for libraries whose C++ parts log to stderr whatever they are told.

TensorFlow 2.19 complains while it is imported (two copies of a CUDA plugin), and
mediapipe's graphs while they start, before either has read TF_CPP_MIN_LOG_LEVEL or
GLOG_minloglevel. Only closing their stderr for that moment helps.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator

_STDERR = 2

# Read by the C++ libraries when they are loaded.
_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2"}


def ask_for_quiet() -> None:
  """Sets the log levels of libraries not loaded yet; what the user has set stays."""
  for name, level in _LEVELS.items():
    os.environ.setdefault(name, level)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
  """Sends the process's file descriptor 2 to nowhere for the length of a `with`.

  Exceptions pass through as always. Keep the block short, and to code that is known to
  chatter: what a native library says while it dies is lost as well.
  """
  sys.stderr.flush()
  saved = os.dup(_STDERR)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, _STDERR)
  os.close(nowhere)
  try:
    yield
  finally:
    sys.stderr.flush()  # what Python wrote in the block goes the same way
    os.dup2(saved, _STDERR)
    os.close(saved)


@functools.cache
def start_xla() -> None:
  """Compiles something small in silence: XLA introduces itself at its first program."""
  import tensorflow as tf

  with silenced():
    tf.function(lambda x: x + 1, jit_compile=True)(tf.zeros([]))
