"""The one-euro filter on motion."""

import numpy as np

from personalized_face.core.types import Tracking
from personalized_face.inference.smoothing import (
  TrackingFilter,
  one_euro,
  smooth_tracking,
)

TIMES = np.arange(60) / 30.0


def tracking_of(signal):
  rows = np.asarray(signal, np.float32)[:, None]
  return Tracking(rows, rows, rows, rows[..., None])


def jitter(values):
  """Mean absolute second difference."""
  return np.abs(np.diff(values, 2, axis=0)).mean()


def test_trembling_at_rest_goes_away():
  noise = np.random.default_rng(0).normal(0, 0.01, 60)
  steady = smooth_tracking(tracking_of(0.3 + noise), TIMES, 0.5)
  assert jitter(steady.rotation) < 0.3 * jitter(tracking_of(noise).rotation)
  assert abs(steady.rotation.mean() - 0.3) < 0.005


def test_a_blink_keeps_its_height():
  blink = np.where((TIMES > 1) & (TIMES < 1.2), 1.0, 0.0)
  smoothed = smooth_tracking(tracking_of(blink), TIMES, 0.5).expression
  assert smoothed.max() > 0.8


def test_both_ways_has_no_lag():
  ramp = np.clip(TIMES - 0.5, 0, 1) * 0.1  # slow: the filter lags most here
  both = smooth_tracking(tracking_of(ramp), TIMES, 1.0).rotation[:, 0]
  causal = smooth_tracking(tracking_of(ramp), TIMES, 1.0, False).rotation[:, 0]
  middle = slice(25, 35)
  assert np.abs(both - ramp)[middle].max() < 0.3 * np.abs(causal - ramp)[middle].max()


def test_strength_zero_and_single_frames_change_nothing():
  tracking = tracking_of(TIMES)
  assert smooth_tracking(tracking, TIMES, 0.0) is tracking
  photo = tracking_of([1.0])
  assert smooth_tracking(photo, np.zeros(1), 1.0) is photo


def test_a_value_that_stays_is_exact():
  np.testing.assert_array_equal(one_euro(np.ones([5, 2]), TIMES[:5], 1.0), 1.0)


def test_frame_by_frame_is_the_clip_looking_backwards():
  rng = np.random.default_rng(1)
  tracking = tracking_of(rng.normal(0, 0.1, 60))
  expected = smooth_tracking(tracking, TIMES, 0.7, both_ways=False)
  smooth = TrackingFilter(0.7)
  for i, time in enumerate(TIMES):
    frame = smooth(Tracking(*(value[i : i + 1] for value in tracking)), time)
    for value, reference in zip(frame, expected, strict=True):
      np.testing.assert_array_equal(value, reference[i : i + 1])
      assert value.dtype == reference.dtype


def test_reset_starts_anew_and_strength_zero_never_starts():
  smooth, first, second = TrackingFilter(0.7), tracking_of([1.0]), tracking_of([2.0])
  smooth(first, 0.0)
  assert smooth(second, 0.1).rotation < 2
  smooth.reset()
  np.testing.assert_array_equal(smooth(second, 0.2).rotation, 2)
  still = TrackingFilter(0.0)
  still(first, 0.0)
  assert still(second, 0.0) is second
