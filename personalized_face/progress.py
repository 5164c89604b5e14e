"""Progress bars whose rates and remaining times survive a change of the clock.

tqdm reads the time of day: set back by an hour, a bar of it would stand still for that
hour and then show a rate of nothing. This one reads the clock that only runs forward.
"""

import time
from collections.abc import Callable

from tqdm import std


class tqdm(std.tqdm):
  """`tqdm.tqdm` by `time.monotonic`."""

  @property
  def _time(self) -> Callable[[], float]:
    """What tqdm calls for the time, from its constructor on."""
    return time.monotonic

  @_time.setter
  def _time(self, clock: Callable[[], float]) -> None:
    """tqdm's constructor sets the time of day here."""
