"""L_ph, Eq. 4: rendered pictures against the video's, and the same on their gradients.

Both are l_{2,1}: the Euclidean norm within a pixel, summed over pixels without a
square, so that a few wrong pixels (a hand, glasses) do not rule the fit.
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.losses.reductions import l2_norm, safe_sqrt, sum_over_frames


def photometric_loss(image: Tensor, rendered: Tensor, mask: Tensor) -> Tensor:
  """Eq. 4: sum_n sum_q ||M_n(q) [I_n(q) - I^_n(q)]||_2 / sum_q M_n(q).

  Args:
    image: [B, N, H, W, 3] RGB in [0, 1].
    rendered: [B, N, H, W, 3] linear RGB, not clamped.
    mask: [B, N, H, W] M_n, 1 on the face surface, else 0. No gradient flows into it.

  Returns:
    Scalar; an image with an empty mask adds 0.
  """
  _check(image, rendered, mask)
  return _masked_mean(l2_norm(image - rendered), tf.stop_gradient(mask))


def image_gradient_loss(image: Tensor, rendered: Tensor, mask: Tensor) -> Tensor:
  """Eq. 4 with the images replaced by their spatial gradients.

  The gradient of a pixel is its forward differences to the right and downward, six
  numbers under one norm. A difference whose other end is off the mask or off the image
  is 0: it would compare a face's border with the black behind the mesh.

  Args and Returns: as `photometric_loss`, per pixel of spacing.
  """
  _check(image, rendered, mask)
  # The difference of gradients is the gradient of the difference, at half the work.
  error = image - rendered
  mask = tf.stop_gradient(mask)
  next_right = tf.pad(mask[..., 1:], [[0, 0], [0, 0], [0, 0], [0, 1]])
  next_down = tf.pad(mask[..., 1:, :], [[0, 0], [0, 0], [0, 1], [0, 0]])
  squared = _squared_step(error, axis=3) * next_right
  squared += _squared_step(error, axis=2) * next_down
  return _masked_mean(safe_sqrt(squared), mask)


def _check(image: Tensor, rendered: Tensor, mask: Tensor) -> None:
  shapes.check(image, "[B, N, H, W, 3]", "image")
  shapes.check(rendered, "[B, N, H, W, 3]", "rendered")
  shapes.check(mask, "[B, N, H, W]", "mask")


def _squared_step(error: Tensor, axis: int) -> Tensor:
  """[B, N, H, W] squared RGB norm of the step to the next pixel; the last one wraps.

  A roll, because on CPU it takes a quarter of the time of two slices with gradients.
  """
  return tf.reduce_sum(tf.square(tf.roll(error, -1, axis) - error), axis=-1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
  """Per image the mean of [B, N, H, W] over its mask, then the shared reduction."""
  count = tf.reduce_sum(mask, axis=[2, 3])
  # 0 / 0 is 0 here, in the value and in the gradient: an empty mask teaches nothing.
  return sum_over_frames(
    tf.math.divide_no_nan(tf.reduce_sum(values * mask, axis=[2, 3]), count)
  )
