"""Eq. 1 and Eq. 2 for one person, frame after frame."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from personalized_face.core.types import PersonGeometry, Tensor, Tracking
from personalized_face.systems.personalized_face import PersonalizedFace


def weighted_sum(values: Tensor) -> Callable[[Tensor], Tensor]:
  """sum_i w_i x_i of one person's values, turned once so that a frame is one product.

  FaceModel takes the values as they lie in memory, which is right for a batch of
  persons; for one person's frame this takes less than half of the time.

  Args:
    values: [1, P, K, 3] of the K blendshapes at P places.

  Returns:
    What takes w [1, K] to [1, P, 3].
  """
  _, places, count, _ = values.shape
  # [K, 3P]: for TFLite the product is a fully connected layer.
  rows = np.asarray(values)[0].transpose(1, 0, 2).reshape(count, -1)
  return lambda expression: tf.reshape(expression @ rows, [1, places, 3])


def decode_function(
  system: PersonalizedFace, geometry: PersonGeometry
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
  """From expression, rotation and translation to vertices [1, V, 3] in camera space.

  Args:
    system: for the head's pose.
    geometry: of the person, B = 1; of all vertices, or of some.
  """
  neutral, changes = np.asarray(geometry.neutral), weighted_sum(geometry.displacements)

  def decode(expression: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    frame = Tracking(None, rotation, translation, None)
    return system.camera_vertices(neutral + changes(expression), frame)

  return decode
