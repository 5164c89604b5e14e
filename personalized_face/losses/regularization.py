"""L_reg: sparse expression coefficients and mostly monochromatic, modest light."""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.losses.reductions import l2_norm, sum_over_frames


def expression_l1(expression: Tensor) -> Tensor:
  """L_reg^w: sum_n sum_i |w_i| over w_1..w_K; w_0 is what they leave.

  Args:
    expression: [B, N, K] in [0, 1].
  """
  shapes.check(expression, "[B, N, K]", "expression")
  return sum_over_frames(tf.reduce_sum(tf.abs(expression), axis=-1))


def light_regularization(light: Tensor, gamma_weight: float | Tensor = 0.02) -> Tensor:
  """L_reg^gamma, Eq. 8: ||gamma - gamma_mean||_2 + lambda_gamma ||gamma||_2.

  gamma_mean is the mean over the three colour channels of each coefficient. The norms
  are those of all 27 numbers; at 0 their gradient is 0.

  Args:
    light: [B, N, 9, 3] spherical-harmonics coefficients.
    gamma_weight: lambda_gamma.
  """
  shapes.check(light, "[B, N, 9, 3]", "light")
  mean = tf.reduce_mean(light, axis=-1, keepdims=True)
  coloured = l2_norm(light - mean, axis=(-2, -1))
  return sum_over_frames(coloured + gamma_weight * l2_norm(light, axis=(-2, -1)))


def regularization_loss(
  expression: Tensor, light: Tensor, gamma_weight: float | Tensor = 0.02
) -> Tensor:
  """L_reg = L_reg^w + L_reg^gamma; arguments as the two above."""
  return expression_l1(expression) + light_regularization(light, gamma_weight)
