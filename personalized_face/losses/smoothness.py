"""L_sd, Eq. 6: Laplacian smoothness of the identity's correction."""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor


def shape_smoothness_loss(neutral_offsets: Tensor, edges: np.ndarray) -> Tensor:
  """Eq. 6: sum_v sum_{u in N_v} ||Delta_0(v) - Delta_0(u)||_2^2, averaged over B.

  The double sum meets every edge from both ends, so it is twice the sum over edges.

  Args:
    neutral_offsets: [B, V, 3] F(Delta_0^S), decimetres.
    edges: [E, 2] int, unique undirected edges (core.topology.edges).

  Returns:
    Scalar, square decimetres.
  """
  shapes.check(neutral_offsets, "[B, V, 3]", "neutral_offsets")
  ends = [tf.gather(neutral_offsets, edges[:, i], axis=1) for i in (0, 1)]
  squared = tf.reduce_sum(tf.math.squared_difference(*ends), axis=[1, 2])
  return 2.0 * tf.reduce_mean(squared)
