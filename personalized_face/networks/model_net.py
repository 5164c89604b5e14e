"""ModelNet: N images of a person to raw correction maps (Section 3.2, Supp. Table 1).

One shared encoder, the average of its features over the N images, and two decoders:
D_S for the shape corrections, D_R for the albedo corrections. Every convolution and
deconvolution is followed by batch normalisation and ReLU, except the 1 x 1 heads, which
are linear with a bias: a ReLU would allow only positive corrections. The table has no
skip connections.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.networks.resnet import convolution, normalization, scaled

# Supp. Table 1a after the 7 x 7 convolution and the pooling: (channels, stride).
_ENCODER_CONVOLUTIONS = ((128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
_STEM_CHANNELS = 64
_FEATURE_SIDE = 7  # of the encoder's output for an image of 224 x 224
# Supp. Table 1b: output side and channels of each 4 x 4, stride 2 deconvolution.
_DECODER_DECONVOLUTIONS = ((16, 512), (32, 256), (64, 128), (128, 64))


class ModelNetOutput(NamedTuple):
  """Raw maps: unconstrained network units, before any scale or attention mask."""

  shape_neutral: tf.Tensor  # [B, U, U, 3] becomes Delta_0^S
  shape_blendshapes: tf.Tensor  # [B, U, U, 3K] becomes Delta_i^S, blendshape-major
  albedo_neutral: tf.Tensor  # [B, U, U, 3] becomes Delta_0^R
  albedo_blendshapes: tf.Tensor  # [B, U, U, 3K] becomes Delta_i^R, blendshape-major


class ModelNet(keras.Model):
  """E^model, the average over a person's images, D_S^model and D_R^model."""

  def __init__(
    self,
    num_blendshapes: int,
    width: float = 1.0,
    uv_size: int = 128,
    momentum: float = 0.99,
    name: str = "model_net",
  ):
    """Creates all variables.

    Args:
      num_blendshapes: K.
      width: multiplier of all channel counts but the heads'.
      uv_size: U: 128 as in the paper, or 64, 32, 16, which drop the last
        deconvolutions.
      momentum: of the batch normalisations' moving statistics, per step.
      name: of the Keras model.

    Raises:
      ValueError: for another `uv_size`.
    """
    super().__init__(name=name)
    self.encoder = _encoder(width, momentum)
    features = self.encoder.output_shape[-1]
    decoders, heads = [], []
    for part in ("shape", "albedo"):
      decoder = _decoder(features, width, uv_size, momentum, f"{part}_decoder")
      decoders.append(decoder)
      channels = decoder.output_shape[-1]
      heads.append(_head(channels, 3, f"{part}_neutral"))
      heads.append(_head(channels, 3 * num_blendshapes, f"{part}_blendshapes"))
    self.shape_decoder, self.albedo_decoder = decoders
    self.shape_neutral, self.shape_blendshapes = heads[:2]
    self.albedo_neutral, self.albedo_blendshapes = heads[2:]
    self.built = True  # the parts have all their variables already

  def call(self, images: tf.Tensor, training: bool = False) -> ModelNetOutput:
    """Predicts the corrections of B persons.

    Args:
      images: [B, N, H, W, 3] float32 RGB in [0, 1], N >= 1 images of each person;
        B and N may be unknown. H = W = 224 in the paper; where another size gives
        features of another side than 7, their average is resized to 7.
      training: normalise by the batch's statistics.
    """
    features = self.person_features(images, training=training)
    shape = self.shape_decoder(features, training=training)
    albedo = self.albedo_decoder(features, training=training)
    return ModelNetOutput(
      shape_neutral=self.shape_neutral(shape),
      shape_blendshapes=self.shape_blendshapes(shape),
      albedo_neutral=self.albedo_neutral(albedo),
      albedo_blendshapes=self.albedo_blendshapes(albedo),
    )

  def person_features(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
    """F^model [B, 7, 7, 512 * width]: the mean of F_n^model over the N images."""
    sizes = shapes.check(images, "[B, N, H, W, 3]", "images")
    height, width = sizes["H"], sizes["W"]
    flat = tf.reshape(images, [-1, height, width, 3])  # [B * N, H, W, 3]
    features = self.encoder(flat - 0.5, training=training)  # centred, in [-.5, .5]
    features = tf.cast(features, tf.float32)  # under mixed precision
    grid = list(features.shape[1:])  # [7, 7, 512]
    batch, count = (
      size if size is not None else tf.shape(images)[axis]
      for axis, size in enumerate((sizes["B"], sizes["N"]))
    )
    features = tf.reduce_mean(tf.reshape(features, [batch, count, *grid]), axis=1)
    if grid[:2] != [_FEATURE_SIDE, _FEATURE_SIDE]:
      features = tf.image.resize(features, [_FEATURE_SIDE, _FEATURE_SIDE])
    return features


def _encoder(width: float, momentum: float) -> keras.Sequential:
  """Supp. Table 1a."""
  layers = [
    keras.Input((None, None, 3), name="images"),
    convolution(scaled(_STEM_CHANNELS, width), 7, 2, "conv1"),
    normalization(momentum, "norm1"),
    keras.layers.ReLU(name="relu1"),
    keras.layers.MaxPooling2D(3, 2, "same", name="pool1"),
  ]
  for index, (channels, stride) in enumerate(_ENCODER_CONVOLUTIONS, start=2):
    layers += [
      convolution(scaled(channels, width), 3, stride, f"conv{index}"),
      normalization(momentum, f"norm{index}"),
      keras.layers.ReLU(name=f"relu{index}"),
    ]
  return keras.Sequential(layers, name="encoder")


def _decoder(
  features: int, width: float, uv_size: int, momentum: float, name: str
) -> keras.Sequential:
  """Supp. Table 1b up to the heads."""
  sides = [side for side, _ in _DECODER_DECONVOLUTIONS]
  if uv_size not in sides:
    raise ValueError(f"uv_size is {uv_size}; ModelNet makes maps of {sides} texels")
  layers = [keras.Input((_FEATURE_SIDE, _FEATURE_SIDE, features), name="features")]
  for index, (side, channels) in enumerate(_DECODER_DECONVOLUTIONS, start=1):
    if side > uv_size:
      break
    layers += [
      keras.layers.Conv2DTranspose(
        scaled(channels, width),
        4,
        strides=2,
        padding="valid" if index == 1 else "same",  # 7 -> 16, not 14
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"deconv{index}",
      ),
      normalization(momentum, f"norm{index}"),
      keras.layers.ReLU(name=f"relu{index}"),
    ]
  return keras.Sequential(layers, name=name)


def _head(inputs: int, channels: int, name: str) -> keras.layers.Conv2D:
  """A linear 1 x 1 convolution; zeros, so that training starts from the template."""
  head = keras.layers.Conv2D(
    channels,
    1,
    kernel_initializer="zeros",
    bias_initializer="zeros",
    dtype="float32",  # also under mixed precision
    name=name,
  )
  head.build((None, None, None, inputs))
  return head
