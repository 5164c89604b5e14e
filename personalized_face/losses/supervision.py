"""The distance to what is known of rendered people, for the networks' beginning; ours.

The paper's losses leave a tracker that knows nothing yet slow to tell a turned head
from a shifted one, and in a light that is far off the colours throw its pose out again;
and from few people ModelNet does not learn who is who. Rendered people say which it is.
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.types import Tensor
from personalized_face.losses.reductions import l2_norm, sum_over_frames


def expression_loss(expression: Tensor, reference: Tensor) -> Tensor:
  """sum_n sum_i |w_i - w_i*|, averaged over persons.

  Args:
    expression: [B, N, K] in [0, 1], predicted.
    reference: [B, N, K] in [0, 1], true.
  """
  shapes.check(expression, "[B, N, K]", "expression")
  shapes.check(reference, "[B, N, K]", "reference")
  return sum_over_frames(tf.reduce_sum(tf.abs(expression - reference), axis=-1))


def expression_squares(expression: Tensor, reference: Tensor) -> Tensor:
  """sum_n sum_i (w_i - w_i*)^2, averaged over persons; arguments as above.

  Where people move freely a coefficient is 0 in most frames, and so is the median that
  the absolute difference asks for: a tracker that is not sure answers 0 for ever. The
  mean is not.
  """
  shapes.check(expression, "[B, N, K]", "expression")
  shapes.check(reference, "[B, N, K]", "reference")
  return sum_over_frames(
    tf.reduce_sum(tf.math.squared_difference(expression, reference), axis=-1)
  )


def rotation_loss(rotation: Tensor, reference: Tensor) -> Tensor:
  """sum_n ||R - R*||_F, averaged over persons: 2 sqrt(2) sin(angle / 2) of each frame.

  Args:
    rotation: [B, N, 3] Euler angles, radians, predicted.
    reference: [B, N, 3, 3] true rotation matrices.
  """
  shapes.check(rotation, "[B, N, 3]", "rotation")
  shapes.check(reference, "[B, N, 3, 3]", "reference")
  return sum_over_frames(l2_norm(rotation_matrix(rotation) - reference, axis=(-2, -1)))


def light_loss(light: Tensor, reference: Tensor) -> Tensor:
  """sum_n of the norm of the difference of all 27 numbers, averaged over persons.

  Args:
    light: [B, N, 9, 3] spherical-harmonics coefficients, predicted.
    reference: [B, N, 9, 3] true.
  """
  shapes.check(light, "[B, N, 9, 3]", "light")
  shapes.check(reference, "[B, N, 9, 3]", "reference")
  return sum_over_frames(l2_norm(light - reference, axis=(-2, -1)))


def map_loss(maps: Tensor, reference: Tensor, weights: Tensor) -> Tensor:
  """The mean over a map's texels of ||x - x*||, averaged over persons.

  Args:
    maps: [B, U, U, 3] predicted: the correction of the neutral, or the static albedo.
    reference: [B, M, M, 3] true; resized to U.
    weights: [U, U] of the texels, on average 1: 0 where the layout is empty.
  """
  sizes = shapes.check(maps, "[B, U, U, 3]", "maps")
  shapes.check(reference, "[B, M, M, 3]", "reference")
  if reference.shape[1] != sizes["U"]:
    reference = tf.image.resize(reference, [sizes["U"], sizes["U"]])
  return tf.reduce_mean(weights * l2_norm(maps - reference))
