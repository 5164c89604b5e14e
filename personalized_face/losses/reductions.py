"""What the terms share: a norm that can be differentiated at 0, and the reductions.

Reductions (DESIGN section 5): per-frame terms are summed over the N frames of a person,
as Eq. 4 and 5 print it, and everything is averaged over the B persons. Across replicas
the trainer averages once more.
"""

from collections.abc import Sequence

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor


def l2_norm(vectors: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
  """Euclidean norm along `axis`, whose gradient at the zero vector is 0.

  Args:
    vectors: any shape, float.
    axis: the axes of one vector; they are removed.
  """
  return safe_sqrt(tf.reduce_sum(tf.square(vectors), axis=axis))


def safe_sqrt(squared: Tensor) -> Tensor:
  """Square root, whose gradient at 0 is 0.

  sqrt has an infinite slope at 0, and 0 * inf would make the gradient NaN. So sqrt
  only ever sees positive numbers: zeros are replaced by 1 before it and their result
  by 0 after it, which leaves every other value and gradient exact (an epsilon under
  the root would not).

  Args:
    squared: any shape, float, >= 0.
  """
  # Not "squared > 0": that is False for NaN too, and would pass it off as 0.
  zero = squared == 0
  root = tf.sqrt(tf.where(zero, tf.ones_like(squared), squared))
  return tf.where(zero, tf.zeros_like(root), root)


def sum_over_frames(per_frame: Tensor) -> Tensor:
  """[B, N] to the scalar that is the sum over frames, averaged over persons."""
  shapes.check(per_frame, "[B, N]", "per_frame")
  return tf.reduce_mean(tf.reduce_sum(per_frame, axis=1))
