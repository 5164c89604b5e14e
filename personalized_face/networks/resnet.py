"""ResNet-18, the encoder of TrackNet, and the blocks both networks are built of.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (CVPR 2016), Table 1,
"18-layer", without the classifier. Supp. Section 1 of the paper names it.
"""

import keras

from personalized_face.networks.normalization import FusedBatchNormalization

STAGE_CHANNELS = (64, 128, 256, 512)
BLOCKS_PER_STAGE = 2


def scaled(channels: int, width: float) -> int:
  """`channels` of the paper times the width multiplier, at least 1."""
  return max(1, round(channels * width))


def convolution(channels: int, kernel: int, stride: int, name: str):
  """A `same` convolution without bias: the normalisation after it has one."""
  return keras.layers.Conv2D(
    channels,
    kernel,
    strides=stride,
    padding="same",
    use_bias=False,
    kernel_initializer="he_normal",
    name=name,
  )


def normalization(momentum: float, name: str) -> FusedBatchNormalization:
  """The batch normalisation that follows every convolution."""
  return FusedBatchNormalization(momentum=momentum, name=name)


def resnet18(width: float = 1.0, momentum: float = 0.99) -> keras.Model:
  """Builds the encoder: [I, H, W, 3] images to [I, H / 32, W / 32, 512 * width].

  At width 1 it has 11,166,912 kernel weights, as torchvision's without its classifier.

  Args:
    width: multiplier of all channel counts.
    momentum: of the batch normalisations' moving statistics, per step.
  """
  inputs = keras.Input((None, None, 3), name="images")
  x = convolution(scaled(STAGE_CHANNELS[0], width), 7, 2, "stem_conv")(inputs)
  x = normalization(momentum, "stem_norm")(x)
  x = keras.layers.ReLU(name="stem_relu")(x)
  x = keras.layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
  for stage, channels in enumerate(STAGE_CHANNELS):
    for block in range(BLOCKS_PER_STAGE):
      stride = 2 if stage > 0 and block == 0 else 1
      name = f"stage{stage + 1}_block{block + 1}"
      x = _basic_block(x, scaled(channels, width), stride, momentum, name)
  return keras.Model(inputs, x, name="resnet18")


def _basic_block(x, channels: int, stride: int, momentum: float, name: str):
  """relu(x + F(x)) with two 3 x 3 convolutions in F; 1 x 1 on x where sizes differ."""
  y = convolution(channels, 3, stride, f"{name}_conv1")(x)
  y = normalization(momentum, f"{name}_norm1")(y)
  y = keras.layers.ReLU(name=f"{name}_relu1")(y)
  y = convolution(channels, 3, 1, f"{name}_conv2")(y)
  y = normalization(momentum, f"{name}_norm2")(y)
  if stride != 1 or x.shape[-1] != channels:
    x = convolution(channels, 1, stride, f"{name}_shortcut_conv")(x)
    x = normalization(momentum, f"{name}_shortcut_norm")(x)
  x = keras.layers.Add(name=f"{name}_add")([x, y])
  return keras.layers.ReLU(name=f"{name}_relu2")(x)
