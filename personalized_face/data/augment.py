"""Augmentation of training groups: the crop moved, scaled and turned a little.

The square round a face is found anew in each frame, from landmarks that err by a few
pixels. A tracker that has only seen faces in the middle of their crops knows nothing of
one that is off the centre, and cannot lead the crop of the next frame.
"""

import dataclasses
import math

import gin
import tensorflow as tf

from personalized_face.core.spherical_harmonics import rotated_light
from personalized_face.core.types import Batch, Tensor
from personalized_face.data.frame_truth import FrameTruth


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
    offset, scale, angle = self._draw(count, side, numbers)
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

    return group._replace(
      images=move(group.images, "BILINEAR"),
      landmarks=landmarks,
      parsing=move(group.parsing[..., tf.newaxis], "NEAREST")[..., 0],
    )

  def apply_to_truth(self, truth: FrameTruth, numbers: list, side: int) -> FrameTruth:
    """What is true of the frames once `apply` has moved them by the same numbers.

    A moved crop is what a moved camera sees: a factor is one of the focal length, a
    shift one of the principal point, and a turn of the picture about that point one of
    the camera about its axis.

    Args:
      truth: of one group.
      numbers: two integers that fix the draw.
      side: of the crops, pixels.
    """
    count = truth.camera.shape[0]
    offset, scale, angle = self._draw(count, side, numbers)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    focal, x, y = tf.unstack(truth.camera, axis=-1)
    x, y = x - side / 2, y - side / 2
    camera = tf.stack(
      [
        scale * focal,
        side / 2 + offset[0] + scale * (cosine * x - sine * y),
        side / 2 + offset[1] + scale * (sine * x + cosine * y),
      ],
      axis=-1,
    )
    pitch, yaw, roll = tf.unstack(truth.tracking.rotation, axis=-1)
    # y points down in the picture and up in space. R_z(roll) is the outermost factor.
    rotation = tf.stack([pitch, yaw, roll - angle], axis=-1)
    right, up, ahead = tf.unstack(truth.tracking.translation, axis=-1)
    translation = tf.stack(
      [cosine * right + sine * up, cosine * up - sine * right, ahead], axis=-1
    )
    zero, one = tf.zeros_like(angle), tf.ones_like(angle)
    turn = tf.stack([cosine, sine, zero, -sine, cosine, zero, zero, zero, one], axis=-1)
    tracking = truth.tracking._replace(
      rotation=rotation,
      translation=translation,
      light=rotated_light(truth.tracking.light, tf.reshape(turn, [count, 3, 3])),
    )
    return truth._replace(tracking=tracking, camera=camera)

  def _draw(
    self, count: int, side: int, numbers: list
  ) -> tuple[Tensor, Tensor, Tensor]:
    """Offset [2, N] pixels, factor [N] and angle [N] radians of each frame."""
    seeds = tf.stack([tf.cast(number, tf.int64) for number in numbers])
    # One more fold: the same numbers already chose the frames.
    seeds = tf.random.experimental.stateless_fold_in(seeds, 1)
    draw = tf.random.stateless_uniform([4, count], seeds, -1.0, 1.0)
    angle = draw[3] * (self.degrees * math.pi / 180)
    return draw[:2] * self.shift * side, tf.exp(draw[2] * self.log_scale), angle
