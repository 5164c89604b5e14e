"""TrackNet: ResNet-18 and its fully connected layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.networks.resnet import resnet18
from personalized_face.networks.track_net import TrackNet

_TOY_WIDTH = 1 / 16


def _kernels(net):
  return sum(
    int(np.prod(variable.shape))
    for variable in net.trainable_variables
    if variable.path.endswith("kernel")
  )


def test_encoder_is_resnet18():
  net = resnet18()
  stage = lambda old, new: 9 * (old * new + 3 * new * new)  # noqa: E731
  shortcuts = 64 * 128 + 128 * 256 + 256 * 512
  want = 7 * 7 * 3 * 64 + stage(64, 64) + stage(64, 128) + stage(128, 256)
  want += stage(256, 512) + shortcuts
  assert want == 11_166_912
  assert _kernels(net) == want
  # torchvision's resnet18 has 11,689,512 parameters, 513,000 of them its classifier's.
  assert sum(np.prod(v.shape) for v in net.trainable_variables) == 11_176_512
  assert not any(layer.get_config().get("use_bias") for layer in net.layers)


def test_stages_halve_the_picture():
  shapes, value = {}, {}
  net = resnet18()
  blocks = [f"stage{stage}_block2_relu2" for stage in range(1, 5)]
  probe = keras.Model(net.input, [net.get_layer(name).output for name in blocks])
  value = probe(tf.zeros([1, 224, 224, 3]))
  shapes = [tuple(v.shape[1:]) for v in value]
  assert shapes == [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]


def test_full_size_output():
  net = TrackNet(56)
  raw = net(tf.random.uniform([2, 224, 224, 3]))
  assert raw.shape == (2, 56 + 3 + 3 + 27)
  assert raw.dtype == tf.float32
  fully_connected = 512 * 256 + 256 * 89
  assert _kernels(net) == 11_166_912 + fully_connected


@pytest.mark.parametrize("training", [False, True])
def test_untrained_output_is_small_but_not_constant(training):
  keras.utils.set_random_seed(3)
  net = TrackNet(56)
  raw = net(tf.random.uniform([4, 224, 224, 3]), training=training).numpy()
  # 0.2 raw units are 0.02 rad, 2 mm (2 cm of depth), 0.1 of the full light level.
  assert np.abs(raw).max() < 0.2
  assert raw.std(axis=0).min() > 0


def test_images_do_not_see_each_other_in_inference_mode():
  net = TrackNet(3, width=_TOY_WIDTH, hidden=16)
  images = tf.random.uniform([3, 64, 64, 3])
  together = net(images)
  for index in range(3):
    # The convolutions may block a batch of 3 otherwise than one of 1: ulps.
    np.testing.assert_allclose(
      together[index], net(images[index : index + 1])[0], rtol=1e-4, atol=1e-6
    )


def test_unknown_batch():
  net = TrackNet(3, width=_TOY_WIDTH)
  traced = tf.function(
    lambda images: net(images), input_signature=[tf.TensorSpec([None, 64, 64, 3])]
  )
  images = tf.random.uniform([2, 64, 64, 3])
  # The traced graph may fuse convolution and normalisation: ulps.
  np.testing.assert_allclose(traced(images), net(images), rtol=1e-4, atol=1e-6)
  assert traced.get_concrete_function().structured_outputs.shape.as_list() == [None, 36]


def test_every_trainable_variable_gets_a_gradient():
  keras.utils.set_random_seed(4)
  net = TrackNet(3, width=_TOY_WIDTH, hidden=16)
  with tf.GradientTape() as tape:
    raw = net(tf.random.uniform([4, 64, 64, 3]), training=True)
    loss = tf.reduce_sum(tf.square(raw - 1.0))
  variables = net.trainable_variables
  for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
    assert gradient is not None and np.abs(gradient).max() > 0, variable.path


def test_rejects_groups_of_images():
  with pytest.raises(ValueError, match="images has shape"):
    TrackNet(3, width=_TOY_WIDTH)(tf.zeros([1, 2, 64, 64, 3]))
