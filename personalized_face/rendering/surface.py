"""The surface point that each pixel sees, with a gradient derived by hand.

Automatic differentiation of this step is what a CPU spends most time on; the gradient's
form is simple, and it has few numbers per pixel until the last moment.

The ray through a pixel centre is (r_x, r_y, -1). With d_k = (X_k, Y_k) + Z_k (r_x, r_y)
the offset of corner k from the ray at the corner's own depth, its barycentric weight is

  b_k = d_(k+1) x d_(k+2) / D,    D = sum_k d_(k+1) x d_(k+2),

Cramer's rule for sum_k b_k v_k on the ray: perspective-correct, without a division by
depth. As sum_k b_k d_k = 0 and sum_k b_k = 1 hold before and after a corner moves, a
loss with gradient g_k to b_k has, to corner k, the gradient

  -b_k w,    w = (p, q, r_x p + r_y q),
  p = sum_j g_j (d_(j+1) - d_(j+2))_y / D,    q = sum_j g_j (d_(j+2) - d_(j+1))_x / D

with one vector w per pixel for all three corners.
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.interpolate import pixel_rows


def see_surface(
  rows: Tensor, ids: Tensor, camera: Camera, jit_compile: bool = False
) -> tuple[Tensor, Tensor]:
  """Barycentrics and interpolated attributes at each pixel.

  Args:
    rows: [I, T, 3 * (3 + C)] corner by corner: position in camera space, decimetres,
      then C attributes.
    ids: [I, H, W] int32 in [-1, T).
    camera: the camera.
    jit_compile: compile the arithmetic; the gather and the segment sum of its gradient
      stay plain operations, which a CPU runs several times faster uncompiled.

  Returns:
    [I, H, W, 3] barycentrics, sum 1, and [I, H, W, C] attributes; 0 where no triangle.
    Differentiable in `rows`; the gradient adds up in a fixed order. No second
    derivatives.
  """
  shapes.check(rows, "[I, T, D]", "rows")
  shapes.check(ids, "[I, H, W]", "ids")
  weigh, blend, slopes, spread = _COMPILED if jit_compile else _PARTS
  flat_ids = pixel_rows(ids, rows.shape[1])

  @tf.custom_gradient
  def see(rows):
    flat = tf.reshape(rows, [-1, rows.shape[-1]])
    count = tf.shape(flat)
    corners = tf.gather(flat, tf.maximum(flat_ids, 0))  # [I, H, W, 3 (3 + C)]
    # One plane per number: arithmetic on whole planes is several times faster.
    planes = tf.transpose(corners, [3, 0, 1, 2])
    weights = weigh(planes, ids, camera)

    def gradient(to_weights, to_attributes):
      to_corner = slopes(planes, ids, to_weights, to_attributes, camera)
      upstream = spread(weights, to_corner)  # [I, H, W, 3 (3 + C)]
      summed = tf.math.unsorted_segment_sum(upstream, flat_ids, count[0])
      return tf.reshape(summed, tf.shape(rows))

    return (weights, blend(planes, weights)), gradient

  return see(rows)


def _offsets(planes: Tensor, camera: Camera) -> tuple[list[Tensor], ...]:
  """x and y of d_0, d_1, d_2, and the ray's r_x [W] and r_y [H, 1]; float64.

  A corner is known to 1e-8 dm, but a sliver may be thinner than the rounding errors of
  a float32 product, and its weights would leave [0, 1].
  """
  columns = tf.range(camera.width, dtype=tf.float64) + 0.5
  rows = tf.range(camera.height, dtype=tf.float64) + 0.5
  ray_x = (columns - camera.principal_x) / camera.focal_pixels
  ray_y = ((camera.principal_y - rows) / camera.focal_pixels)[:, tf.newaxis]
  stride = planes.shape[0] // 3
  x, y = [], []
  for first in range(0, 3 * stride, stride):
    corner = [tf.cast(planes[first + axis], tf.float64) for axis in range(3)]
    x.append(corner[0] + corner[2] * ray_x)
    y.append(corner[1] + corner[2] * ray_y)
  return x, y, [ray_x, ray_y]


def _areas(
  x: list[Tensor], y: list[Tensor], ids: Tensor
) -> tuple[list[Tensor], Tensor]:
  """The three cross products, and 1 / D; 0 where no triangle."""
  areas = [x[i] * y[j] - x[j] * y[i] for i, j in ((1, 2), (2, 0), (0, 1))]
  total = tf.add_n(areas)
  covered = (ids >= 0) & (total != 0)
  one, zero = tf.ones_like(total), tf.zeros_like(total)
  return areas, tf.where(covered, 1.0 / tf.where(covered, total, one), zero)


def _weigh(planes: Tensor, ids: Tensor, camera: Camera) -> Tensor:
  """[3 (3 + C), I, H, W] corners -> [I, H, W, 3] barycentrics."""
  x, y, _ = _offsets(planes, camera)
  areas, inverse = _areas(x, y, ids)
  return tf.stack([tf.cast(area * inverse, planes.dtype) for area in areas], axis=-1)


def _blend(planes: Tensor, weights: Tensor) -> Tensor:
  """[I, H, W, C] attributes."""
  stride = planes.shape[0] // 3
  weights = tf.unstack(weights, axis=-1)
  blended = [
    tf.add_n([weights[k] * planes[k * stride + c] for k in range(3)])
    for c in range(3, stride)
  ]
  if not blended:
    return tf.zeros_like(weights[0])[..., tf.newaxis][..., :0]
  return tf.stack(blended, axis=-1)


def _slopes(
  planes: Tensor, ids: Tensor, to_weights: Tensor, to_attributes: Tensor, camera: Camera
) -> Tensor:
  """What each corner's gradient is, but for its weight: [I, H, W, 3 + C], (-w, g)."""
  x, y, (ray_x, ray_y) = _offsets(planes, camera)
  _, inverse = _areas(x, y, ids)
  stride = planes.shape[0] // 3
  to_weights = tf.unstack(to_weights, axis=-1)
  to_attributes = tf.unstack(to_attributes, axis=-1)
  g = []
  for k in range(3):  # the attributes are sums over b_k as well
    terms = [planes[k * stride + 3 + c] * to for c, to in enumerate(to_attributes)]
    g.append(tf.cast(tf.add_n([to_weights[k], *terms]), tf.float64) * inverse)
  p = tf.add_n([g[j] * (y[(j + 1) % 3] - y[(j + 2) % 3]) for j in range(3)])
  q = tf.add_n([g[j] * (x[(j + 2) % 3] - x[(j + 1) % 3]) for j in range(3)])
  w = [tf.cast(-part, planes.dtype) for part in (p, q, ray_x * p + ray_y * q)]
  return tf.stack([*w, *to_attributes], axis=-1)


def _spread(weights: Tensor, to_corner: Tensor) -> Tensor:
  """The outer product of the weights and the gradient, corner by corner."""
  product = weights[..., :, tf.newaxis] * to_corner[..., tf.newaxis, :]
  shape = tf.concat([tf.shape(weights)[:-1], [3 * to_corner.shape[-1]]], axis=0)
  return tf.reshape(product, shape)


_PARTS = (_weigh, _blend, _slopes, _spread)
# Compiled apart, so that XLA keeps the few numbers per pixel that each part ends with
# instead of computing them again for every one of the next part's many.
_COMPILED = tuple(tf.function(part, jit_compile=True) for part in _PARTS)
