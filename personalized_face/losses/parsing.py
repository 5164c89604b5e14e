"""L_pa, Eq. 5: the rendered parsing map against the segmented picture."""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import PARSING_CLASSES, Tensor
from personalized_face.losses.reductions import sum_over_frames

_ONE = [PARSING_CLASSES.index(name) for name in ("background", "skin")]
_OTHERS = [i for i in range(len(PARSING_CLASSES)) if i not in _ONE]


def parsing_loss(predicted: Tensor, labels: Tensor, outline: bool = True) -> Tensor:
  """Eq. 5: sum_n ||I_n^pa - I^_n^pa||, as a mean of squares.

  Per image the mean over all pixels of the squared difference summed over the classes,
  the labels one-hot (DESIGN section 5): 2 where a pixel is surely the wrong class.

  Args:
    predicted: [B, N, H, W, P] class probabilities, background off the mesh.
    labels: [B, N, H, W] int, index into core.types.PARSING_CLASSES.
    outline: False takes skin and background for one class, so that the border of the
      labels' face is not the mesh's: labels made from a detector's oval end below the
      hairline and beyond the cheeks, which pulls the mesh's rim there.

  Returns:
    Scalar.
  """
  shapes.check(predicted, "[B, N, H, W, P]", "predicted")
  shapes.check(labels, "[B, N, H, W]", "labels")
  target = tf.one_hot(labels, predicted.shape[-1], dtype=predicted.dtype)
  if not outline:
    predicted, target = _without_outline(predicted), _without_outline(target)
  squared = tf.reduce_sum(tf.math.squared_difference(predicted, target), axis=-1)
  return sum_over_frames(tf.reduce_mean(squared, axis=[2, 3]))


def _without_outline(probabilities: Tensor) -> Tensor:
  """[..., P] -> [..., P - 1], background and skin together first."""
  one = tf.reduce_sum(tf.gather(probabilities, _ONE, axis=-1), -1, keepdims=True)
  return tf.concat([one, tf.gather(probabilities, _OTHERS, axis=-1)], axis=-1)
