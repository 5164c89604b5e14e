"""Reading UV maps: at any place (`sample_uv`), and at the vertices (`VertexSampler`).

UV (0, 0) is the top-left texel corner, u runs right along the columns, v down along the
rows: the centre of the texel at row r, column c of a U x U map is
((c + .5) / U, (r + .5) / U). Between centres bilinear; beyond the outermost centres the
border texel goes on.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.sparse import SparseOperator
from personalized_face.core.types import Tensor


def sample_uv(maps: Tensor, uv: Tensor) -> Tensor:
  """Bilinear look-up.

  Args:
    maps: [I, U, U, C] one map per image.
    uv: [I, ..., 2] texture coordinates; beyond [0, 1] the border is read.

  Returns:
    [I, ..., C]. Differentiable in both; the gradient to `uv` jumps where a texel centre
    is crossed and is 0 beyond the border.
  """
  side = shapes.check(maps, "[I, U, U, C]", "maps")["U"]
  shapes.check(uv, "[..., 2]", "uv")
  count, channels = tf.shape(maps)[0], maps.shape[-1]
  points = tf.reshape(uv, tf.stack([count, -1, 2]))  # [I, P, 2]
  position = tf.clip_by_value(points * side - 0.5, 0.0, side - 1.0)
  corner = tf.stop_gradient(tf.minimum(tf.floor(position), max(side - 2, 0)))
  fraction = position - corner  # [I, P, 2]
  column, row = tf.unstack(tf.cast(corner, tf.int32), axis=-1)
  right, down = tf.split(fraction, 2, axis=-1)  # [I, P, 1] each
  step = min(side - 1, 1)  # a map of one texel has no neighbour
  flat = tf.reshape(maps, tf.stack([count * side * side, channels]))
  first = tf.range(count)[:, tf.newaxis] * (side * side) + row * side + column
  top_left = tf.gather(flat, first)
  top_right = tf.gather(flat, first + step)
  low_left = tf.gather(flat, first + step * side)
  low_right = tf.gather(flat, first + step * side + step)
  top = top_left + (top_right - top_left) * right
  low = low_left + (low_right - low_left) * right
  values = top + (low - top) * down  # [I, P, C]
  shape = tf.concat([tf.shape(uv)[:-1], [channels]], axis=0)
  return tf.ensure_shape(tf.reshape(values, shape), uv.shape[:-1] + [channels])


class VertexSampler:
  """F() of Eq. 1: reads UV maps at the vertices, bilinearly, at fixed places.

  The same values as `sample_uv`, with indices and weights computed once and a gradient
  without a scatter.
  """

  def __init__(self, uv: np.ndarray, size: int):
    """Precomputes the four texels and weights of each vertex.

    Args:
      uv: [V, 2] texture coordinates of the vertices.
      size: U, the side of the maps, texels.
    """
    uv = np.asarray(uv, np.float64)
    shapes.check(uv, "[V, 2]", "uv")
    position = np.clip(uv * size - 0.5, 0, size - 1)
    corner = np.minimum(np.floor(position), max(size - 2, 0)).astype(np.int64)
    fraction = position - corner
    columns, weights = [], []
    for down in (0, 1):
      for right in (0, 1):
        texel = np.minimum(corner + [right, down], size - 1)
        columns.append(texel[:, 1] * size + texel[:, 0])
        share = np.where([right, down], fraction, 1 - fraction)
        weights.append(share.prod(axis=1))
    rows = np.tile(np.arange(len(uv)), 4)
    self._size = size
    self._operator = SparseOperator(
      rows, np.concatenate(columns), len(uv), size * size, np.concatenate(weights)
    )

  def __call__(self, maps: Tensor) -> Tensor:
    """Samples.

    Args:
      maps: [B, U, U, C]; C may be large (3 K for all blendshapes).

    Returns:
      [B, V, C].
    """
    shapes.check(maps, f"[B, {self._size}, {self._size}, C]", "maps")
    texels = self._size * self._size
    return self._operator.apply(tf.reshape(maps, [-1, texels, maps.shape[-1]]))
