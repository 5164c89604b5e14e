"""Where the time of a training goes between two log points: how much is waiting."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class StepClock:
  """Times the waits for batches, and the whole."""

  def __init__(self):
    self._start = time.perf_counter()
    self._waited = 0.0
    self._steps = 0

  def watch(self, batches: Iterable[Item]) -> Iterator[Item]:
    """The same batches; the time that each takes to come is counted."""
    iterator = iter(batches)
    while True:
      before = time.perf_counter()
      try:
        batch = next(iterator)
      except StopIteration:
        return
      self._waited += time.perf_counter() - before
      self._steps += 1
      yield batch

  def read(self, images_per_step: int) -> dict[str, float]:
    """Figures since the last call, and starts anew.

    Args:
      images_per_step: in a whole batch.

    Returns:
      "images_per_second", and "input_wait_percent": the share of the time that steps
      stood waiting for data.
    """
    passed = max(time.perf_counter() - self._start, 1e-9)
    figures = {
      "images_per_second": self._steps * images_per_step / passed,
      "input_wait_percent": 100 * self._waited / passed,
    }
    self.__init__()
    return figures
