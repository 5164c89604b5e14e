import numpy as np
from loss_numerics import assert_gradient, gradient

from personalized_face.losses.regularization import (
  expression_l1,
  light_regularization,
  regularization_loss,
)


def _random():
  rng = np.random.default_rng(0)
  return rng.uniform(size=(2, 3, 5)), rng.normal(size=(2, 3, 9, 3))


def test_expression_l1_preset():
  expression = np.array([[[0.25, 0.5], [1, 0]], [[0, 0], [0, 0.25]]], np.float32)
  assert float(expression_l1(expression)) == (1.75 + 0.25) / 2


def test_light_regularization_preset():
  light = np.zeros((1, 1, 9, 3), np.float32)
  light[..., 0, :] = (3, 0, 0)  # mean 1: off it by (2, -1, -1); norm 3
  np.testing.assert_allclose(
    light_regularization(light, 0.5), np.sqrt(6) + 1.5, rtol=1e-6
  )


def test_light_regularization_of_white_light_is_gamma_times_its_norm():
  light = np.repeat(np.random.default_rng(0).normal(size=(1, 1, 9, 1)), 3, axis=-1)
  # The mean of three equal numbers is off by a rounding error.
  np.testing.assert_allclose(
    light_regularization(light), 0.02 * np.linalg.norm(light), rtol=1e-12
  )


def test_regularization_loss_random_equals_loop():
  expression, light = _random()
  total = 0.0
  for b, n in np.ndindex(2, 3):
    gamma = light[b, n]
    colour, size = 0.0, 0.0
    for band, channel in np.ndindex(9, 3):
      colour += (gamma[band, channel] - gamma[band].sum() / 3) ** 2
      size += gamma[band, channel] ** 2
    total += sum(abs(w) for w in expression[b, n]) + colour**0.5 + 0.1 * size**0.5
  np.testing.assert_allclose(
    regularization_loss(expression, light, 0.1), total / 2, rtol=1e-12
  )


def test_light_regularization_finite_at_zero():
  zeros = np.zeros((1, 2, 9, 3), np.float32)
  assert float(light_regularization(zeros)) == 0
  assert not gradient(light_regularization, zeros).any()
  # White light: the first norm of Eq. 8 is at 0, the second one is not.
  found = gradient(light_regularization, zeros + 0.5)
  assert np.isfinite(found).all() and found.any()


def test_regularization_jacobian_random():
  expression, light = _random()
  assert_gradient(lambda value: regularization_loss(value, light), expression)
  assert_gradient(lambda value: regularization_loss(expression, value), light)
