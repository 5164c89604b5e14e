"""Augmentation of training groups beside their place: colour, sides, what hides a face.

One draw for a group: its frames are of one person, whose albedo has one colour, and
whose face, mirrored, is that of another person in all of them. What hides it, and the
camera's noise, differ from frame to frame.
"""

import dataclasses

import gin
import tensorflow as tf

from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.types import Batch, Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what JPEG means by brightness
_LARGEST_PATCH = 0.5  # of the crop's side


@gin.configurable(module="data")
@dataclasses.dataclass(frozen=True)
class Appearance:
  """How far colours may go, and how often a group is mirrored.

  Attributes:
    brightness: at most added or taken, of the range [0, 1].
    contrast: about the group's mean, at most this share up or down.
    saturation: about grey, at most this share up or down.
    tint: of each channel, at most this share up or down.
    flip: probability of mirroring, in [0, 1].
    cover: probability that a frame has a patch of one colour over it, in [0, 1]. For
      losses that compare with what is known, not with the picture.
    noise: standard deviation of each value in the noisiest frame.
  """

  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  tint: float = 0.0
  flip: float = 0.0
  cover: float = 0.0
  noise: float = 0.0

  @property
  def changes(self) -> bool:
    """Whether anything is done at all."""
    return any(dataclasses.astuple(self))

  def apply(self, group: Batch, numbers: list) -> Batch:
    """Recolours and mirrors the frames of a group, all alike.

    Args:
      group: images [N, H, H, 3] in [0, 1], landmarks [N, 68, 2] pixels, parsing
        [N, H, H].
      numbers: two integers that fix the draw.

    Returns:
      The same shapes and types; colours clipped to [0, 1].
    """
    seeds = tf.stack([tf.cast(number, tf.int64) for number in numbers])
    # The same numbers chose the frames, and one fold more moved them (augment.py).
    seeds = tf.random.experimental.stateless_fold_in(seeds, 2)
    draw = tf.random.stateless_uniform([7], seeds)
    images = self._coloured(group.images, 2 * draw[:6] - 1)
    if self.cover or self.noise:
      images = self._hidden(images, tf.random.experimental.stateless_fold_in(seeds, 1))
    recoloured = group._replace(images=images)
    return tf.cond(
      draw[6] < self.flip, lambda: mirrored(recoloured), lambda: recoloured
    )

  def _coloured(self, images: Tensor, draw: Tensor) -> Tensor:
    """Applies six numbers in [-1, 1]."""
    mean = tf.reduce_mean(images)
    images = mean + (images - mean) * (1 + self.contrast * draw[0])
    grey = tf.reduce_sum(images * tf.constant(_LUMA), axis=-1, keepdims=True)
    images = grey + (images - grey) * (1 + self.saturation * draw[1])
    images = images * (1 + self.tint * draw[2:5]) + self.brightness * draw[5]
    return tf.clip_by_value(images, 0.0, 1.0)

  def _hidden(self, images: Tensor, seeds: Tensor) -> Tensor:
    """Patches over the frames, then noise."""
    count, side = tf.shape(images)[0], tf.cast(tf.shape(images)[1], tf.float32)
    draw = tf.random.stateless_uniform([count, 9], seeds)
    pixels = (tf.range(side) + 0.5) / side
    middle, half = draw[:, 2:4], 0.5 * _LARGEST_PATCH * draw[:, :2]
    inside = tf.abs(pixels - middle[..., tf.newaxis]) < half[..., tf.newaxis]
    patch = inside[:, 0, :, tf.newaxis] & inside[:, 1, tf.newaxis, :]
    patch &= (draw[:, 4] < self.cover)[:, tf.newaxis, tf.newaxis]
    colour = draw[:, tf.newaxis, tf.newaxis, 5:8]
    images = tf.where(patch[..., tf.newaxis], colour, images)
    noise = tf.random.stateless_normal(tf.shape(images), seeds + 1)
    strength = self.noise * draw[:, 8, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.clip_by_value(images + strength * noise, 0.0, 1.0)


def mirrored(group: Batch) -> Batch:
  """The group in a mirror; landmarks keep their meaning, and our labels have no sides.

  Pixel centres are at .5, so x becomes H - x.
  """
  side = group.images.shape[2]
  landmarks = tf.gather(group.landmarks, MIRRORED_68, axis=1)
  return group._replace(
    images=group.images[:, :, ::-1],
    landmarks=landmarks * [-1.0, 1.0] + [float(side), 0.0],
    parsing=group.parsing[:, :, ::-1],
  )
