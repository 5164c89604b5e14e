import numpy as np
import pytest

from personalized_face.data.crop import landmark_box
from personalized_face.data.detector import (
  MediaPipeDetector,
  detect_in_box,
  landmarks_68,
  track_faces,
)
from personalized_face.data.video import Frame, read_frames, read_image


class BrightBoxDetector:
  """A mesh spread over the bright part of a picture; remembers what it was shown."""

  def __init__(self):
    self.shapes = []

  def detect(self, image):
    self.shapes.append(image.shape[:2])
    rows, columns = np.nonzero(image[..., 0] > 128)
    if not len(rows):
      return None
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()]) + 1
    share = np.stack([np.linspace(0, 1, 478), np.linspace(1, 0, 478)], -1)
    points = low + share * (high - low)
    return np.concatenate([points, np.zeros([478, 1])], -1).astype(np.float32)


def _frame(*boxes, size=(120, 160), time=0.0):
  image = np.zeros([*size, 3], np.uint8)
  for x0, y0, x1, y1 in boxes:
    image[y0:y1, x0:x1] = 255
  return Frame(time, image)


def test_tracking_looks_at_the_previous_box_only():
  """Supp. Section 3: the whole picture once, afterwards the previous landmarks' box."""
  face, elsewhere = (40, 30, 60, 50), (130, 90, 158, 118)
  detector = BrightBoxDetector()
  frames = [_frame(face), _frame((43, 30, 63, 50), elsewhere)]
  found = [tracked.points for tracked in track_faces(frames, detector, box_margin=0.5)]
  np.testing.assert_allclose(landmark_box(found[0]), face)
  # The second bright box is outside of what the detector saw.
  np.testing.assert_allclose(landmark_box(found[1]), (43, 30, 63, 50))
  assert detector.shapes == [(120, 160), (40, 40)]


def test_tracking_recovers_after_a_loss():
  detector = BrightBoxDetector()
  frames = [
    _frame((10, 10, 30, 30)),
    _frame(time=0.1),
    # Six sides away: three seconds are time enough.
    _frame((130, 90, 150, 110), time=3.1),
    _frame((131, 90, 151, 110), time=3.2),
  ]
  found = [tracked.points for tracked in track_faces(frames, detector)]
  assert found[1] is None
  np.testing.assert_allclose(landmark_box(found[2]), (130, 90, 150, 110))
  whole, part = (120, 160), (40, 40)
  assert detector.shapes == [whole, part, whole, whole, part]


def test_of_two_faces_the_tracked_one_stays():
  """While it is hidden, the other one is a stranger; then it is followed again."""
  mine, other = (10, 10, 30, 30), (130, 90, 150, 110)
  frames = [
    _frame(mine),
    _frame(other, time=0.1),
    _frame(other, time=0.2),
    _frame((14, 10, 34, 30), time=0.3),
    _frame((16, 10, 36, 30), other, time=0.4),
  ]
  found = list(track_faces(frames, BrightBoxDetector()))
  assert [t.stranger for t in found] == [False, True, True, False, False]
  assert [t.points is None for t in found] == [False, True, True, False, False]
  np.testing.assert_allclose(landmark_box(found[4].points), (16, 10, 36, 30))


def test_a_jump_in_size_is_another_face():
  """The box's face vanished and a bigger one is in its place: look at the picture."""
  detector = BrightBoxDetector()
  frames = [_frame((40, 40, 60, 60)), _frame((30, 30, 70, 70))]
  found = [tracked.points for tracked in track_faces(frames, detector)]
  np.testing.assert_allclose(landmark_box(found[1]), (30, 30, 70, 70))
  assert detector.shapes[-1] == (120, 160)


def test_a_mesh_outside_the_picture_is_none():
  class Wild:
    def detect(self, image):
      return np.full([478, 3], -50.0, np.float32)

  assert [t.points for t in track_faces([_frame()], Wild())] == [None]


@pytest.mark.parametrize("box", [(-10, -5, 20, 30), (140, 100, 175, 130)])
def test_detect_in_box_reaches_outside(box):
  """Points come back in the picture's pixels also where the box leaves it."""
  x, y = (4, 7) if box[0] < 0 else (150, 110)
  image = _frame((x, y, x + 5, y + 6)).image
  detector = BrightBoxDetector()
  points = detect_in_box(detector.detect, image, box, 0.25)
  np.testing.assert_allclose(landmark_box(points), (x, y, x + 5, y + 6))
  side = round(1.5 * max(box[2] - box[0], box[3] - box[1]))
  assert detector.shapes == [(side, side)]


def test_detect_in_box_off_the_picture_is_none():
  image = _frame((0, 0, 160, 120)).image
  assert (
    detect_in_box(BrightBoxDetector().detect, image, (900, 900, 950, 950), 0) is None
  )


@pytest.fixture(scope="module")
def mediapipe():
  detector = MediaPipeDetector()
  yield detector
  detector.close()


def test_mediapipe_finds_no_face_in_noise(mediapipe):
  noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
  assert mediapipe.detect(noise) is None


def test_mediapipe_landmarks_are_where_annotated(mediapipe, shared_data):
  """AFLW2000-3D's 68 annotated points against ours, and so the order of IBUG68."""
  scipy_io = pytest.importorskip("scipy.io")
  photo = shared_data / "aflw2000" / "dev" / "image00050.jpg"
  want = scipy_io.loadmat(photo.with_suffix(".mat"))["pt3d_68"][:2].T
  points = landmarks_68(mediapipe.detect(read_image(str(photo))))
  box = landmark_box(want)
  size = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
  error = np.linalg.norm(points - want, axis=-1) / size
  # Detectors differ by 4-9 px at brows and 12 px at the jaw on such pictures (DESIGN
  # section 5): 5 % in the mean; a wrong order gives tens of percent.
  assert error.mean() < 0.05
  assert error[36:].mean() < 0.04  # eyes and mouth, where they agree


def test_mediapipe_finds_a_small_face(mediapipe, shared_data):
  """A face of a twentieth of the picture: the long-range model and a second look."""
  photo = read_image(str(shared_data / "aflw2000" / "dev" / "image00050.jpg"))
  wide = np.full([1800, 2400, 3], 90, np.uint8)
  wide[200:650, 1700:2150] = photo
  near, far = mediapipe.detect(photo), mediapipe.detect(wide)
  # Two runs of the detector at other scales: within 2 % of the face.
  size = np.ptp(near[:, 0])
  assert np.abs(far[:, :2] - (1700, 200) - near[:, :2]).mean() < 0.02 * size


def test_mediapipe_tracks_every_frame_of_a_clip(mediapipe, shared_data):
  clip = str(shared_data / "videos" / "dev" / "smirk_dafoe.mp4")
  found = [tracked.points for tracked in track_faces(read_frames(clip), mediapipe)]
  assert len(found) == 33 and all(points is not None for points in found)


def test_mediapipe_is_less_sure_of_a_covered_face(mediapipe, shared_data):
  """The confidence that the occlusion gate goes by, and the count of faces."""
  photo = read_image(str(shared_data / "aflw2000" / "dev" / "image00050.jpg"))
  clear = mediapipe.look(photo)
  covered = photo.copy()
  covered[:, photo.shape[1] // 2 :] = 128
  half = mediapipe.look(covered)
  assert clear.confidence > 0.8 and clear.faces == 1
  # The same model on a picture with half of the face gone.
  assert half is None or half.confidence < clear.confidence - 0.1
  assert mediapipe.look(np.concatenate([photo, photo], axis=1)).faces == 2
