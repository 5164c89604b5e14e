import numpy as np
import pytest

from personalized_face.metrics.landmarks import (
  area_under_curve,
  cumulative_errors,
  eye_opening,
  mouth_opening,
  nme_percent,
)


def test_nme_percent_preset():
  reference = np.zeros((2, 68, 2))
  reference[:, 0] = (10, 0)
  reference[:, 1] = (10, 40)  # boxes of 10 x 40: 20
  predicted = reference.copy()
  predicted[0] += (0, 2)  # every point 2 px off: 10 %
  predicted[1, 5] += (3, 4)  # one point of 68, 5 px off
  np.testing.assert_allclose(
    nme_percent(predicted, reference), [10, 100 * 5 / 68 / 20], rtol=1e-12
  )


def test_nme_percent_random_equals_loop():
  predicted, reference = np.random.default_rng(0).uniform(0, 224, size=(2, 3, 4, 68, 2))
  expected = np.zeros((3, 4))
  for i in np.ndindex(3, 4):
    width, height = (np.ptp(reference[i][:, axis]) for axis in (0, 1))
    distances = [np.hypot(*(predicted[i][p] - reference[i][p])) for p in range(68)]
    expected[i] = 100 * np.mean(distances) / np.sqrt(width * height)
  np.testing.assert_allclose(nme_percent(predicted, reference), expected, rtol=1e-12)


def test_nme_percent_normalises_by_the_reference():
  reference = np.random.default_rng(0).uniform(0, 224, size=(68, 2))
  larger = reference + 2 * (reference - reference.mean(axis=0))
  ratio = nme_percent(larger, reference) / nme_percent(reference, larger)
  np.testing.assert_allclose(ratio, 3, rtol=1e-12)


def test_nme_percent_exception_raised():
  with pytest.raises(ValueError, match="span no area"):
    nme_percent(np.ones((68, 2)), np.zeros((68, 2)))
  with pytest.raises(ValueError, match="predicted has shape"):
    nme_percent(np.ones((68, 3)), np.zeros((68, 2)))


def test_cumulative_errors_preset():
  errors = np.array([1.0, 2.0, 2.0, np.nan])
  np.testing.assert_array_equal(
    cumulative_errors(errors, [0.5, 1, 2, 9]), [0, 0.25, 0.75, 0.75]
  )


def test_area_under_curve_preset():
  # 0.5 from an error at half the limit; none past it or without a face.
  assert area_under_curve([0.0, 0.04, 0.08, 0.2, np.nan], 0.08) == (1 + 0.5) / 5


def test_area_under_curve_is_the_integral_of_the_curve():
  errors = np.random.default_rng(0).gamma(2.0, 2.0, size=200)
  thresholds = (np.arange(20000) + 0.5) / 20000 * 7
  # The midpoint rule misplaces each step of the curve by at most 7 / 40000.
  np.testing.assert_allclose(
    area_under_curve(errors, 7.0),
    cumulative_errors(errors, thresholds).mean(),
    atol=1 / 40000,
  )


def _face():
  landmarks = np.zeros((68, 2))
  landmarks[[36, 39, 42, 45]] = [(60, 90), (80, 90), (120, 90), (140, 90)]
  landmarks[[37, 38, 41, 40]] = [(65, 87), (75, 87), (65, 93), (75, 91)]  # 6 and 4
  landmarks[[43, 44, 47, 46]] = [(125, 89), (135, 89), (125, 91), (135, 91)]  # 2 and 2
  landmarks[[62, 66]] = [(100, 140), (100, 160)]
  return landmarks


def test_mouth_opening_preset():
  np.testing.assert_allclose(mouth_opening(_face()), 20 / 80, rtol=1e-12)
  frames = np.stack([_face(), 3 * _face()])  # does not depend on the scale
  np.testing.assert_allclose(mouth_opening(frames), [0.25, 0.25], rtol=1e-12)


def test_eye_opening_preset():
  # Right: (6 + 4) / 2 over 20; left: 2 over 20.
  np.testing.assert_allclose(eye_opening(_face()[None]), [[0.25, 0.1]], rtol=1e-12)


def test_openings_exception_raised():
  for metric in (mouth_opening, eye_opening):
    with pytest.raises(ValueError, match="landmarks has shape"):
      metric(np.zeros((5, 98, 2)))
