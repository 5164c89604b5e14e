"""The frames of one person that a fit looks at, and how minibatches are drawn."""

from typing import NamedTuple

import numpy as np

from personalized_face.core.types import Batch, Tracking


class Frames(NamedTuple):
  """F frames of one person, of one or more clips or photos; numpy."""

  images: np.ndarray  # [F, S, S, 3] uint8 RGB crops
  landmarks: np.ndarray  # [F, 68, 2] float32 pixels of the crop
  parsing: np.ndarray  # [F, S, S] uint8, index into PARSING_CLASSES
  # [F] int32: frames of the same number (of one clip) were taken in the same light.
  scenes: np.ndarray
  # [F, K] what a network saw, from which the l1 of the coefficients is taken; () is 0.
  expected: "np.ndarray | tuple[()]" = ()

  @property
  def count(self) -> int:
    """F."""
    return len(self.images)

  def take(self, chosen: np.ndarray) -> "Frames":
    """The frames at the given indices, in that order."""
    return Frames(*(value[chosen] if len(value) else value for value in self))

  def expected_expression(self, num_blendshapes: int) -> np.ndarray:
    """[F, K] float32."""
    if len(self.expected):
      return np.asarray(self.expected, np.float32)
    return np.zeros([self.count, num_blendshapes], np.float32)

  def batch(self, chosen: np.ndarray) -> Batch:
    """The frames as the losses take them, B = 1."""
    return Batch(
      images=(self.images[chosen].astype(np.float32) / 255.0)[np.newaxis],
      landmarks=self.landmarks[chosen].astype(np.float32)[np.newaxis],
      parsing=self.parsing[chosen].astype(np.int32)[np.newaxis],
    )


def take_tracking(tracking: Tracking, chosen: np.ndarray) -> Tracking:
  """The frames of a Tracking [F, ...] at the given indices."""
  return Tracking(*(np.asarray(value)[chosen] for value in tracking))


def minibatches(count: int, size: int, steps: int, seed: int = 0) -> np.ndarray:
  """Which frames each step sees: from different parts of the clip, all equally often.

  The frames are cut into `size` stretches, and each step draws one of each: frames
  next to one another would tell it the same thing `size` times.

  Args:
    count: F >= 1.
    size: n >= 1; F where that is less.
    steps: how many minibatches.
    seed: of the order.

  Returns:
    [steps, n] int32, no frame twice in a row.
  """
  random = np.random.default_rng(seed)
  columns = []
  for stretch in np.array_split(np.arange(count), min(size, count)):
    rounds = -(-steps // len(stretch))
    order = [random.permutation(stretch) for _ in range(max(rounds, 1))]
    columns.append(np.concatenate(order)[:steps])
  return np.stack(columns, axis=1).astype(np.int32)


def spread_in_pose_and_expression(landmarks: np.ndarray, wanted: int) -> np.ndarray:
  """Chooses frames that differ: the farthest landmarks from those already chosen.

  Args:
    landmarks: [F, 68, 2] pixels of the crop, which is set on the face: what differs is
      the pose and the expression.
    wanted: at most so many.

  Returns:
    [n] rising indices.
  """
  count = len(landmarks)
  if count <= wanted:
    return np.arange(count)
  points = landmarks.reshape(count, -1).astype(np.float64)
  # Half evenly over time, so that the light and what is rare by chance are seen too.
  chosen = list(np.linspace(0, count - 1, max(wanted // 2, 1)).astype(int))
  distance = np.min([np.square(points - points[i]).sum(axis=1) for i in chosen], axis=0)
  while len(chosen) < wanted:
    farthest = int(distance.argmax())
    chosen.append(farthest)
    distance = np.minimum(distance, np.square(points - points[farthest]).sum(axis=1))
  return np.unique(chosen)
