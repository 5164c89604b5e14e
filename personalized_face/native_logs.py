"""Silence for libraries whose C++ parts log to stderr whatever they are told.

TensorFlow 2.19 complains while it is imported (two copies of a CUDA plugin), and
mediapipe's graphs while they start, before either has read TF_CPP_MIN_LOG_LEVEL or
GLOG_minloglevel. Only closing their stderr for that moment helps.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

_STDERR = 2


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
