"""core/sparse.py against dense matrices."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.sparse import SparseOperator


def random_operator(num_rows, num_columns, entries, seed=0, weighted=True):
  """An operator and its dense matrix; many entries may meet in one row or column."""
  rng = np.random.default_rng(seed)
  rows = rng.integers(0, num_rows, entries)
  rows[: entries // 2] = 3  # one long row: several passes
  columns = rng.integers(0, num_columns, entries)
  weights = rng.normal(size=entries) if weighted else None
  dense = np.zeros((num_rows, num_columns))
  np.add.at(dense, (rows, columns), 1 if weights is None else weights)
  return SparseOperator(rows, columns, num_rows, num_columns, weights), dense


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("entries", [0, 6, 60, 2000])
def test_apply_and_transposed_equal_dense(entries, weighted):
  operator, dense = random_operator(7, 11, entries, weighted=weighted)
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=(2, 11, 3)), rng.normal(size=(2, 7, 3))
  # Float64 sums of up to 2000 terms.
  np.testing.assert_allclose(operator.apply(tf.constant(x)), dense @ x, atol=1e-11)
  np.testing.assert_allclose(
    operator.apply_transposed(tf.constant(y)), dense.T @ y, atol=1e-11
  )


def test_gradient_is_the_transposed_matrix_and_back():
  operator, dense = random_operator(7, 11, 60)
  x, y = tf.ones([1, 11, 1], tf.float64), tf.ones([1, 7, 1], tf.float64)
  for function, argument, matrix in (
    (operator.apply, x, dense),
    (operator.apply_transposed, y, dense.T),
  ):
    theory, _ = tf.test.compute_gradient(function, [argument])
    np.testing.assert_allclose(theory[0], matrix, atol=1e-12)


def test_second_derivative_exists():
  operator, dense = random_operator(5, 4, 12)
  x = tf.constant(np.random.default_rng(2).normal(size=(1, 4, 1)))
  with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as inner:
      inner.watch(x)
      value = tf.reduce_sum(operator.apply(x) ** 2)
    slope = inner.gradient(value, x)
  hessian = outer.jacobian(slope, x)[0, :, 0, 0, :, 0]
  np.testing.assert_allclose(hessian, 2 * dense.T @ dense, atol=1e-11)


def test_unknown_batch_size():
  operator, dense = random_operator(7, 11, 60)
  function = tf.function(
    operator.apply, input_signature=[tf.TensorSpec([None, 11, 2], tf.float32)]
  )
  assert function(tf.zeros([0, 11, 2])).shape == (0, 7, 2)
  x = np.random.default_rng(3).normal(size=(3, 11, 2)).astype(np.float32)
  np.testing.assert_allclose(function(x), dense @ x, atol=1e-4)  # float32 sums


def test_exception_raised():
  with pytest.raises(ValueError, match="columns"):
    SparseOperator([0], [5], 1, 5)
  operator, _ = random_operator(7, 11, 6)
  with pytest.raises(ValueError, match="expected"):
    operator.apply(tf.zeros([1, 7, 2]))
