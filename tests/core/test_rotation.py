"""core/rotation.py against scipy and poses worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from personalized_face.core import rotation

RIGHT, UP, TOWARDS_VIEWER = np.eye(3)


def random_angles(count, seed=0):
  return np.random.default_rng(seed).uniform(-np.pi, np.pi, (count, 3))


def test_rotation_matrix_equals_scipy_extrinsic_xyz():
  angles = random_angles(50)
  ours = rotation.rotation_matrix(tf.constant(angles)).numpy()
  # float64 on both sides: only rounding differs.
  np.testing.assert_allclose(
    ours, Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-14
  )


def test_rotation_matrix_preset_pose():
  # Pitch 90: the forward axis goes down. Then yaw 90 leaves what points along y.
  matrix = rotation.rotation_matrix(
    tf.constant([np.pi / 2, np.pi / 2, 0.0], tf.float64)
  ).numpy()
  # cos(pi / 2) is 6e-17 in float64.
  np.testing.assert_allclose(matrix @ TOWARDS_VIEWER, -UP, atol=1e-15)
  # The top of the head, first tipped towards the viewer, is turned to image right.
  np.testing.assert_allclose(matrix @ UP, RIGHT, atol=1e-15)
  np.testing.assert_allclose(matrix @ RIGHT, -TOWARDS_VIEWER, atol=1e-15)


@pytest.mark.parametrize(
  ("angles", "axis", "goes_to"),
  [
    ((0.3, 0, 0), TOWARDS_VIEWER, -UP),  # pitch: nods down
    ((0, 0.3, 0), TOWARDS_VIEWER, RIGHT),  # yaw: turns to image right
    ((0, 0, 0.3), RIGHT, UP),  # roll: counter-clockwise in the image
  ],
)
def test_positive_angles_turn_as_documented(angles, axis, goes_to):
  moved = rotation.rotation_matrix(tf.constant(angles, tf.float64)).numpy() @ axis
  assert moved @ goes_to == pytest.approx(np.sin(0.3))
  assert moved @ axis == pytest.approx(np.cos(0.3))


def test_euler_from_matrix_round_trip():
  angles = random_angles(200, seed=1)
  angles[:, 1] /= 2.01  # yaw beyond a right angle has a twin with |yaw| below it
  matrices = rotation.rotation_matrix(tf.constant(angles)).numpy()
  # Near yaw = 90 degrees the angles lose half of the digits of the matrix.
  np.testing.assert_allclose(rotation.euler_from_matrix(matrices), angles, atol=1e-8)


@pytest.mark.parametrize("yaw", [np.pi / 2, -np.pi / 2])
def test_euler_from_matrix_gimbal_lock_gives_the_same_matrix(yaw):
  matrix = rotation.rotation_matrix(tf.constant([0.4, yaw, 0.9], tf.float64)).numpy()
  angles = rotation.euler_from_matrix(matrix)
  assert angles[2] == 0
  again = rotation.rotation_matrix(tf.constant(angles)).numpy()
  np.testing.assert_allclose(again, matrix, atol=1e-7)  # arcsine at its steepest


def test_transform_is_rotation_then_translation():
  rng = np.random.default_rng(2)
  points, angles = rng.normal(size=(2, 3, 5, 3)), random_angles(6).reshape(2, 3, 3)
  shift = rng.normal(size=(2, 3, 3))
  ours = rotation.transform(*map(tf.constant, (points, angles, shift))).numpy()
  for b in range(2):
    for n in range(3):
      turned = Rotation.from_euler("xyz", angles[b, n]).apply(points[b, n])
      np.testing.assert_allclose(ours[b, n], turned + shift[b, n], atol=1e-13)


def test_transform_jacobian_random():
  rng = np.random.default_rng(3)
  arguments = [tf.constant(rng.normal(size=shape)) for shape in ((4, 3), (3,), (3,))]
  theory, numeric = tf.test.compute_gradient(rotation.transform, arguments)
  for ours, reference in zip(theory, numeric, strict=True):
    # Central differences in float64, step 1e-3: error of order step^2.
    np.testing.assert_allclose(ours, reference, atol=1e-5)


def test_rotation_matrix_exception_raised():
  with pytest.raises(ValueError, match="euler"):
    rotation.rotation_matrix(tf.zeros([2, 4]))
