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
  channels = maps.shape[-1]
  index, place = texel_index(uv, side)
  image = tf.reshape(tf.range(tf.shape(maps)[0]), [-1] + [1] * (index.shape.rank - 1))
  quads = tf.reshape(texel_quads(maps), [-1, 4 * channels])
  return look_up(quads, index + image * side * side, place)


def texel_quads(maps: Tensor) -> Tensor:
  """Puts the four texels of each bilinear cell side by side.

  One gather of 4 C numbers then serves a look-up, and one scatter its gradient.

  Args:
    maps: [I, U, U, C].

  Returns:
    [I, U * U, 4 * C]: each texel, its right neighbour, the one below, the one below
    right. The last row and column wrap around; `texel_index` never points there.
  """
  side, channels = maps.shape[-2], maps.shape[-1]
  right = tf.roll(maps, -1, axis=2)
  below = tf.roll(maps, -1, axis=1)
  quads = tf.concat([maps, right, below, tf.roll(right, -1, axis=1)], axis=-1)
  return tf.reshape(quads, [-1, side * side, 4 * channels])


def texel_index(uv: Tensor, side: int) -> tuple[Tensor, Tensor]:
  """The bilinear cell that a texture coordinate falls in.

  Args:
    uv: [..., 2].
    side: U.

  Returns:
    [...] int32 index of the cell's top-left texel, row * U + column; and [..., 2] the
    place within the cell in [0, 1] (right, down), differentiable.
  """
  position = tf.clip_by_value(uv * side - 0.5, 0.0, side - 1.0)
  corner = tf.stop_gradient(tf.minimum(tf.floor(position), max(side - 2, 0)))
  column, row = tf.unstack(tf.cast(corner, tf.int32), axis=-1)
  return row * side + column, position - corner


def look_up(
  quads: Tensor, index: Tensor, place: Tensor, jit_compile: bool = False
) -> Tensor:
  """Reads `texel_quads` at cells that `texel_index` found.

  The gradient to `quads` is one segment sum of the outer products of the four bilinear
  weights with the upstream gradient; it adds up in a fixed order.

  Args:
    quads: [R, 4 * C].
    index: [...] int32 in [-1, R).
    place: [..., 2] (right, down) in [0, 1].
    jit_compile: compile the arithmetic; the gather and the sum stay plain operations.

  Returns:
    [..., C]; 0, without gradient, where the index is -1.
  """
  blend, slopes = _COMPILED if jit_compile else (_blend, _blend_slopes)

  @tf.custom_gradient
  def read(quads, place):
    count = tf.shape(quads)[0]
    cells = tf.gather(quads, tf.maximum(index, 0))  # [..., 4 C]

    def gradient(upstream):
      to_cells, to_place = slopes(cells, place, index, upstream)
      # A segment sum leaves out negative indices.
      return tf.math.unsorted_segment_sum(to_cells, index, count), to_place

    return blend(cells, place, index), gradient

  return read(quads, place)


def blend_quads(cells: Tensor, place: Tensor) -> Tensor:
  """Bilinear blend of what `texel_quads` put side by side.

  Args:
    cells: [..., 4 * C].
    place: [..., 2] (right, down) in [0, 1].

  Returns:
    [..., C].
  """
  right, down = tf.split(place, 2, axis=-1)
  top_left, top_right, low_left, low_right = tf.split(cells, 4, axis=-1)
  top = top_left + (top_right - top_left) * right
  low = low_left + (low_right - low_left) * right
  return top + (low - top) * down


def _blend(cells: Tensor, place: Tensor, index: Tensor) -> Tensor:
  """`blend_quads`, but 0 where the index is negative."""
  values = blend_quads(cells, place)
  return tf.where((index >= 0)[..., tf.newaxis], values, tf.zeros_like(values))


def _blend_slopes(
  cells: Tensor, place: Tensor, index: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor]:
  """The gradient of `_blend`: to `cells` [..., 4 * C] and to `place` [..., 2]."""
  right, down = tf.split(place, 2, axis=-1)
  weights = tf.concat(
    [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], -1
  )
  to_cells = weights[..., :, tf.newaxis] * upstream[..., tf.newaxis, :]
  top_left, top_right, low_left, low_right = tf.split(cells, 4, axis=-1)
  across, twist = top_right - top_left, top_left - top_right - low_left + low_right
  to_right = (across + twist * down) * upstream
  to_down = (low_left - top_left + twist * right) * upstream
  to_place = tf.stack([tf.reduce_sum(to_right, -1), tf.reduce_sum(to_down, -1)], -1)
  to_place = tf.where((index >= 0)[..., tf.newaxis], to_place, tf.zeros_like(to_place))
  return tf.reshape(to_cells, tf.shape(cells)), to_place


_COMPILED = tuple(
  tf.function(part, jit_compile=True) for part in (_blend, _blend_slopes)
)


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
