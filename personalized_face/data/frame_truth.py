"""What a record says is true of its frames, for training and tests.

    features of a record -> frame_truth -> FrameTruth -> in_crop -> Known

The truth is told in the camera of the clip; a network that sees the crop alone can only
know it in the crop's own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.spherical_harmonics import rotated_light
from personalized_face.core.types import Known, Tensor, Tracking
from personalized_face.data.truth import MAP_SIDE, MAPS, SHAPES


class FrameTruth(NamedTuple):
  """What is true of the N frames of a group; with leading dimension B in a batch."""

  tracking: Tracking  # [N, ...], in the camera of the clip, not of the crop
  camera: Tensor  # [N, 3] focal length, principal point x, y; pixels of the crop
  # [M, M, 3] of the person, see truth.DESCRIPTIONS; () where only the frames count.
  neutral_correction: "Tensor | tuple[()]" = ()
  static_albedo: "Tensor | tuple[()]" = ()


def frame_truth(
  record: dict[str, Tensor], chosen: Tensor, num_blendshapes: int
) -> FrameTruth:
  """The truth of the chosen frames of a parsed record.

  Args:
    record: by `record_format.feature_specs`.
    chosen: [N] integer.
    num_blendshapes: K.

  Returns:
    Of one group, static shapes.
  """

  def of(name: str, shape: Sequence[int]) -> Tensor:
    values = tf.reshape(record[f"truth_{name}"], [-1, *shape])
    return tf.ensure_shape(tf.gather(values, chosen), [chosen.shape[0], *shape])

  shapes = {**SHAPES, "expression": (num_blendshapes,)}
  values = {name: of(name, shape) for name, shape in shapes.items()}
  camera = values.pop("camera")
  maps = [
    tf.ensure_shape(record[f"truth_{name}"], [MAP_SIDE, MAP_SIDE, depth])
    for name, depth in MAPS.items()
  ]
  return FrameTruth(Tracking(**values), camera, *maps)


def in_crop(truth: FrameTruth, size: int) -> Known:
  """The truth as the camera of the crops sees it, which looks at their middle.

  Args:
    truth: of one group.
    size: side of the crops, pixels.
  """
  focal, x, y = tf.unstack(truth.camera, axis=-1)
  # The ray through the crop's middle, in the camera of the clip.
  ray = tf.stack([(size / 2 - x) / focal, (y - size / 2) / focal, -tf.ones_like(x)], -1)
  turn = _turn_ahead(tf.linalg.normalize(ray, axis=-1)[0])
  tracking = truth.tracking
  return Known(
    tracking.expression,
    turn @ rotation_matrix(tracking.rotation),
    rotated_light(tracking.light, turn),
    truth.neutral_correction,
    truth.static_albedo,
  )


def _turn_ahead(rays: Tensor) -> Tensor:
  """The smallest rotation of each unit ray [N, 3] to (0, 0, -1), [N, 3, 3]."""
  x, y, z = tf.unstack(rays, axis=-1)
  zero = tf.zeros_like(x)
  # Rodrigues about ray x ahead = (-y, x, 0).
  cross = tf.reshape(
    tf.stack([zero, zero, x, zero, zero, y, -x, -y, zero], axis=-1), [-1, 3, 3]
  )
  return tf.eye(3) + cross + cross @ cross / (1 - z)[:, tf.newaxis, tf.newaxis]
