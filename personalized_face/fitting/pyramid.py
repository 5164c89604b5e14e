"""UV maps as sums of upsampled levels, so that descent moves regions before texels.

    levels [l, l, C] --bilinear--> [U, U, C] --sum--> a map

Texels that descend one by one tear the mesh; a coarse level ties its neighbours
together (DESIGN section 6, point 2). The decoders of ModelNet have the same prior by
their construction. Upsampling is separable and therefore two matrix products, whose
gradients are matrix products as well.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from personalized_face.core.types import Tensor


class UvPyramid:
  """One UV map's variables.

  Attributes:
    levels: a variable [l, l, C] for each level, coarse to fine, all zero at first.
  """

  def __init__(
    self, side: int, channels: int, sizes: Sequence[int], slowing: float = 0.0
  ):
    """Makes the levels.

    Args:
      side: U, of the map, texels.
      channels: C.
      sizes: sides of the levels, texels; those above U become U.
      slowing: s in the share (l_0 / l)^s of the coarsest level's step that a level of
        side l takes. Adam gives every texel the same step, however little it matters;
        a shape whose finest level keeps up is embossed.

    Raises:
      ValueError: no level, or sides that do not rise.
    """
    sizes = sorted({min(size, side) for size in sizes})
    if not sizes or sizes[0] < 1:
      raise ValueError(f"a pyramid needs levels of at least one texel, not {sizes}")
    self._side = side
    self._channels = channels
    self._speeds = [(sizes[0] / size) ** slowing for size in sizes]
    self.levels = [tf.Variable(tf.zeros([size, size, channels])) for size in sizes]
    self._matrices = [tf.constant(upsampling_matrix(size, side)) for size in sizes]

  def __call__(self, levels: Sequence[Tensor] | None = None) -> Tensor:
    """The map.

    Args:
      levels: in place of the variables, what they have been read as.

    Returns:
      [U, U, C].
    """
    total = tf.zeros([self._side, self._side, self._channels])
    for level, matrix in zip(levels or self.levels, self._matrices, strict=True):
      total += self._upsampled(tf.convert_to_tensor(level), matrix)
    return total

  def shares(self, progress: float) -> list[float]:
    """How fast each level learns: the coarsest from the start, the finest last.

    Args:
      progress: of the whole fit, in [0, 1].

    Returns:
      A factor in [0, 1] for each level. Level i of n is at full speed from i / (2 n)
      on, after a ramp of 1 / (2 n): in the second half all of them learn. Times what
      `slowing` leaves of it.
    """
    count = len(self.levels)
    started = [min(max(2 * count * progress - i + 1, 0), 1) for i in range(count)]
    return [s * speed for s, speed in zip(started, self._speeds, strict=True)]

  def _upsampled(self, level: Tensor, matrix: Tensor) -> Tensor:
    """[l, l, C] -> [U, U, C]."""
    size, side = level.shape[0], self._side
    if size == side:
      return level
    rows = matrix @ tf.reshape(level, [size, size * self._channels])
    rows = tf.reshape(rows, [side, size, self._channels])
    return tf.matmul(tf.broadcast_to(matrix, [side, side, size]), rows)


def upsampling_matrix(size: int, side: int) -> np.ndarray:
  """Bilinear weights from `size` to `side` texels of the same interval.

  Texel centres are at (i + .5) / size; beyond the outermost ones the border goes on, as
  core/uv.py reads maps.

  Returns:
    [side, size] float32, rows sum to 1.
  """
  position = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
  below = np.minimum(np.floor(position).astype(int), max(size - 2, 0))
  fraction = position - below
  matrix = np.zeros([side, size])
  rows = np.arange(side)
  matrix[rows, below] += 1 - fraction
  matrix[rows, np.minimum(below + 1, size - 1)] += fraction
  return matrix.astype(np.float32)
