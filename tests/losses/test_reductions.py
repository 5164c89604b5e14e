import numpy as np
import pytest
import tensorflow as tf
from loss_numerics import assert_gradient

from personalized_face.losses.reductions import l2_norm, sum_over_frames

_VECTORS = np.array([[3, 4], [0, 0], [0, -2]], np.float32)


def test_l2_norm_preset():
  np.testing.assert_array_equal(l2_norm(_VECTORS), [5, 0, 2])
  np.testing.assert_allclose(l2_norm(_VECTORS, axis=(-2, -1)), np.sqrt(29), rtol=1e-6)


def test_l2_norm_does_not_hide_nan():
  assert np.isnan(l2_norm(np.array([np.nan, 1.0], np.float32)))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_l2_norm_gradient_at_zero(jit_compile):
  # TensorFlow's CPU kernel for the root's gradient lets 0 * inf be 0; XLA's does not.
  @tf.function(jit_compile=jit_compile)
  def gradient(vectors):
    with tf.GradientTape() as tape:
      tape.watch(vectors)
      value = tf.reduce_sum(l2_norm(vectors))
    return tape.gradient(value, vectors)

  expected = [[0.6, 0.8], [0, 0], [0, -1]]
  # Float32 division.
  np.testing.assert_allclose(gradient(tf.constant(_VECTORS)), expected, rtol=1e-6)


def test_l2_norm_jacobian_random():
  weights = np.array([1.0, -2.0, 3.0])
  points = np.random.default_rng(0).normal(size=(3, 4))
  assert_gradient(lambda value: tf.reduce_sum(l2_norm(value) * weights), points)


def test_sum_over_frames_preset():
  assert float(sum_over_frames(tf.constant([[1.0, 2.0, 3.0], [0.0, 0.0, 2.0]]))) == 4


def test_sum_over_frames_exception_raised():
  with pytest.raises(ValueError, match="per_frame has shape"):
    sum_over_frames(tf.zeros([3]))
