"""The one-euro filter on motion."""

import numpy as np

from personalized_face.core.types import Tracking
from personalized_face.inference.smoothing import (
  TrackingFilter,
  one_euro,
  smooth_tracking,
)
from personalized_face.rendering.camera import Camera, project

TIMES = np.arange(60) / 30.0


CAMERA = Camera.for_crop(64)
BOXES = np.tile([10.0, 20, 110, 120], (60, 1))  # of crops that stay


def tracking_of(signal):
  """The signal in every channel; the head in front of the camera."""
  rows = np.asarray(signal, np.float32)[:, None]
  place = np.concatenate([rows, rows, rows - 10], axis=1)
  return Tracking(rows, rows, place, rows[..., None])


def steadied(tracking, strength, both_ways=True):
  boxes, times = BOXES[: len(tracking.rotation)], TIMES[: len(tracking.rotation)]
  return smooth_tracking(tracking, boxes, times, strength, CAMERA, both_ways)


def seen(translation, boxes):
  """Where the head's origin is on the source, and how large a decimetre is there."""
  points = project(translation, CAMERA).numpy() / CAMERA.height
  side = boxes[:, 2] - boxes[:, 0]
  size = side * CAMERA.focal_pixels / CAMERA.height / -translation[:, 2]
  return np.column_stack([boxes[:, :2] + side[:, None] * points, size])


def jitter(values):
  """Mean absolute second difference."""
  return np.abs(np.diff(values, 2, axis=0)).mean()


def test_trembling_at_rest_goes_away():
  noise = np.random.default_rng(0).normal(0, 0.01, 60)
  steady = steadied(tracking_of(0.3 + noise), 0.5)
  assert jitter(steady.rotation) < 0.3 * jitter(tracking_of(noise).rotation)
  assert abs(steady.rotation.mean() - 0.3) < 0.005


def test_a_blink_keeps_its_height():
  blink = np.where((TIMES > 1) & (TIMES < 1.2), 1.0, 0.0)
  smoothed = steadied(tracking_of(blink), 0.5).expression
  assert smoothed.max() > 0.8


def test_both_ways_has_no_lag():
  ramp = np.clip(TIMES - 0.5, 0, 1) * 0.1  # slow: the filter lags most here
  both = steadied(tracking_of(ramp), 1.0).rotation[:, 0]
  causal = steadied(tracking_of(ramp), 1.0, False).rotation[:, 0]
  middle = slice(25, 35)
  assert np.abs(both - ramp)[middle].max() < 0.3 * np.abs(causal - ramp)[middle].max()


def test_strength_zero_and_single_frames_change_nothing():
  tracking = tracking_of(TIMES)
  assert steadied(tracking, 0.0) is tracking
  photo = tracking_of([1.0])
  assert steadied(photo, 1.0) is photo


def test_a_value_that_stays_is_exact():
  np.testing.assert_array_equal(one_euro(np.ones([5, 2]), TIMES[:5], 1.0), 1.0)


def test_frame_by_frame_is_the_clip_looking_backwards():
  rng = np.random.default_rng(1)
  tracking = tracking_of(rng.normal(0, 0.1, 60))
  boxes = BOXES + rng.normal(0, 1, BOXES.shape[:1])[:, np.newaxis]
  expected = smooth_tracking(tracking, boxes, TIMES, 0.7, CAMERA, both_ways=False)
  smooth = TrackingFilter(0.7, CAMERA)
  for i, time in enumerate(TIMES):
    frame = Tracking(*(value[i : i + 1] for value in tracking))
    frame = smooth(frame, tuple(boxes[i]), time)
    for value, reference in zip(frame, expected, strict=True):
      np.testing.assert_array_equal(value, reference[i : i + 1])
      assert value.dtype == reference.dtype


def test_reset_starts_anew_and_strength_zero_never_starts():
  smooth, box = TrackingFilter(0.7, CAMERA), tuple(BOXES[0])
  first, second = tracking_of([1.0]), tracking_of([2.0])
  smooth(first, box, 0.0)
  assert smooth(second, box, 0.1).rotation < 2
  smooth.reset()
  np.testing.assert_array_equal(smooth(second, box, 0.2).rotation, 2)
  still = TrackingFilter(0.0, CAMERA)
  still(first, box, 0.0)
  assert still(second, box, 0.0) is second


def test_crops_that_tremble_do_not_show():
  """A head that rests on the source, in crops whose squares do not."""
  rng = np.random.default_rng(2)
  trembling = (
    BOXES + rng.normal(0, 2, [60, 1]) + rng.normal(0, 1, [60, 1]) * [0, 0, 1, 1]
  )
  side = trembling[:, 2] - trembling[:, 0]
  depth = -10 * side / 100
  middle = (trembling[:, :2] + trembling[:, 2:]) / 2
  across = ([63.0, 66.0] - middle) * [1, -1] * (-depth / side)[:, np.newaxis]
  across *= CAMERA.height / CAMERA.focal_pixels
  rest = tracking_of(np.zeros(60))._replace(
    translation=np.column_stack([across, depth]).astype(np.float32)
  )
  # Float32 pixels of a source of some 100.
  expected = seen(rest.translation, trembling)
  np.testing.assert_allclose(expected[:, :2], [[63.0, 66.0]] * 60, atol=1e-3)
  assert jitter(rest.translation) > 0.02, "in its crops it trembles"
  for both_ways in (True, False):
    steady = smooth_tracking(rest, trembling, TIMES, 1.0, CAMERA, both_ways)
    np.testing.assert_allclose(seen(steady.translation, trembling), expected, atol=1e-3)
  # What trembles on the source is steadied there.
  noise = rng.normal(0, 0.05, [60, 3]).astype(np.float32)
  shaken = rest._replace(translation=rest.translation + noise)
  steady = smooth_tracking(shaken, trembling, TIMES, 1.0, CAMERA)
  for channel in range(3):
    before, after = (
      jitter(seen(t.translation, trembling)[:, channel]) for t in (shaken, steady)
    )
    assert after < 0.3 * before
