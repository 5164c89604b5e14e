"""Steadier motion: the one-euro filter on expression, pose and light.

Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for
noisy input in interactive systems", CHI 2012. At rest it smooths strongly, in motion it
lets go, so that a blink is not flattened while a still head stops trembling.

A pose is told in the camera of its crop, and the crop's square trembles too: a pose
that is steady in there trembles with it on the picture. So the head's place is smoothed
as the first frame's crop would show it, and told in its own crop again.
"""

import numpy as np

from personalized_face.core.types import Tracking
from personalized_face.rendering.camera import Camera

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

  def __init__(self, strength: float, camera: Camera):
    """Starts before the first frame; strength and camera are `smooth_tracking`'s."""
    self._strength, self._camera = strength, camera
    self.reset()

  def reset(self) -> None:
    """Forgets the past, as after a loss: the next frame is the first."""
    if self._strength:
      cutoff = _CUTOFF_AT_REST / self._strength
      self._filters = [OneEuro(cutoff) for _ in Tracking._fields]
      self._first: np.ndarray | None = None  # [4] the box of the first frame

  def __call__(
    self, tracking: Tracking, box: tuple[float, float, float, float], time: float
  ) -> Tracking:
    """A steadier Tracking of one frame.

    Args:
      tracking: of the frame, [1, ...] numpy.
      box: (x0, y0, x1, y1) of its crop, pixels of the source.
      time: seconds, after the last frame's.
    """
    if not self._strength:
      return tracking
    own = np.array(box, np.float64)
    if self._first is None:
      self._first = own
    tracking = _seen_in(tracking, own, self._first, self._camera)
    pairs = zip(self._filters, tracking, strict=True)
    steady = Tracking(*(smooth(values, time) for smooth, values in pairs))
    return _seen_in(steady, self._first, own, self._camera)


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
  tracking: Tracking,
  boxes: np.ndarray,
  times: np.ndarray,
  strength: float,
  camera: Camera,
  both_ways: bool = True,
) -> Tracking:
  """A steadier motion.

  Args:
    tracking: [F, ...].
    boxes: [F, 4] (x0, y0, x1, y1) of the frames' crops, pixels of the source.
    times: [F] seconds, rising; of one clip.
    strength: 0 leaves everything as it is, 1 is strong, in between the cut-off at rest
      is 0.5 Hz / strength.
    camera: of the crops.
    both_ways: whether the mean of a filter from either end is taken, which has no lag
      but needs the whole clip.
  """
  if not strength or len(times) < 2:
    return tracking
  times, boxes = np.asarray(times, np.float64), np.asarray(boxes, np.float64)
  cutoff = _CUTOFF_AT_REST / strength
  smoothed = []
  for values in _seen_in(tracking, boxes, boxes[:1], camera):
    values = np.asarray(values)
    result = one_euro(values, times, cutoff)
    if both_ways:
      back = one_euro(values[::-1], -times[::-1], cutoff)[::-1]
      result = (result + back) / 2
    smoothed.append(result)
  return _seen_in(Tracking(*smoothed), boxes[:1], boxes, camera)


def _seen_in(
  tracking: Tracking, boxes: np.ndarray, others: np.ndarray, camera: Camera
) -> Tracking:
  """The motion as the crops of other boxes show it, at the same place of the source.

  A larger square shows the head smaller, as if it were farther away.

  Args:
    tracking: [F, ...].
    boxes, others: [F, 4], [1, 4] or [4] pixels of the source.
    camera: of the crops.
  """
  translation = np.asarray(tracking.translation)
  middle, side = _middle_and_side(boxes)
  other_middle, other_side = _middle_and_side(others)
  depth = -translation[..., 2:].astype(np.float64)
  # Decimetres across the view for each pixel of the source.
  scale = depth * camera.height / (camera.focal_pixels * side)
  shift = scale * (middle - other_middle) * [1.0, -1.0]  # y points up
  moved = [translation[..., :2] + shift, -depth * other_side / side]
  return tracking._replace(
    translation=np.concatenate(moved, axis=-1).astype(translation.dtype)
  )


def _middle_and_side(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """[..., 2] and [..., 1] of squares [..., 4]."""
  low, high = boxes[..., :2], boxes[..., 2:]
  return (low + high) / 2, (high - low)[..., :1]


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
  """What a new value counts, in (0, 1): a low-pass of this cut-off, Hz, and step, s."""
  rate = 2 * np.pi * cutoff * step
  return rate / (rate + 1)
