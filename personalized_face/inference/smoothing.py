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


def one_euro(
  values: np.ndarray,
  times: np.ndarray,
  min_cutoff: float,
  beta: float = _HERTZ_PER_SPEED,
  speed_cutoff: float = _SPEED_CUTOFF,
) -> np.ndarray:
  """Filters every channel by itself, looking backwards only.

  Args:
    values: [F, ...].
    times: [F] seconds, rising.
    min_cutoff: Hz, at rest.
    beta: Hz per unit and second.
    speed_cutoff: Hz, of the low-pass on the speed.

  Returns:
    [F, ...], the first frame unchanged.
  """
  values = np.asarray(values)
  smooth, speed = values.astype(np.float64), np.zeros(values.shape[1:])
  for i in range(1, len(values)):
    step = times[i] - times[i - 1]
    fresh = (values[i] - smooth[i - 1]) / step
    speed = speed + _share(speed_cutoff, step) * (fresh - speed)
    share = _share(min_cutoff + beta * np.abs(speed), step)
    smooth[i] = smooth[i - 1] + share * (values[i] - smooth[i - 1])
  return smooth.astype(values.dtype)


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
