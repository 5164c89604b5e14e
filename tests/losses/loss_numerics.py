"""Numerical gradients for the tests of this folder."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def gradient(function: Callable, point: np.ndarray) -> np.ndarray:
  """TensorFlow's gradient of a scalar function at a point, in the point's dtype."""
  value = tf.constant(point)
  with tf.GradientTape() as tape:
    tape.watch(value)
    result = function(value)
  return tf.convert_to_tensor(tape.gradient(result, value)).numpy()


def numeric_gradient(
  function: Callable, point: np.ndarray, step: float = 1e-6
) -> np.ndarray:
  """Central differences, entry by entry."""
  assert point.dtype == np.float64
  result = np.zeros_like(point)
  for index in np.ndindex(point.shape):
    sides = []
    for sign in (1, -1):
      moved = point.copy()
      moved[index] += sign * step
      sides.append(float(function(tf.constant(moved))))
    result[index] = (sides[0] - sides[1]) / (2 * step)
  return result


def assert_gradient(function: Callable, point: np.ndarray, step: float = 1e-6) -> None:
  """Float64 gradients agree with central differences.

  Central differences at a step of 1e-6 carry a rounding error of about 1e-16 / 1e-6
  of the function's value, and a truncation error of its third derivative * 1e-12.
  """
  numeric = numeric_gradient(function, point, step)
  assert np.abs(numeric).max() > 0
  value = abs(float(function(tf.constant(point))))
  tolerance = 1e-7 * np.abs(numeric).max() + 1e-9 * value
  np.testing.assert_allclose(gradient(function, point), numeric, rtol=0, atol=tolerance)
