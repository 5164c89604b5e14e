"""L_lm: the 68 projected landmarks against the detected ones (Section 3.4)."""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import NUM_CONTOUR, NUM_LANDMARKS, Tensor
from personalized_face.losses.reductions import sum_over_frames

# The paper's crop; its weight of 0.1 acts on pixels of this size (DESIGN section 5).
REFERENCE_SIZE = 224


def landmark_weights(jaw_weight: float = 0.5) -> np.ndarray:
  """[68] float32: the jaw contour at `jaw_weight`, the others at 1.

  Detectors place the contour on the silhouette, which is no fixed point of the mesh.
  """
  weights = np.ones(NUM_LANDMARKS, np.float32)
  weights[:NUM_CONTOUR] = jaw_weight
  return weights


def landmark_loss(
  predicted: Tensor, target: Tensor, image_size: int, weights: np.ndarray
) -> Tensor:
  """The weighted mean over landmarks of the squared distance, in 224 px pixels.

  sum_n  sum_l weight_l ||p_l - q_l||_2^2 (224 / image_size)^2 / sum_l weight_l

  Args:
    predicted: [B, N, L, 2] pixels of the crop.
    target: [B, N, L, 2] pixels of the crop.
    image_size: side of the crop, pixels.
    weights: [L] >= 0, not all 0; see `landmark_weights`.

  Returns:
    Scalar, square pixels of a 224 px crop.
  """
  shapes.check(predicted, "[B, N, L, 2]", "predicted")
  shapes.check(target, "[B, N, L, 2]", "target")
  scale = REFERENCE_SIZE / image_size
  squared = tf.reduce_sum(tf.square((predicted - target) * scale), axis=-1)
  shares = np.asarray(weights, np.float64) / np.sum(weights, dtype=np.float64)
  return sum_over_frames(
    tf.reduce_sum(squared * tf.constant(shares, squared.dtype), axis=-1)
  )
