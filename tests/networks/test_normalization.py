"""The fused batch normalisation against Keras' own, and what freezing means."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.networks.model_net import ModelNet
from personalized_face.networks.normalization import FusedBatchNormalization
from personalized_face.networks.track_net import TrackNet

_TOY_WIDTH = 1 / 16


def _pair(channels=5):
  """The fused layer and Keras' own with the same random variables."""
  rng = np.random.default_rng(0)
  layers = (
    FusedBatchNormalization(momentum=0.9),
    keras.layers.BatchNormalization(momentum=0.9),
  )
  values = rng.uniform(0.5, 2, (4, channels))
  for layer in layers:
    layer.build((None, None, None, channels))
    for variable, value in zip(layer.variables, values, strict=True):
      variable.assign(value)
  return layers


@pytest.mark.parametrize("training", [False, True])
def test_equals_keras(training):
  fused, plain = _pair()
  inputs = tf.random.normal([6, 8, 8, 5], mean=3.0, seed=1)
  results = []
  for layer in (fused, plain):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      outputs = layer(inputs, training=training)
      loss = tf.reduce_sum(tf.sin(outputs))
    gradients = tape.gradient(loss, [inputs, layer.gamma, layer.beta])
    results.append([outputs, *gradients, layer.moving_mean])
  for value, other in zip(*results, strict=True):
    # float32 with means and variances summed in another order, over 384 values.
    np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-4)
  # Unbiased in the fused operation: n / (n - 1) on the batch's share of the average.
  count = 6 * 8 * 8
  start = _pair()[1].moving_variance.numpy()
  moved = plain.moving_variance.numpy() - 0.9 * start
  want = 0.9 * start + moved * count / (count - 1) if training else start
  np.testing.assert_allclose(fused.moving_variance, want, rtol=1e-4)


def test_rejects_a_mask():
  fused, _ = _pair()
  with pytest.raises(ValueError, match="mask"):
    fused(tf.zeros([1, 2, 2, 5]), mask=tf.ones([1, 2, 2]))


def _networks():
  keras.utils.set_random_seed(5)
  images = tf.random.uniform([1, 3, 64, 64, 3])
  return [
    (TrackNet(3, width=_TOY_WIDTH, hidden=8), images[0]),
    (ModelNet(3, width=_TOY_WIDTH, uv_size=16), images),
  ]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("compiled", [False, True])
def test_frozen_network_stays_bit_for_bit(index, compiled):
  net, images = _networks()[index]
  net(images, training=True)  # statistics that are not the initial ones
  net.trainable = False
  before = [variable.numpy() for variable in net.variables]
  call = lambda: net(images, training=True)  # noqa: E731
  frozen = (tf.function(call) if compiled else call)()
  assert net.trainable_variables == []
  for variable, value in zip(net.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
  # Frozen is inference mode: the same operations, so the same bits.
  inference = lambda: net(images, training=False)  # noqa: E731
  inference = (tf.function(inference) if compiled else inference)()
  for value, other in zip(
    tf.nest.flatten(frozen), tf.nest.flatten(inference), strict=True
  ):
    np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("index", [0, 1])
def test_training_moves_every_statistic(index):
  net, images = _networks()[index]
  before = [variable.numpy() for variable in net.non_trainable_variables]
  assert before
  net(images, training=True)
  for variable, value in zip(net.non_trainable_variables, before, strict=True):
    assert np.any(variable.numpy() != value), variable.path


def test_momentum_is_passed_on():
  nets = (
    TrackNet(3, width=_TOY_WIDTH, momentum=0.7),
    ModelNet(3, width=_TOY_WIDTH, uv_size=16, momentum=0.7),
  )
  for net in nets:
    layers = [
      layer
      for layer in net._flatten_layers()
      if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(layers) == (20 if net is nets[0] else 9)
    assert {layer.momentum for layer in layers} == {0.7}
