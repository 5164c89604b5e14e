import numpy as np
import pytest

from personalized_face.core import rotation
from personalized_face.data import specs
from personalized_face.data.crop import face_square, to_crop
from personalized_face.data.detector import landmarks_68
from personalized_face.data.thinning import Thinning, face_state, head_pose


def _mean_face():
  path = f"{specs.folder()}/default_template/control_points.csv"
  rows = [r for r in open(path) if r[0].isdigit()]
  return np.array([[float(x) for x in row.split(",")[1:4]] for row in rows])


def _project(points, euler=(0.0, 0.0, 0.0)):
  """68 landmarks [68, 2] of a mesh in a pose, pixels of the 224 crop."""
  matrix = rotation.rotation_matrix(np.array(euler)).numpy()
  camera = points @ matrix.T + np.array([0, 0, -10.0])
  pixels = 112 + 1015.0 * camera[:, :2] / -camera[:, 2:] * [1, -1]
  return landmarks_68(pixels)


@pytest.mark.parametrize(
  "degrees", [(0, 0, 0), (12, 0, 0), (0, 25, 0), (0, 0, -20), (-8, -30, 10)]
)
def test_head_pose_preset(degrees):
  euler = np.radians(degrees)
  found = head_pose(_project(_mean_face(), euler))
  # The points are those of the model, rounded to 0.05 mm: a twentieth of a degree.
  np.testing.assert_allclose(np.degrees(found), degrees, atol=0.2)


def test_head_pose_does_not_follow_the_mouth():
  points = _mean_face()
  landmarks = _project(points)
  moved = landmarks.copy()
  moved[48:] += [9.0, 6.0]  # the lips go sideways and down
  moved[:17] += [4.0, 12.0]  # so does the jaw
  np.testing.assert_array_equal(head_pose(moved), head_pose(landmarks))


def test_head_pose_of_annotated_faces(shared_data):
  """Against AFLW2000-3D's Pose_Para: (pitch, yaw, roll) with all signs turned."""
  scipy_io = pytest.importorskip("scipy.io")
  for name in ("image00050", "image00516", "image01038", "image02283", "image03614"):
    data = scipy_io.loadmat(shared_data / "aflw2000" / "dev" / f"{name}.mat")
    landmarks = data["pt3d_68"][:2].T
    found = head_pose(to_crop(landmarks, face_square(landmarks)))
    want = -data["Pose_Para"][0, :3]
    # A mean face on nine points: within 10 degrees (largest seen: 8.6).
    assert np.abs(np.degrees(found - want)).max() < 10, name


def _clip(count: int = 40):
  """Neutral frames, but for: 0-4 mouth open, 5-9 smiling, 10-14 head turned."""
  points = _mean_face()
  landmarks = np.stack([_project(points)] * count)
  landmarks[0:5, 65:68, 1] += 10
  landmarks[5:10, 54, 0] += 4
  landmarks[5:10, 48, 0] -= 4
  for i in range(10, 15):
    landmarks[i] = _project(points, np.radians((0, 20, 0)))
  return landmarks


def test_face_state_preset():
  state = face_state(_clip())
  eyes = np.linalg.norm(_clip()[20, 36] - _clip()[20, 45])
  np.testing.assert_allclose(state.mouth_opening[0] * eyes, 10, atol=1.0)  # shut: 0.7
  np.testing.assert_allclose((state.mouth_width[7] - state.mouth_width[20]) * eyes, 8)
  np.testing.assert_allclose(np.degrees(state.yaw[12]), 20, atol=0.2)


def test_neutral_needs_expression_and_pose():
  neutral = Thinning().neutral(_clip())
  np.testing.assert_array_equal(neutral, np.arange(40) >= 15)


def test_keep_drops_about_the_probability_of_the_neutral_ones():
  landmarks = np.concatenate([_clip(), np.stack([_clip()[20]] * 360)])
  kept = Thinning(probability=0.3).keep(landmarks, "a")
  assert kept[:15].all()
  # 385 draws at 0.3: three standard deviations are 0.07.
  assert abs((~kept[15:]).mean() - 0.3) < 0.07


def test_keep_is_fixed_by_seed_and_clip():
  rule = Thinning()
  first = rule.keep(_clip(), "a")
  np.testing.assert_array_equal(first, rule.keep(_clip(), "a"))
  assert (first != rule.keep(_clip(), "b")).any()
  assert (first != Thinning(seed=1).keep(_clip(), "a")).any()


def test_keep_at_least():
  rule = Thinning(probability=1.0, keep_at_least=30)
  kept = rule.keep(_clip(), "a")
  assert kept.sum() == 30 and kept[:15].all()
  assert Thinning(probability=1.0, keep_at_least=0).keep(_clip(), "a").sum() == 15
  assert Thinning(probability=0.0).keep(_clip(), "a").all()


def test_thinning_exception_raised():
  with pytest.raises(ValueError, match="probability"):
    Thinning(probability=1.5)
