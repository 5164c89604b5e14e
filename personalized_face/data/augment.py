"""Augmentation of training groups: the crop moved, scaled and turned a little.

The square round a face is found anew in each frame, from landmarks that err by a few
pixels. A tracker that has only seen faces in the middle of their crops knows nothing of
one that is off the centre, and cannot lead the crop of the next frame.
"""

import dataclasses
import math

import gin
import tensorflow as tf

from personalized_face.core.types import Batch, Tensor


@gin.configurable(module="data")
@dataclasses.dataclass(frozen=True)
class Jitter:
  """How far a crop may move; each frame is drawn for itself, evenly in the range.

  Attributes:
    shift: at most along x and along y, share of the crop's side.
    log_scale: natural logarithm of the factor, at most up or down.
    degrees: in the plane of the picture, at most to either side.
  """

  shift: float = 0.0
  log_scale: float = 0.0
  degrees: float = 0.0

  @property
  def moves(self) -> bool:
    """Whether anything is done at all."""
    return any(dataclasses.astuple(self))

  def apply(self, group: Batch, numbers: list) -> Batch:
    """Moves the picture, the labels and the landmarks of each frame alike.

    Args:
      group: images [N, H, H, 3], landmarks [N, 68, 2] pixels, parsing [N, H, H].
      numbers: two integers that fix the draw.

    Returns:
      The same shapes and types. What comes in from outside the crop repeats its rim.
    """
    count, side = group.images.shape[0], group.images.shape[1]
    seeds = tf.stack([tf.cast(number, tf.int64) for number in numbers])
    # One more fold: the same numbers already chose the frames.
    seeds = tf.random.experimental.stateless_fold_in(seeds, 1)
    draw = tf.random.stateless_uniform([4, count], seeds, -1.0, 1.0)
    offset = draw[:2] * self.shift * side
    scale = tf.exp(draw[2] * self.log_scale)
    angle = draw[3] * (self.degrees * math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)  # [N]
    # p' = c + offset + scale R (p - c) for the landmarks.
    turn = scale * tf.stack([[cosine, -sine], [sine, cosine]])  # [2, 2, N]
    centre = side / 2
    landmarks = tf.einsum("ijn,nlj->nli", turn, group.landmarks - centre)
    landmarks += centre + tf.transpose(offset)[:, tf.newaxis]
    # A picture is asked the other way round, where each new pixel comes from, and
    # counts its pixels by their indices: the middle is half a pixel less.
    back = tf.stack([[cosine, sine], [-sine, cosine]]) / scale
    middle = centre - 0.5
    start = middle - tf.einsum("ijn,jn->in", back, middle + offset)
    zero = tf.zeros_like(angle)
    rows = [back[0, 0], back[0, 1], start[0], back[1, 0], back[1, 1], start[1]]
    transforms = tf.stack([*rows, zero, zero], axis=-1)  # [N, 8]

    def move(pictures: Tensor, interpolation: str) -> Tensor:
      moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=transforms,
        output_shape=[side, side],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="NEAREST",
      )
      return tf.ensure_shape(moved, pictures.shape)

    return Batch(
      images=move(group.images, "BILINEAR"),
      landmarks=landmarks,
      parsing=move(group.parsing[..., tf.newaxis], "NEAREST")[..., 0],
    )
