"""The detector's contour on whole heads: it turns with the head, and has two sides."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.seen_contour import seen_contour

MIRRORED = list(MIRRORED_68)
_TOUCHED = [*range(7), *range(10, 17)]


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
  moved = seen_contour(tf.constant(points, tf.float32)).numpy() - points
  across = points - points[MIRRORED]
  return (moved * across).sum(-1)[_TOUCHED] / (across**2).sum(-1)[_TOUCHED]


def test_only_the_sides_of_the_contour_move_and_along_the_faces_axis():
  points = _face(yaw_deg=15, roll_deg=20)
  moved = seen_contour(tf.constant(points, tf.float32)).numpy() - points
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
    moved = seen_contour(points)
    total = tf.reduce_sum(moved[..., 3, :])
  np.testing.assert_allclose(
    moved[0, 1], seen_contour(points[0, 1]), rtol=1e-6, atol=1e-6
  )
  gradient = tape.gradient(total, points).numpy()[0, 1]
  # The yaw is taken as given: only the point and its mirror image count.
  assert (gradient[3] > 1).all() and (gradient[13] < 0).all()
  assert not gradient[[0, 16]].any()
