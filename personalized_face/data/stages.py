"""Where the time of a preparation goes: CPU seconds by stage.

Processor time, all threads of the process: on a machine that others use as well, wall
time says more of them than of the stage.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

STAGES = ("decode", "landmarks", "gates", "crop", "parsing", "encode", "thin", "write")


class StageClock:
  """Adds up CPU seconds under names; a stage inside another counts for itself only."""

  def __init__(self):
    self.seconds: dict[str, float] = defaultdict(float)
    self._running: list[str] = []
    self._since = time.process_time()

  @contextlib.contextmanager
  def stage(self, name: str) -> Iterator[None]:
    """Counts the time of a `with` block."""
    self._lap()
    self._running.append(name)
    try:
      yield
    finally:
      self._lap()
      self._running.pop()

  def iterate(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
    """Counts the time that an iterator takes to come up with its items."""
    iterator = iter(items)
    while True:
      with self.stage(name):
        item = next(iterator, None)
      if item is None:
        return
      yield item

  def _lap(self) -> None:
    now = time.process_time()
    if self._running:
      self.seconds[self._running[-1]] += now - self._since
    self._since = now
