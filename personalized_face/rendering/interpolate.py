"""From vertices to pixels: the values at a triangle's corners, blended.

Two steps, each with a gradient chosen for speed and reproducibility: vertices to
triangle corners is a fixed sparse product (`core.sparse`), triangle rows to pixels a
gather whose gradient is one segment sum.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.sparse import SparseOperator
from personalized_face.core.types import Framebuffer, Tensor


def interpolate(
  attributes: Tensor, triangles: np.ndarray, framebuffer: Framebuffer
) -> Tensor:
  """Attribute of the surface point that each pixel sees.

  Args:
    attributes: [I, V, C] per vertex, or [V, C] the same in all images.
    triangles: [T, 3] int, those that were rasterized.
    framebuffer: what `rasterize` returned.

  Returns:
    [I, H, W, C], 0 where no triangle. Differentiable in the attributes and in the
    barycentrics.
  """
  images = tf.shape(framebuffer.triangle_ids)[0]
  if attributes.shape.rank == 2:
    attributes = tf.repeat(attributes[tf.newaxis], images, axis=0)
  rows = gather_rows(corner_rows(attributes, triangles), framebuffer.triangle_ids)
  return blend_corners(rows, framebuffer.barycentrics)


def corner_operator(triangles: np.ndarray, num_vertices: int) -> SparseOperator:
  """Vertices to corners: row 3 t + k of the product is corner k of triangle t."""
  flat = np.asarray(triangles).reshape(-1)
  return SparseOperator(np.arange(len(flat)), flat, len(flat), num_vertices)


def corner_rows(
  attributes: Tensor, triangles: np.ndarray, operator: SparseOperator | None = None
) -> Tensor:
  """The attributes of the three corners of each triangle, side by side.

  Args:
    attributes: [I, V, C].
    triangles: [T, 3] int.
    operator: `corner_operator` of the triangles, where it was built before.

  Returns:
    [I, T, 3 * C], corner by corner.
  """
  shapes.check(attributes, "[I, V, C]", "attributes")
  operator = operator or corner_operator(triangles, attributes.shape[1])
  corners = operator.apply(attributes)  # [I, 3 T, C]
  return tf.reshape(corners, [-1, len(triangles), 3 * attributes.shape[-1]])


def pixel_rows(ids: Tensor, count: int) -> Tensor:
  """[I, H, W] rows in a flat list of `count` rows per image; -1 stays -1."""
  first = tf.range(tf.shape(ids)[0])[:, tf.newaxis, tf.newaxis] * count
  return tf.where(ids < 0, -1, ids + first)


def gather_rows(rows: Tensor, ids: Tensor) -> Tensor:
  """One row per pixel.

  Args:
    rows: [I, R, C].
    ids: [I, H, W] int32 in [-1, R).

  Returns:
    [I, H, W, C]; 0 where the id is -1. The gradient adds up in a fixed order.
  """
  shapes.check(rows, "[I, R, C]", "rows")
  shapes.check(ids, "[I, H, W]", "ids")
  index = pixel_rows(ids, rows.shape[1])

  @tf.custom_gradient
  def gather(flat):
    count = tf.shape(flat)[0]
    values = tf.gather(flat, tf.maximum(index, 0))

    def gradient(upstream):
      # A segment sum leaves out negative ids: a third of the pixels of a portrait.
      return tf.math.unsorted_segment_sum(upstream, index, count)

    return tf.where(
      (ids >= 0)[..., tf.newaxis], values, tf.zeros_like(values)
    ), gradient

  return gather(tf.reshape(rows, [-1, rows.shape[-1]]))


def blend_corners(rows: Tensor, barycentrics: Tensor) -> Tensor:
  """The barycentric mean of the corners.

  Args:
    rows: [I, H, W, 3 * C], corner by corner.
    barycentrics: [I, H, W, 3].

  Returns:
    [I, H, W, C].
  """
  corners = tf.split(rows, 3, axis=-1)
  weights = tf.split(barycentrics, 3, axis=-1)
  return tf.add_n([c * w for c, w in zip(corners, weights, strict=True)])
