"""Whether a TFLite file can be given to TensorFlow, which a damaged one may crash.

TensorFlow's interpreter follows what a file says without a doubt: of files cut off
somewhere, four in five end the process. `pface_export_tflite` therefore writes each
file's checksum into the tflite.json beside it. Where there is none, the file was moved
or comes from elsewhere, and another process tries it first, which takes some seconds.
"""

import hashlib
import json
import os
import subprocess
import sys

DESCRIPTION = "tflite.json"  # beside the files of an export
CHECKSUM = "sha256"  # its key in a file's description
_IDENTIFIER = b"TFL3"  # at byte 4 of every TFLite file
_TRIAL_SECONDS = 120
# One call with zeros. A sound file takes some hundred MB beside TensorFlow's own.
_TRIAL = """
import resource, sys
import numpy as np, tensorflow as tf
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
interpreter = tf.lite.Interpreter(model_path=sys.argv[1], num_threads=1)
run = interpreter.get_signature_runner()
details = run.get_input_details()
run(**{name: np.zeros(one["shape"], one["dtype"]) for name, one in details.items()})
"""


def checksum(data: bytes) -> str:
  """What the description has of a file's contents."""
  return hashlib.sha256(data).hexdigest()


def is_sound(path: str) -> bool:
  """Whether a file is what was written, or else survives a trial."""
  try:
    with open(path, "rb") as file:
      data = file.read()
  except OSError:
    return False
  if data[4:8] != _IDENTIFIER:
    return False
  wanted = _described_checksum(path)
  if wanted is not None:
    return checksum(data) == wanted
  return _survives_a_trial(path)


def _described_checksum(path: str) -> str | None:
  """What the description beside the file has of it; None where it has nothing."""
  folder, name = os.path.split(path)
  try:
    with open(os.path.join(folder, DESCRIPTION), encoding="utf-8") as file:
      wanted = json.load(file)["files"][os.path.splitext(name)[0]][CHECKSUM]
  except (OSError, ValueError, LookupError, TypeError, RecursionError):
    return None
  return wanted if isinstance(wanted, str) else None


def _survives_a_trial(path: str) -> bool:
  try:
    trial = subprocess.run(
      [sys.executable, "-c", _TRIAL, os.path.abspath(path)],
      capture_output=True,
      timeout=_TRIAL_SECONDS,
    )
  except (OSError, subprocess.TimeoutExpired):
    return False
  return trial.returncode == 0
