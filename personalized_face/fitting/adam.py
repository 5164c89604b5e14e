"""Adam whose rows keep their own time: a minibatch moves only the frames it holds.

Kingma and Ba, "Adam: a method for stochastic optimization", 2015. An optimizer of the
whole table would go on moving the frames that a minibatch leaves out, by the momentum
of steps long past, and would divide by second moments that are mostly zeros. Here every
row has its own moments and its own count of steps.
"""

import tensorflow as tf

from personalized_face.core.types import Tensor

_EPSILON = 1e-8


class RowAdam:
  """Adam for one variable."""

  def __init__(self, variable: tf.Variable, beta_1: float = 0.9, beta_2: float = 0.98):
    """Starts without momentum.

    Args:
      variable: [R, ...], R rows.
      beta_1: decay of the first moment.
      beta_2: decay of the second; .98 forgets within the 50 steps in which a fit's
        gradients shrink by orders of magnitude (the usual .999 within 1000).
    """
    self.variable = variable
    self._beta_1, self._beta_2 = beta_1, beta_2
    self._first = tf.Variable(tf.zeros_like(variable))
    self._second = tf.Variable(tf.zeros_like(variable))
    ones = [1] * (len(variable.shape) - 1)
    self._count = tf.Variable(tf.zeros([variable.shape[0], *ones]))

  def step(self, gradient: Tensor, size: Tensor, rows: Tensor | None = None) -> None:
    """Moves the rows against their gradient.

    Args:
      gradient: [n, ...] of the rows; [R, ...] where `rows` is None.
      size: the step, in units of the variable; broadcasts against `gradient`.
      rows: [n] int32, each at most once; None moves all.
    """
    if rows is None:
      rows = tf.range(self.variable.shape[0])
    count = tf.gather(self._count, rows) + 1
    first = tf.gather(self._first, rows)
    first += (1 - self._beta_1) * (gradient - first)
    second = tf.gather(self._second, rows)
    second += (1 - self._beta_2) * (tf.square(gradient) - second)
    mean = first / (1 - self._beta_1**count)
    scale = tf.sqrt(second / (1 - self._beta_2**count)) + _EPSILON
    for table, values in (
      (self._count, count),
      (self._first, first),
      (self._second, second),
    ):
      table.scatter_update(tf.IndexedSlices(values, rows))
    self.variable.scatter_sub(tf.IndexedSlices(size * mean / scale, rows))

  def reset(self) -> None:
    """Forgets the moments and the steps, for another problem in the same variable."""
    for table in (self._first, self._second, self._count):
      table.assign(tf.zeros_like(table))
