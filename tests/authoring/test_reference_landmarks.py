"""The measured face laid on the reference's 68 landmarks."""

import numpy as np
import pytest

from personalized_face.authoring import control_points, reference_landmarks
from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.errors import UserError
from personalized_face.metrics.alignment import align

FLIP = np.array([-1, 1, 1])


@pytest.fixture(scope="module")
def reference():
  return reference_landmarks.read_landmarks(reference_landmarks.default_path())


@pytest.fixture(scope="module")
def measured():
  return control_points.read_measurement(control_points.default_path())


def test_mirror_table_is_an_involution(reference):
  mirror = np.array(reference_landmarks.MIRROR68)
  np.testing.assert_array_equal(mirror[mirror], np.arange(68))
  np.testing.assert_allclose(reference[mirror], reference * FLIP, atol=1e-3)


def test_fit_reaches_the_landmarks(measured, reference):
  points, mirror = measured
  fitted = reference_landmarks.fit_to_landmarks(points, reference)
  gap = align(reference, fitted.landmarks, True)(reference) - fitted.landmarks
  rms = 100 * np.sqrt((gap**2).sum(-1).mean())
  # Millimetres. What is left is the sliding of brows and lip edges along themselves.
  assert rms < 2.5
  np.testing.assert_allclose(fitted.points[mirror], fitted.points * FLIP, atol=1e-9)
  # The pupils stay an adult's distance apart: 63 mm, sd 3.6 (Dodgson 2004).
  iris = fitted.points[[regions.LEFT_IRIS_CENTRE, regions.RIGHT_IRIS_CENTRE]]
  assert abs(np.linalg.norm(iris[0] - iris[1]) - 0.63) < 0.036


def test_fit_ignores_pose_and_size_of_the_reference(measured, reference):
  points, _ = measured
  c, s = np.cos(0.3), np.sin(0.3)
  nod = 2 * np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
  moved = reference @ nod + [0, 4, -2]
  first = reference_landmarks.fit_to_landmarks(points, reference)
  second = reference_landmarks.fit_to_landmarks(points, moved)
  np.testing.assert_allclose(first.points, second.points, atol=1e-9)


def test_fitting_again_moves_little(measured, reference):
  points, _ = measured
  once = reference_landmarks.fit_to_landmarks(points, reference).points
  twice = reference_landmarks.fit_to_landmarks(once, reference).points
  first, second = (
    np.sqrt((d**2).sum(-1).mean()) for d in (once - points, twice - once)
  )
  # The rest is the alignment, which follows the points that were moved.
  assert second < first / 2


def test_unreadable_landmarks(tmp_path):
  with pytest.raises(UserError, match="landmark file"):
    reference_landmarks.read_landmarks(str(tmp_path / "none.csv"))
  path = tmp_path / "short.csv"
  path.write_text("landmark,x,y,z\n0,0,0,0\n")
  with pytest.raises(UserError, match="instead of 68"):
    reference_landmarks.read_landmarks(str(path))
