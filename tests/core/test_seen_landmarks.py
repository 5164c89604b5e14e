"""Where the detector sees landmarks on whole heads: it turns with the head."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.seen_landmarks import seen_landmarks

MIRRORED = list(MIRRORED_68)
_TOUCHED = [*range(7), *range(10, 17)]
_NONE = np.zeros([68, 3], np.float32)


def _face(yaw_deg=0.0, roll_deg=0.0):
  """68 points that are their own mirror image, in the camera's space."""
  rng = np.random.default_rng(0)
  points = rng.normal(size=[68, 3])
  points = (points + points[MIRRORED] * [-1, 1, 1]) / 2
  # Point 0 is on the person's right, at negative x.
  points[:17, 0] = np.linspace(-0.7, 0.7, 17)
  angles = np.radians([0.0, yaw_deg, roll_deg])
  return points @ rotation_matrix(angles).numpy().T + [0.1, 0.0, -10.0]


def _shares(points):
  """How far each point moved, in the distance to its mirror image."""
  moved = seen_landmarks(tf.constant(points, tf.float32), _NONE).numpy() - points
  across = points - points[MIRRORED]
  return (moved * across).sum(-1)[_TOUCHED] / (across**2).sum(-1)[_TOUCHED]


def test_only_the_sides_of_the_contour_move_and_along_the_faces_axis():
  points = _face(yaw_deg=15, roll_deg=20)
  moved = seen_landmarks(tf.constant(points, tf.float32), _NONE).numpy() - points
  rest = np.setdiff1d(np.arange(68), _TOUCHED)
  np.testing.assert_allclose(moved[rest], 0, atol=1e-5)
  across = points - points[MIRRORED]
  np.testing.assert_allclose(np.cross(moved, across), 0, atol=1e-5)


def test_from_the_front_both_sides_move_out_alike():
  shares = _shares(_face())
  np.testing.assert_allclose(shares, shares[::-1], atol=1e-5)
  assert (shares > 0.015).all() and (shares < 0.04).all()


@pytest.mark.parametrize("yaw", [10, 30])
def test_the_side_towards_the_camera_moves_more(yaw):
  """Yaw > 0 turns the person's right, points 0 to 6, to the camera."""
  right, left = np.split(_shares(_face(yaw)), 2)
  front = np.split(_shares(_face()), 2)[0]
  assert (right > 1.5 * front).all() and (left < 0.5 * front[::-1]).all()
  np.testing.assert_allclose(_shares(_face(-yaw)), _shares(_face(yaw))[::-1], atol=1e-5)


def test_leading_dimensions_and_gradients():
  points = tf.constant(np.stack([_face(), _face(20)])[np.newaxis], tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(points)
    moved = seen_landmarks(points, _NONE)
    total = tf.reduce_sum(moved[..., 3, :])
  np.testing.assert_allclose(
    moved[0, 1], seen_landmarks(points[0, 1], _NONE), rtol=1e-6, atol=1e-6
  )
  gradient = tape.gradient(total, points).numpy()[0, 1]
  # The yaw is taken as given: only the point and its mirror image count.
  assert (gradient[3] > 1).all() and (gradient[13] < 0).all()
  assert not gradient[[0, 16]].any()


def _moved_by(offsets, points):
  """What the offsets add, in the camera's space."""
  points = tf.constant(points, tf.float32)
  return (seen_landmarks(points, offsets) - seen_landmarks(points, _NONE)).numpy()


def test_offsets_are_along_the_heads_axes_in_shares_of_its_width():
  offsets = np.random.default_rng(1).normal(0, 0.01, [68, 3]).astype(np.float32)
  points = _face()
  points[27] = [0.1, 0.3, -9.0]  # the bridge, straight ahead of the contour's middle
  points[[0, 16], 1:] = [0.3, -10.0]
  np.testing.assert_allclose(_moved_by(offsets, points), 1.4 * offsets, atol=1e-5)
  angles = np.radians([25.0, 20.0, -15.0])
  turn = rotation_matrix(angles).numpy()
  turned = 2 * points @ turn.T
  expected = 2.8 * offsets @ turn.T
  np.testing.assert_allclose(_moved_by(offsets, turned), expected, atol=2e-5)


def test_offsets_take_the_pose_as_given():
  offsets = np.full([68, 3], 0.01, np.float32)
  points = tf.constant(_face(20), tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(points)
    total = tf.reduce_sum(seen_landmarks(points, offsets)[30])
  gradient = tape.gradient(total, points).numpy()
  np.testing.assert_allclose(gradient[30], 1)
  assert not np.delete(gradient, 30, axis=0).any()


def test_offsets_of_another_number_of_landmarks_are_named():
  points = tf.constant(_face(), tf.float32)
  with pytest.raises(ValueError, match="offsets has shape"):
    seen_landmarks(points, np.zeros([5, 3], np.float32))
