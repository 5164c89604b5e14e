"""ModelNet against Supp. Table 1, and its behaviour over persons and images."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.networks.model_net import ModelNet, ModelNetOutput

_NUM_BLENDSHAPES = 56
_TOY_WIDTH = 1 / 16
_TOY_SIDE = 64  # of the toy pictures

# Supp. Table 1a and 1b, rows in order, output shapes for a picture of 224 x 224.
_TABLE_1A = (
  (112, 112, 64),
  (56, 56, 64),
  (56, 56, 128),
  (28, 28, 128),
  (28, 28, 256),
  (14, 14, 256),
  (14, 14, 512),
  (7, 7, 512),
)
_TABLE_1B = ((16, 16, 512), (32, 32, 256), (64, 64, 128), (128, 128, 64))
_HEADS = ((128, 128, 3), (128, 128, 3), (128, 128, 56 * 3), (128, 128, 56 * 3))


@pytest.fixture(scope="module")
def full_net():
  return ModelNet(_NUM_BLENDSHAPES)


@pytest.fixture(scope="module")
def toy_net():
  """Small, with random heads and statistics: zeroed heads would hide everything."""
  keras.utils.set_random_seed(1)
  net = ModelNet(3, width=_TOY_WIDTH, uv_size=32)
  rng = np.random.default_rng(2)
  for name in ModelNetOutput._fields:
    for variable in getattr(net, name).variables:
      variable.assign(rng.normal(0, 0.3, variable.shape))
  for variable in net.non_trainable_variables:
    low = 0.5 if variable.path.endswith("moving_variance") else -0.2
    variable.assign(rng.uniform(low, low + 0.4, variable.shape))
  return net


def _pictures(persons, count, seed=0):
  rng = np.random.default_rng(seed)
  size = (persons, count, _TOY_SIDE, _TOY_SIDE, 3)
  return tf.constant(rng.random(size), tf.float32)


def _kernels(net):
  return sum(
    int(np.prod(variable.shape))
    for variable in net.trainable_variables
    if variable.path.endswith("kernel")
  )


def _outputs_of(layers, value, kinds):
  shapes = []
  for layer in layers:
    value = layer(value)
    if isinstance(layer, kinds):
      shapes.append(tuple(value.shape[1:]))
  return value, tuple(shapes)


def test_every_layer_has_the_output_shape_of_table_1(full_net):
  kinds = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.MaxPooling2D,
  )
  features, shapes = _outputs_of(
    full_net.encoder.layers, tf.zeros([1, 224, 224, 3]), kinds
  )
  assert shapes == _TABLE_1A
  for decoder in (full_net.shape_decoder, full_net.albedo_decoder):
    _, shapes = _outputs_of(decoder.layers, features, kinds)
    assert shapes == _TABLE_1B
  outputs = full_net(tf.zeros([1, 1, 224, 224, 3]))
  assert tuple(sorted(tuple(value.shape[1:]) for value in outputs)) == _HEADS
  assert all(value.dtype == tf.float32 for value in outputs)


def test_every_convolution_but_the_heads_has_normalisation_and_relu_and_no_bias(
  full_net,
):
  for part, count in (
    (full_net.encoder, 7),
    (full_net.shape_decoder, 4),
    (full_net.albedo_decoder, 4),
  ):
    layers = [
      layer for layer in part.layers if not isinstance(layer, keras.layers.MaxPooling2D)
    ]
    assert len(layers) == 3 * count
    for index in range(0, len(layers), 3):
      convolution, normalization, relu = layers[index : index + 3]
      assert not convolution.use_bias
      assert isinstance(normalization, keras.layers.BatchNormalization)
      assert isinstance(relu, keras.layers.ReLU)
  assert full_net.shape_neutral.use_bias
  assert full_net.albedo_blendshapes.use_bias


def test_kernel_weights_of_table_1_counted_by_hand(full_net):
  encoder = 7 * 7 * 3 * 64 + 9 * (
    64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512
  )
  deconvolutions = 16 * (512 * 512 + 512 * 256 + 256 * 128 + 128 * 64)
  heads = 64 * 3 + 64 * 56 * 3  # counted with their decoder
  assert encoder == 4_654_272
  assert deconvolutions + heads == 6_957_760
  assert _kernels(full_net.encoder) == encoder
  assert _kernels(full_net.shape_decoder) == deconvolutions
  assert _kernels(full_net.albedo_decoder) == deconvolutions
  assert _kernels(full_net) == encoder + 2 * (deconvolutions + heads)


def test_untrained_corrections_are_zero(full_net):
  outputs = full_net(tf.random.uniform([1, 2, 224, 224, 3]), training=True)
  for value in outputs:
    np.testing.assert_array_equal(value, np.zeros(value.shape))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_features_are_the_average_over_the_images(toy_net, count):
  pictures = _pictures(2, count)
  together = toy_net.person_features(pictures)
  alone = [toy_net.person_features(pictures[:, n : n + 1]) for n in range(count)]
  # float32 sums in another order: a few ulp of values of order 1 to 10.
  np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-5, atol=1e-5)
  assert np.std(together) > 0.1


def test_two_people_in_one_batch_come_out_as_alone(toy_net):
  pictures = _pictures(2, 3)
  together = toy_net(pictures)
  for person in range(2):
    alone = toy_net(pictures[person : person + 1])
    for value, other in zip(together, alone, strict=True):
      # The convolutions may block a batch of 6 otherwise than one of 3: ulps.
      np.testing.assert_allclose(value[person], other[0], rtol=1e-5, atol=1e-5)
  assert np.abs(together.shape_neutral[0] - together.shape_neutral[1]).max() > 1e-3


def test_unknown_batch_and_image_count(toy_net):
  traced = tf.function(
    lambda images: toy_net(images),
    input_signature=[tf.TensorSpec([None, None, _TOY_SIDE, _TOY_SIDE, 3])],
  )
  for persons, count in ((1, 1), (2, 3)):
    pictures = _pictures(persons, count)
    for value, other in zip(traced(pictures), toy_net(pictures), strict=True):
      # The traced graph may fuse convolution and normalisation: ulps.
      np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-5)
  static = traced.get_concrete_function().structured_outputs
  assert static.shape_blendshapes.shape.as_list() == [None, 32, 32, 9]


def test_every_trainable_variable_gets_a_gradient(toy_net):
  with tf.GradientTape() as tape:
    outputs = toy_net(_pictures(2, 2), training=True)
    loss = tf.add_n([tf.reduce_sum(value * value) for value in outputs])
  variables = toy_net.trainable_variables
  for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
    assert gradient is not None and np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("uv_size", [16, 64])
def test_smaller_maps_drop_the_last_deconvolutions(uv_size):
  net = ModelNet(3, width=_TOY_WIDTH, uv_size=uv_size)
  outputs = net(_pictures(1, 1))
  assert outputs.shape_neutral.shape == (1, uv_size, uv_size, 3)
  assert outputs.albedo_blendshapes.shape == (1, uv_size, uv_size, 9)


def test_rejects_map_sizes_it_cannot_make_and_single_images():
  with pytest.raises(ValueError, match="uv_size is 100"):
    ModelNet(3, uv_size=100)
  with pytest.raises(ValueError, match="images has shape"):
    ModelNet(3, width=_TOY_WIDTH)(tf.zeros([1, 64, 64, 3]))
