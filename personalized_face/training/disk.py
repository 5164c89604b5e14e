"""Full disks and unwritable folders, said in one sentence.

TensorFlow's file errors name a graph node and a temporary file; the cause and the
folder are what a person can do something about.
"""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from personalized_face.core.errors import UserError

_CAUSES = (
  "No space left on device",
  "Disk quota exceeded",
  "Permission denied",
  "Read-only file system",
  "Not a directory",
  "File exists",
)


@contextlib.contextmanager
def writing(what: str, folder: str) -> Iterator[None]:
  """Around what writes `what` to `folder`.

  Raises:
    UserError: in place of an error of the disk, of Python's or of TensorFlow's.
  """
  try:
    yield
  except (OSError, tf.errors.OpError) as error:
    if not _is_of_the_disk(error):
      raise
    raise UserError(
      f"{what} cannot be written to {folder} ({reason(error)}); make room there or "
      "mend its permissions, and give the same command again: it goes on from the last "
      "checkpoint."
    ) from error


def _is_of_the_disk(error: Exception) -> bool:
  files = (OSError, tf.errors.PermissionDeniedError, tf.errors.NotFoundError)
  return isinstance(error, files) or _cause(error) is not None


def reason(error: Exception) -> str:
  """The cause of a file's error, without TensorFlow's decoration."""
  if isinstance(error, OSError) and error.errno:
    return os.strerror(error.errno)
  return _cause(error) or str(error).split("\n")[0].split(" [[")[0][:200]


def _cause(error: Exception) -> str | None:
  message = str(error).lower()  # the system's words, or TensorFlow's
  return next((cause for cause in _CAUSES if cause.lower() in message), None)
