"""TrackNet: one image to the raw parameters of its motion (Section 3.3).

ResNet-18, global average pooling and fully connected layers. What the raw numbers mean
is decided in `face_model/parameters.py`; they are small before training, so that an
untrained tracker says what a raw vector of zeros says: neutral, frontal, at head
distance, in white ambient light.
"""

import keras
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS
from personalized_face.networks.resnet import resnet18

# Standard deviation of the last layer's kernel: raw values below 0.1 at the start,
# yet not zero, which would keep the gradient from everything below for a step.
_LAST_KERNEL_STDDEV = 3e-4


def num_outputs(num_blendshapes: int) -> int:
  """K expression + 3 rotation + 3 translation + 27 light, in this order."""
  return num_blendshapes + 3 + 3 + 3 * NUM_LIGHT_COEFFICIENTS


class TrackNet(keras.Model):
  """E^track and its fully connected layers."""

  def __init__(
    self,
    num_blendshapes: int,
    width: float = 1.0,
    hidden: int = 256,
    momentum: float = 0.99,
    name: str = "track_net",
  ):
    """Creates all variables.

    Args:
      num_blendshapes: K.
      width: multiplier of the encoder's channel counts.
      hidden: units of the one hidden layer after the pooling; the paper says
        "multiple fully connected layers" and no more.
      momentum: of the batch normalisations' moving statistics, per step.
      name: of the Keras model.
    """
    super().__init__(name=name)
    self.encoder = resnet18(width, momentum)
    self.head = keras.Sequential(
      [
        keras.Input((self.encoder.output_shape[-1],)),
        keras.layers.Dense(
          hidden, activation="relu", kernel_initializer="he_normal", name="hidden"
        ),
        keras.layers.Dense(
          num_outputs(num_blendshapes),
          kernel_initializer=keras.initializers.RandomNormal(
            stddev=_LAST_KERNEL_STDDEV
          ),
          dtype="float32",  # also under mixed precision
          name="raw",
        ),
      ],
      name="head",
    )
    self.built = True  # the parts have all their variables already

  def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Regresses the raw motion parameters.

    Args:
      images: [I, H, W, 3] float32 RGB in [0, 1]; I may be unknown.
      training: normalise by the batch's statistics.

    Returns:
      [I, K + 3 + 3 + 27] float32, unconstrained: expression, rotation, translation,
      light (9 coefficients x 3 channels, channel last).
    """
    shapes.check(images, "[I, H, W, 3]", "images")
    features = self.encoder(images - 0.5, training=training)  # centred, in [-.5, .5]
    features = tf.cast(features, tf.float32)  # under mixed precision
    return self.head(tf.reduce_mean(features, axis=(1, 2)))
