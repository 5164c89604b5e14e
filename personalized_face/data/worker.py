"""A worker process of data/runner.py: sources in, units out, through a pipe.

The fork server imports this module once, and with it TensorFlow; the workers are its
forks, which start at once and share that memory. TensorFlow's start-up notes are
nobody's business.
"""

import importlib
import signal
from multiprocessing.connection import Connection

from personalized_face import native_logs

with native_logs.silenced():
  units = importlib.import_module("personalized_face.data.units")


def main(pipe: Connection) -> None:
  """Receives (Work, detector), then sources; sends a Unit for each.

  An error that is not the source's is sent as it is, and ends the worker; so does the
  end of the pipe.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
  try:
    work, detector = pipe.recv()
    # One core for each worker: the others are taken.
    importlib.import_module("cv2").setNumThreads(1)
    labeller = work.labeller(detector() if callable(detector) else detector)
    while True:
      pipe.send(units.run_unit(pipe.recv(), work, labeller))
  except (EOFError, BrokenPipeError, ConnectionResetError):
    return  # the parent is gone, or has no more
  except Exception as error:
    pipe.send(error)
