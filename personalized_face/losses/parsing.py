"""L_pa, Eq. 5: the rendered parsing map against the segmented picture."""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.losses.reductions import sum_over_frames


def parsing_loss(predicted: Tensor, labels: Tensor) -> Tensor:
  """Eq. 5: sum_n ||I_n^pa - I^_n^pa||, as a mean of squares.

  Per image the mean over all pixels of the squared difference summed over the classes,
  the labels one-hot (DESIGN section 5): 2 where a pixel is surely the wrong class.

  Args:
    predicted: [B, N, H, W, P] class probabilities, background off the mesh.
    labels: [B, N, H, W] int, index into core.types.PARSING_CLASSES.

  Returns:
    Scalar.
  """
  shapes.check(predicted, "[B, N, H, W, P]", "predicted")
  shapes.check(labels, "[B, N, H, W]", "labels")
  target = tf.one_hot(labels, predicted.shape[-1], dtype=predicted.dtype)
  squared = tf.reduce_sum(tf.math.squared_difference(predicted, target), axis=-1)
  return sum_over_frames(tf.reduce_mean(squared, axis=[2, 3]))
