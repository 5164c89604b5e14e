"""Adam on rows, against Keras's."""

import keras
import numpy as np
import tensorflow as tf

from personalized_face.fitting.adam import RowAdam


def test_all_rows_together_step_as_keras_adam_does():
  random = np.random.default_rng(0)
  start = random.normal(size=[3, 2]).astype(np.float32)
  ours, theirs = tf.Variable(start), tf.Variable(start)
  optimizer = RowAdam(ours, 0.9, 0.98)
  reference = keras.optimizers.Adam(0.1, beta_1=0.9, beta_2=0.98, epsilon=1e-8)
  for _ in range(5):
    gradient = tf.constant(random.normal(size=[3, 2]), tf.float32)
    optimizer.step(gradient, tf.constant(0.1))
    reference.apply_gradients([(gradient, theirs)])
  np.testing.assert_allclose(ours, theirs, atol=1e-5)  # epsilon enters elsewhere


def test_rows_that_are_left_out_stay_and_keep_their_own_time():
  table = tf.Variable(tf.zeros([3, 1]))
  optimizer = RowAdam(table)
  for _ in range(10):
    optimizer.step(tf.ones([1, 1]), tf.constant(0.1), tf.constant([1]))
  assert table.numpy()[[0, 2]].tolist() == [[0.0], [0.0]]
  # A row's first step is a full one, however late: its gradient over its own size.
  optimizer.step(tf.constant([[7.0]]), tf.constant(0.1), tf.constant([2]))
  np.testing.assert_allclose(table.numpy()[2], -0.1, rtol=1e-5)


def test_reset_forgets():
  table = tf.Variable(tf.zeros([2]))
  optimizer = RowAdam(table)
  optimizer.step(tf.constant([1.0, 1.0]), tf.constant(0.1))
  table.assign([0.0, 0.0])
  optimizer.reset()
  optimizer.step(tf.constant([-1.0, -1.0]), tf.constant(0.1))
  np.testing.assert_allclose(table, 0.1, rtol=1e-5)  # no momentum of the first step
