"""Head pose: Euler angles, rotation matrices and the rigid transform of Section 3.3.

The composition is stated here, and only here:

  R = R_z(roll) R_y(yaw) R_x(pitch)

applied to column vectors, in camera axes (x right in the image, y up, z towards the
viewer), right-handed, radians. So, for a face that looks into the camera,

  pitch > 0  the face turns down (its forward axis +z moves to -y),
  yaw   > 0  the face turns to image right, the person's own left,
  roll  > 0  the head tilts counter-clockwise in the image.

With scipy this is `Rotation.from_euler("xyz", [pitch, yaw, roll])` (extrinsic axes).
"""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor


def rotation_matrix(euler: Tensor) -> Tensor:
  """The matrix R = R_z(roll) R_y(yaw) R_x(pitch).

  Args:
    euler: [..., 3] pitch, yaw, roll in radians, any range.

  Returns:
    [..., 3, 3] orthonormal, determinant 1. Smooth in the angles everywhere.

  Raises:
    ValueError: if the last dimension is not 3.
  """
  euler = tf.convert_to_tensor(euler)
  shapes.check(euler, "[..., 3]", "euler")
  sin_x, sin_y, sin_z = tf.unstack(tf.sin(euler), axis=-1)
  cos_x, cos_y, cos_z = tf.unstack(tf.cos(euler), axis=-1)
  rows = (
    (
      cos_z * cos_y,
      cos_z * sin_y * sin_x - sin_z * cos_x,
      cos_z * sin_y * cos_x + sin_z * sin_x,
    ),
    (
      sin_z * cos_y,
      sin_z * sin_y * sin_x + cos_z * cos_x,
      sin_z * sin_y * cos_x - cos_z * sin_x,
    ),
    (-sin_y, cos_y * sin_x, cos_y * cos_x),
  )
  return tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)


def transform(points: Tensor, euler: Tensor, translation: Tensor) -> Tensor:
  """Model space to camera space: R p + t.

  Args:
    points: [..., P, 3] decimetres, model space.
    euler: [..., 3] radians.
    translation: [..., 3] decimetres, camera space.

  Returns:
    [..., P, 3] decimetres, camera space.
  """
  shapes.check(points, "[..., P, 3]", "points")
  # (R p)^T = p^T R^T: the points are rows.
  rotated = tf.matmul(points, rotation_matrix(euler), transpose_b=True)
  return rotated + translation[..., tf.newaxis, :]


def euler_from_matrix(matrix: np.ndarray) -> np.ndarray:
  """The angles whose `rotation_matrix` is `matrix`; numpy.

  Args:
    matrix: [..., 3, 3] rotation matrices.

  Returns:
    [..., 3] pitch, yaw, roll in radians; yaw in [-pi/2, pi/2]. At |yaw| = pi/2 pitch
    and roll turn about the same axis (gimbal lock): roll is then 0.
  """
  matrix = np.asarray(matrix, np.float64)
  shapes.check(matrix, "[..., 3, 3]", "matrix")
  cos_yaw = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
  yaw = np.arctan2(-matrix[..., 2, 0], cos_yaw)
  locked = cos_yaw < 1e-7  # below it, both arctan2 of a free pose are noise
  pitch = np.where(
    locked,
    np.arctan2(-matrix[..., 1, 2], matrix[..., 1, 1]),
    np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]),
  )
  roll = np.where(locked, 0.0, np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]))
  return np.stack([pitch, yaw, roll], axis=-1)
