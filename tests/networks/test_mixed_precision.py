"""Half precision inside, float32 weights and outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.networks.mixed_precision import networks_in
from personalized_face.networks.track_net import TrackNet

SIZE = 32


def _net(precision):
  keras.utils.set_random_seed(0)
  with networks_in(precision):
    return TrackNet(3, width=0.125, hidden=16)


def test_bfloat16_gives_float32_outputs_close_to_float32():
  images = np.random.default_rng(0).uniform(size=[4, SIZE, SIZE, 3]).astype(np.float32)
  exact, mixed = _net("float32"), _net("mixed_bfloat16")
  assert {v.dtype for v in mixed.variables} == {"float32"}
  convolution = mixed.encoder.layers[1]
  assert convolution.compute_dtype == "bfloat16"
  values, rounded = exact(images, training=True), mixed(images, training=True)
  assert rounded.dtype == tf.float32
  error = np.abs(rounded - values).max()
  # 8 bits of mantissa through twenty layers; and it must have been rounded at all.
  assert 0 < error < 0.1 * np.abs(values).max()


def test_gradients_are_float32_and_reach_every_weight():
  net = _net("mixed_bfloat16")
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(tf.square(net(tf.ones([2, SIZE, SIZE, 3]), training=True) - 1))
  gradients = tape.gradient(loss, [v.value for v in net.trainable_variables])
  assert {g.dtype for g in gradients} == {tf.float32}
  assert all(np.isfinite(g).all() for g in gradients)


def test_the_policy_ends_with_the_block_and_others_are_refused():
  before = keras.config.dtype_policy().name
  with pytest.raises(KeyError), networks_in("mixed_float16"):
    raise KeyError
  assert keras.config.dtype_policy().name == before
  with pytest.raises(ValueError, match="precision is one of"):
    networks_in("float8").__enter__()
