"""How far lids and lips are apart, against the detected landmarks.

A squint moves four points of 68 by a pixel: in their mean squared distance that weighs
less than the coefficient which would explain it costs in the l1 of w, and the eyes stay
as they are. So the gaps count for themselves, as the relative landmarks of Filntisis et
al., "Visual speech-aware perceptual 3D facial expression reconstruction", 2022, and
Feng et al., "Learning an animatable detailed 3D face model", 2021, do.
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.losses.landmark import REFERENCE_SIZE
from personalized_face.losses.reductions import sum_over_frames

# iBUG: the lids of the right and of the left eye, the inner lips; upper, lower.
_UPPER = (37, 38, 43, 44, 61, 62, 63)
_LOWER = (41, 40, 47, 46, 67, 66, 65)


def opening_loss(predicted: Tensor, target: Tensor, image_size: int) -> Tensor:
  """The mean over seven pairs of the squared difference of their gaps, 224 px pixels.

  sum_n  mean_k ||(p_upper - p_lower) - (q_upper - q_lower)||_2^2 (224 / image_size)^2

  Args:
    predicted: [B, N, 68, 2] pixels of the crop.
    target: [B, N, 68, 2] pixels of the crop.
    image_size: side of the crop, pixels.

  Returns:
    Scalar, square pixels of a 224 px crop.
  """
  shapes.check(predicted, "[B, N, 68, 2]", "predicted")
  shapes.check(target, "[B, N, 68, 2]", "target")
  error = (predicted - target) * (REFERENCE_SIZE / image_size)
  gaps = tf.gather(error, _UPPER, axis=-2) - tf.gather(error, _LOWER, axis=-2)
  squared = tf.reduce_sum(tf.square(gaps), axis=-1)
  return sum_over_frames(tf.reduce_mean(squared, axis=-1))
