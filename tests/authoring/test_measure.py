"""Measuring the mean face, on points made up here."""

import numpy as np
from scipy.spatial.transform import Rotation

from personalized_face.authoring import control_points, measure


def _moved(points, rng):
  turn = Rotation.from_rotvec(rng.normal(size=3) * 0.1).as_matrix()
  return rng.uniform(50, 90) * points @ turn.T + rng.normal(size=3) * 100


def test_similarity_recovers_a_motion():
  rng = np.random.default_rng(0)
  points = rng.normal(size=[30, 3])
  np.testing.assert_allclose(
    measure.aligned(_moved(points, rng), points),
    points,
    atol=1e-9,  # float64, no noise
  )


def test_procrustes_mean_of_one_shape_in_many_poses():
  rng = np.random.default_rng(1)
  points = rng.normal(size=[30, 3])
  mean = measure.procrustes_mean(np.array([_moved(points, rng) for _ in range(5)]))
  np.testing.assert_allclose(measure.aligned(mean, points), points, atol=1e-9)


def test_symmetrised_finds_plane_and_partners():
  points, mirror = control_points.read_measurement(control_points.default_path())
  turn = Rotation.from_euler("yxz", [4, -3, 2], degrees=True).as_matrix()
  result, found = measure.symmetrised(points @ turn.T + [1.0, 2.0, 3.0])
  np.testing.assert_array_equal(found, mirror)
  np.testing.assert_array_equal(result[found] * [-1, 1, 1], result)
  # The CSV is rounded to 1e-5 dm; its position is free.
  shift = points.mean(0) - result.mean(0)
  np.testing.assert_allclose(result + shift, points, atol=1e-4)


def test_near_neutral_takes_shut_mouths_and_frontal_heads():
  points, _ = control_points.read_measurement(control_points.default_path())
  frames = np.stack([points] * 6)
  frames[1, 14, 1] -= 0.3  # mouth open
  frames[2] = points @ Rotation.from_euler("y", 30, degrees=True).as_matrix().T
  frames[3, [159, 386], 1] -= 0.07  # eyes shut
  np.testing.assert_array_equal(
    measure.near_neutral(frames), [True, False, False, False, True, True]
  )


def test_csv_round_trip(tmp_path):
  points, mirror = control_points.read_measurement(control_points.default_path())
  path = str(tmp_path / "face.csv")
  spread = np.zeros(478)
  measure.write_csv(path, measure.FaceMean(points, mirror, spread, [("clip", 3)]))
  again, partners = control_points.read_measurement(path)
  np.testing.assert_allclose(again, points, atol=1e-9)
  np.testing.assert_array_equal(partners, mirror)
