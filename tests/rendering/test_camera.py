"""rendering/camera.py."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.rendering.camera import Camera, project

CAMERA = Camera(100, 200, 500.0, 90.0, 60.0)


def test_project_preset():
  points = [[0, 0, -10], [1, 0, -10], [0, 1, -10], [1, 1, -5], [2, -2, -20.0]]
  expected = [[90, 60], [140, 60], [90, 10], [190, -40], [140, 110]]
  np.testing.assert_allclose(project(tf.constant(points), CAMERA), expected, atol=1e-4)


def test_for_crop_scales_with_the_size():
  full, half = Camera.for_crop(224), Camera.for_crop(112)
  assert (full.focal_pixels, full.principal_x, full.near) == (1015.0, 112.0, 1.0)
  assert (half.focal_pixels, half.principal_y, half.height) == (507.5, 56.0, 112)
  points = tf.constant([[0.3, -0.4, -9.0]])
  np.testing.assert_allclose(
    project(points, full), 2 * project(points, half), rtol=1e-6
  )


def test_project_behind_the_near_plane_is_finite():
  points = tf.constant([[1.0, 0, 0], [1, 0, 5], [1, 0, -0.5]])
  with tf.GradientTape() as tape:
    tape.watch(points)
    pixels = project(points, CAMERA)
  np.testing.assert_array_equal(pixels[:, 0], 590)  # as if at 1 dm
  assert np.isfinite(tape.gradient(pixels, points)).all()


def test_project_jacobian_random():
  points = np.random.default_rng(0).uniform([-1, -1, -12], [1, 1, -8], (2, 3, 3))
  theory, numeric = tf.test.compute_gradient(
    lambda p: project(p, CAMERA), [tf.constant(points)], delta=1e-5
  )
  # Slopes of about 50 pixels per decimetre; central differences in float64.
  np.testing.assert_allclose(theory[0], numeric[0], atol=1e-6)


def test_project_exception_raised():
  with pytest.raises(ValueError, match="points_camera"):
    project(tf.zeros([4, 2]), CAMERA)
