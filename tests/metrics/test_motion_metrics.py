import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from personalized_face.metrics.motion import (
  blendshape_cosines,
  correlation,
  euler_errors_degrees,
  expression_mae,
  jitter,
  rotation_error_degrees,
  still_stretch,
)


def test_expression_mae_preset():
  predicted = np.array([[[0.1, 0.5]], [[0.3, 0.5]]])
  reference = np.array([[[0.0, 0.5]], [[0.6, 0.75]]])
  np.testing.assert_allclose(
    expression_mae(predicted, reference), [0.2, 0.125], rtol=1e-12
  )


def test_blendshape_cosines_preset():
  reference = np.zeros((4, 2, 3))
  reference[:3, 0, 0] = 2.0
  displacements = np.zeros((4, 2, 3))
  displacements[0, 0, 0] = 5.0  # longer, the same way
  displacements[1, 0, 0], displacements[1, 1, 1] = 1.0, 1.0  # another vertex joins in
  displacements[2, 0, 0] = -1.0
  expected = [1, np.sqrt(0.5), -1, np.nan]
  np.testing.assert_allclose(blendshape_cosines(displacements, reference), expected)


def test_euler_errors_degrees_preset():
  predicted = np.radians([[10, -20, 179], [0, 0, -350]])
  reference = np.radians([[12, 20, -179], [0, 0, 10]])
  # The short way round; rounding of degrees and radians.
  np.testing.assert_allclose(
    euler_errors_degrees(predicted, reference), [[2, 40, 2], [0, 0, 0]], atol=1e-12
  )


def test_rotation_error_degrees_random_equals_scipy():
  first, second = np.random.default_rng(0).uniform(-1.5, 1.5, size=(2, 50, 3))
  turns = [Rotation.from_euler("xyz", euler) for euler in (first, second)]
  expected = np.degrees((turns[0].inv() * turns[1]).magnitude())
  # The arcsin of the chord loses digits as the angle nears 180 degrees.
  np.testing.assert_allclose(rotation_error_degrees(first, second), expected, rtol=1e-7)


def test_rotation_error_degrees_preset():
  found = rotation_error_degrees(np.radians([[0, 30, 0], [0, 0, 1e-4]]), np.zeros(3))
  np.testing.assert_allclose(found, [30, 1e-4], rtol=1e-9)


def test_correlation_preset():
  first = np.array([0.0, 1.0, 2.0])
  np.testing.assert_allclose(correlation(first, 5 - 2 * first), -1, rtol=1e-12)
  np.testing.assert_allclose(correlation(first, [0, 1, 0]), 0, atol=1e-12)
  # Sum of products 1.5, of squares 2 and 1.5 (means 1 and 0.5): 1.5 / sqrt(3).
  np.testing.assert_allclose(
    correlation(first, [0, 0, 1.5]), 1.5 / np.sqrt(3), rtol=1e-12
  )


def test_correlation_of_a_constant_is_zero():
  for constant in (0.5, 0.1):  # 0.1 is not exact: its mean may differ by rounding
    assert correlation(np.full(7, constant), np.arange(7)) == 0
    assert correlation(np.arange(7), np.full(7, constant)) == 0


def test_motion_metrics_exception_raised():
  with pytest.raises(ValueError, match="shapes"):
    correlation(np.zeros(3), np.zeros(4))
  with pytest.raises(ValueError, match="shapes"):
    expression_mae(np.zeros((3, 56)), np.zeros((1, 56)))


def test_jitter_preset():
  points = np.zeros([5, 2, 2])
  points[:, 0, 0] = 3.0 * np.arange(5)  # at a constant speed
  points[2, 1, 1] = 0.5  # one tremble: 0.5, -1, 0.5
  # 2 over 3 second differences of 2 points with 2 coordinates.
  assert jitter(points) == pytest.approx(2 / 12, abs=1e-15)


def test_jitter_of_noise_is_what_the_docstring_says():
  noise = np.random.default_rng(0).normal(0, 0.3, [2000, 8, 2])
  # Some 30,000 dependent samples: within a percent.
  assert jitter(noise) == pytest.approx(np.sqrt(12 / np.pi) * 0.3, rel=0.02)


def test_jitter_exception_raised():
  with pytest.raises(ValueError, match="2 frames have no second difference"):
    jitter(np.zeros([2, 4, 2]))


def test_still_stretch_is_where_the_points_rest():
  points = np.repeat(np.sin(np.arange(20.0))[:, np.newaxis, np.newaxis], 3, axis=1)
  points[7:12] = 0.4
  assert still_stretch(points, 5) == slice(7, 12)
  assert still_stretch(points, 100) == slice(0, 20)
  # Moving on slowly is not resting: the place counts, not the jitter.
  points[7:12, :, 0] += np.arange(5)[:, np.newaxis]
  assert still_stretch(points, 5) != slice(7, 12)
