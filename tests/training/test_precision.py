"""bfloat16_convolutions: what changes, what does not, and that it ends."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.training import precision

_OPTION = "auto_mixed_precision_onednn_bfloat16"


def _convolution(images, kernel):
  # A function of its own each time: what was traced before keeps its precision.
  return tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))(images).numpy()


@pytest.fixture
def operands():
  random = np.random.default_rng(0)
  images = random.normal(size=(2, 32, 32, 32)).astype(np.float32)
  kernel = random.normal(size=(3, 3, 32, 32)).astype(np.float32)
  return tf.constant(images), tf.constant(kernel)


def test_the_option_ends_with_the_block(monkeypatch):
  monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)
  with pytest.raises(KeyError), precision.bfloat16_convolutions(True):
    assert tf.config.optimizer.get_experimental_options()[_OPTION]
    raise KeyError
  assert not tf.config.optimizer.get_experimental_options().get(_OPTION)


@pytest.mark.parametrize(("enabled", "has"), [(False, True), (True, False)])
def test_nothing_changes_where_it_is_off_or_the_cpu_has_none(monkeypatch, enabled, has):
  monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
  with precision.bfloat16_convolutions(enabled):
    assert not tf.config.optimizer.get_experimental_options().get(_OPTION)


def test_a_convolution_is_rounded_within_and_exact_afterwards(operands):
  if not precision.cpu_has_bfloat16():
    pytest.skip("this CPU has no bfloat16")
  exact = _convolution(*operands)
  with precision.bfloat16_convolutions(True):
    rounded = _convolution(*operands)
  error = np.std(rounded - exact) / np.std(exact)
  # 8 bits of mantissa: 2^-9 relative at most for each operand and the result.
  assert 1e-4 < error < 2.0**-7
  np.testing.assert_array_equal(_convolution(*operands), exact)


def test_a_matrix_product_stays_float32(operands):
  matrix = operands[0][0, 0]
  product = tf.function(lambda a: tf.linalg.matmul(a, a) + tf.einsum("ij,jk->ik", a, a))
  exact = 2 * matrix.numpy() @ matrix.numpy()
  with precision.bfloat16_convolutions(True):
    found = product(matrix)
  # float32 over 32 summands; bfloat16 would err by 1e-2.
  np.testing.assert_allclose(found, exact, atol=1e-4)
