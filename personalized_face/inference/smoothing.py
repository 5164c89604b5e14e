"""Steadier motion: the one-euro filter on expression, pose and light.

Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for
noisy input in interactive systems", CHI 2012. At rest it smooths strongly, in motion it
lets go, so that a blink is not flattened while a still head stops trembling.
"""

import numpy as np

from personalized_face.core.types import Tracking

# Hz at rest and strength 1, where the eye no longer sees a head tremble.
_CUTOFF_AT_REST = 0.5
# Hz of cut-off per unit of speed: radians, decimetres or coefficients a second. A turn
# of 1 rad/s or a smile in a second has 5 Hz, a blink (10 a second) passes untouched.
_HERTZ_PER_SPEED = 5.0
_SPEED_CUTOFF = 1.0  # Hz, of the speed itself; the authors' value


class OneEuro:
  """The filter, a value at a time; every channel by itself."""

  def __init__(
    self,
    min_cutoff: float,
    beta: float = _HERTZ_PER_SPEED,
    speed_cutoff: float = _SPEED_CUTOFF,
  ):
    """Starts before the first value.

    Args:
      min_cutoff: Hz, at rest.
      beta: Hz per unit and second.
      speed_cutoff: Hz, of the low-pass on the speed.
    """
    self._min_cutoff, self._beta = min_cutoff, beta
    self._speed_cutoff = speed_cutoff
    self._time: float | None = None  # of the last value, seconds
    self._smooth = self._speed = np.zeros(())

  def __call__(self, value: np.ndarray, time: float) -> np.ndarray:
    """The smoothed value [...] at a time in seconds after the last; the first as is."""
    value = np.asarray(value)
    if self._time is None:
      self._smooth, self._speed = value.astype(np.float64), np.zeros(value.shape)
    else:
      step = time - self._time
      fresh = (value - self._smooth) / step
      self._speed = self._speed + _share(self._speed_cutoff, step) * (
        fresh - self._speed
      )
      share = _share(self._min_cutoff + self._beta * np.abs(self._speed), step)
      self._smooth = self._smooth + share * (value - self._smooth)
    self._time = time
    return self._smooth.astype(value.dtype)


class TrackingFilter:
  """`smooth_tracking` looking backwards only, a frame at a time."""

  def __init__(self, strength: float):
    """Starts before the first frame; the strength is `smooth_tracking`'s."""
    self._strength = strength
    self.reset()

  def reset(self) -> None:
    """Forgets the past, as after a loss: the next frame is the first."""
    if self._strength:
      cutoff = _CUTOFF_AT_REST / self._strength
      self._filters = [OneEuro(cutoff) for _ in Tracking._fields]

  def __call__(self, tracking: Tracking, time: float) -> Tracking:
    """A steadier Tracking of one frame, of any leading dimensions, numpy.

    Args:
      tracking: of the frame.
      time: seconds, after the last frame's.
    """
    if not self._strength:
      return tracking
    pairs = zip(self._filters, tracking, strict=True)
    return Tracking(*(smooth(values, time) for smooth, values in pairs))


def one_euro(values: np.ndarray, times: np.ndarray, min_cutoff: float) -> np.ndarray:
  """Filters every channel of a clip by itself, looking backwards only.

  Args:
    values: [F, ...].
    times: [F] seconds, rising.
    min_cutoff: Hz, at rest.

  Returns:
    [F, ...], the first frame unchanged.
  """
  smooth = OneEuro(min_cutoff)
  return np.stack(
    [smooth(value, time) for value, time in zip(values, times, strict=True)]
  )


def smooth_tracking(
  tracking: Tracking, times: np.ndarray, strength: float, both_ways: bool = True
) -> Tracking:
  """A steadier motion.

  Args:
    tracking: [F, ...].
    times: [F] seconds, rising; of one clip.
    strength: 0 leaves everything as it is, 1 is strong, in between the cut-off at rest
      is 0.5 Hz / strength.
    both_ways: whether the mean of a filter from either end is taken, which has no lag
      but needs the whole clip.
  """
  if not strength or len(times) < 2:
    return tracking
  times = np.asarray(times, np.float64)
  cutoff = _CUTOFF_AT_REST / strength
  smoothed = []
  for values in tracking:
    values = np.asarray(values)
    result = one_euro(values, times, cutoff)
    if both_ways:
      back = one_euro(values[::-1], -times[::-1], cutoff)[::-1]
      result = (result + back) / 2
    smoothed.append(result)
  return Tracking(*smoothed)


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
  """What a new value counts, in (0, 1): a low-pass of this cut-off, Hz, and step, s."""
  rate = 2 * np.pi * cutoff * step
  return rate / (rate + 1)
