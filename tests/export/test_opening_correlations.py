import numpy as np

from personalized_face.data.detector import NUM_MESH_POINTS, landmarks_68
from personalized_face.export.openings import opening_correlations


def _mesh(mouth: float, eye: float) -> np.ndarray:
  """A mesh of 478 points whose 68 have these openings, pixels."""
  numbered = np.repeat(np.arange(NUM_MESH_POINTS, dtype=np.float32)[:, None], 3, 1)
  ibug = landmarks_68(numbered)[:, 0].astype(int)
  points = np.zeros([NUM_MESH_POINTS, 3], np.float32)
  points[ibug] = np.random.default_rng(0).uniform(0, 100, [68, 3])
  points[ibug[62]], points[ibug[66]] = (50, 70, 0), (50, 70 + mouth, 0)
  for upper, lower, x in ((37, 41, 20), (38, 40, 25), (43, 47, 70), (44, 46, 75)):
    points[ibug[upper]], points[ibug[lower]] = (x, 40, 0), (x, 40 + eye, 0)
  return points


class _Detector:
  """Sees in a picture the mesh that the list has at the number in its first pixel."""

  def __init__(self, meshes):
    self._meshes = meshes

  def detect(self, picture):
    return self._meshes[picture[0, 0, 0]]


def test_opening_correlations_follow_the_driver():
  openings = [(2.0, 4.0), (5.0, 3.0), (11.0, 5.0), (3.0, 1.0)]
  pictures = [np.full([2, 2, 3], i, np.uint8) for i in range(4)]
  meshes = [_mesh(mouth, eye) for mouth, eye in openings]
  driven = np.stack([landmarks_68(_mesh(3 * m, 9 - e)) for m, e in openings])
  metrics = opening_correlations(pictures, _Detector(meshes), driven, 4)
  assert metrics["mouth_opening_correlation"] == 1.0
  assert metrics["right_eye_opening_correlation"] == -1.0
  assert metrics["left_eye_opening_correlation"] == -1.0
  # A frame without a detected face takes no part.
  driven[1], meshes[1] = driven[2], None
  metrics = opening_correlations(pictures, _Detector(meshes), driven, 4)
  assert metrics["mouth_opening_correlation"] == 1.0
  assert metrics["frames_with_detected_face"] == 3 and metrics["frames"] == 4


def test_opening_correlations_of_what_is_not_known():
  pictures = [np.zeros([2, 2, 3], np.uint8)]
  nothing, face = _Detector([None]), _Detector([_mesh(1, 1)])
  driven = landmarks_68(_mesh(1, 1))[np.newaxis]
  for given in ((None, face, driven), (pictures, nothing, driven)):
    metrics = opening_correlations(*given, 1)
    assert metrics["mouth_opening_correlation"] is None
    assert metrics["frames_with_detected_face"] == 0
  metrics = opening_correlations(pictures, face, None, 1)
  assert metrics["left_eye_opening_correlation"] is None
  assert metrics["frames_with_detected_face"] == 1
