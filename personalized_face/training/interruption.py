"""SIGTERM, which preemptible machines send: finish the step, write a checkpoint, leave.

A run stopped so exits with status 143, which is what a shell reports for SIGTERM; the
same command goes on from the checkpoint, bit for bit as if nothing had happened. What
SIGKILL or a power cut ends goes on from the last checkpoint, as exactly.
"""

import signal
import threading
from types import FrameType

EXIT_STATUS = 128 + signal.SIGTERM


class Preempted(SystemExit):
  """Ends the process with `EXIT_STATUS`; the work is saved."""

  def __init__(self):
    super().__init__(EXIT_STATUS)


class Interruption:
  """A context manager inside which SIGTERM sets `requested` instead of killing.

  Outside the main thread Python allows no signal handlers; `requested` stays False.
  """

  requested = False

  def __enter__(self) -> "Interruption":
    self._before = None
    if threading.current_thread() is threading.main_thread():
      self._before = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *error) -> None:
    if self._before is not None:
      signal.signal(signal.SIGTERM, self._before)

  def _note(self, signum: int, frame: FrameType | None) -> None:
    del signum, frame
    self.requested = True
