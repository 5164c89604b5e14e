import numpy as np
import pytest
from PIL import Image
from toy_clip import (
  FACE,
  FPS,
  HEIGHT,
  SIZE,
  WIDTH,
  SquareTrackingSystem,
  StubDetector,
  expected_square_centre,
  picture,
  straight_path,
  toy_system,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonGeometry
from personalized_face.data.crop import LANDMARK_BOX_FRACTION, Square
from personalized_face.data.video import Frame, read_frames
from personalized_face.inference.follow import _is_lost
from personalized_face.inference.track import (
  FaceTracker,
  Tracker,
  find_faces,
  squares_of,
  track_video,
)


@pytest.fixture(scope="module")
def system():
  return toy_system(system_class=SquareTrackingSystem)


@pytest.fixture(scope="module")
def geometry(system):
  """The template's, B = 1."""
  template = system.template
  return PersonGeometry(
    template.vertices[np.newaxis],
    template.blendshape_deltas.transpose(1, 0, 2)[np.newaxis],
  )


def _frames(centres):
  return [Frame(i / FPS, picture(centre)) for i, centre in enumerate(centres)]


def _centres(boxes):
  return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_track_video_follows_by_its_own_landmarks_alone(system, geometry, tmp_path):
  path = straight_path(20)
  write_clip(tmp_path / "clip.mp4", path)
  detector = StubDetector()
  frames = read_frames(str(tmp_path / "clip.mp4"), None)
  clip = track_video(system, frames, detector, geometry=geometry, check_every=0)
  assert detector.calls == clip.num_detections == 1
  assert clip.crops.shape == (20, SIZE, SIZE, 3) and clip.crops.dtype == np.uint8
  motion = clip.motion
  assert motion.frame_size == (HEIGHT, WIDTH)
  # Timestamps are rounded to milliseconds over a second.
  assert motion.fps == pytest.approx(FPS, rel=2e-3)
  # A square follows the face of the frame before, half smoothed: 2 px a frame leave it
  # up to 2 / (1 - 0.5) = 4 px behind, and rounding to pixels adds 1.
  error = _centres(motion.boxes) - expected_square_centre(path)
  assert np.abs(error).max() < 5
  assert error[5:, 0].max() < 0  # behind, not ahead
  sides = motion.boxes[:, 2] - motion.boxes[:, 0]
  # The template's depth changes its size on the picture by 4 %; pixels by as much.
  np.testing.assert_allclose(sides, FACE / LANDMARK_BOX_FRACTION, rtol=0.12)


def test_track_video_asks_the_detector_again_after_a_loss(system, geometry):
  jump = np.concatenate([straight_path(6), [(100, 20)] * 6])
  detector = StubDetector()
  clip = track_video(system, _frames(jump), detector, geometry=geometry)
  # The crop of frame 6 has no square left, so its landmarks are NaN: asked at frame 7.
  assert detector.calls == 2
  assert np.isnan(clip.landmarks[6]).all() and not np.isnan(clip.landmarks[7]).any()
  error = _centres(clip.motion.boxes)[7:] - expected_square_centre((100, 20))
  assert np.abs(error).max() < 2


def test_track_video_waits_where_the_face_was_last_seen(system, geometry):
  centres = [(60, 50)] * 3 + [None] * 3 + [(62, 50)] * 2
  detector = StubDetector()
  clip = track_video(system, _frames(centres), detector, geometry=geometry)
  assert len(clip.crops) == 8
  np.testing.assert_array_equal(clip.motion.boxes[4], clip.motion.boxes[5])
  assert detector.calls == 1 + 3  # frames 4 and 5 in vain, 6 with success
  assert np.isfinite(clip.landmarks[6:]).all()


def test_track_video_starts_at_the_first_face(system, geometry):
  centres = [None, None, (60, 50), (60, 50)]
  clip = track_video(system, _frames(centres), StubDetector(), geometry=geometry)
  assert clip.first_frame == 2 and len(clip.crops) == 2
  np.testing.assert_allclose(clip.motion.times, [2 / FPS, 3 / FPS])


def test_track_video_checks_bring_a_strayed_square_back(system, geometry):
  # A geometry that is a third too large makes the square grow.
  huge = PersonGeometry(geometry.neutral * 1.35, geometry.displacements)
  frames = _frames([(60, 50)] * 9)
  free = track_video(system, frames, StubDetector(), geometry=huge, check_every=0)
  held = track_video(system, frames, StubDetector(), geometry=huge, check_every=3)
  assert free.num_detections == 1 and held.num_detections == 3
  sides = [clip.motion.boxes[:, 2] - clip.motion.boxes[:, 0] for clip in (free, held)]
  right = FACE / LANDMARK_BOX_FRACTION
  assert sides[0][-1] > 1.25 * right
  np.testing.assert_allclose(sides[1][::3], right, rtol=0.05)  # whole pixels


def test_track_video_checks_that_agree_change_nothing(system, geometry):
  frames = _frames(straight_path(8))
  free = track_video(system, frames, StubDetector(), geometry=geometry, check_every=0)
  held = track_video(system, frames, StubDetector(), geometry=geometry, check_every=2)
  assert held.num_detections == 4
  np.testing.assert_array_equal(free.motion.boxes, held.motion.boxes)


def test_track_video_detector_leads_where_asked(system, geometry):
  """A tracker that takes the head for twice as far away cannot pull the square away."""
  huge = PersonGeometry(2 * geometry.neutral, 2 * geometry.displacements)
  frames = _frames(straight_path(8))
  led = track_video(system, frames, StubDetector(), geometry=huge, check_every=1)
  assert led.num_detections == 8
  sides = led.motion.boxes[:, 2] - led.motion.boxes[:, 0]
  np.testing.assert_allclose(sides, FACE / LANDMARK_BOX_FRACTION, rtol=0.05)  # pixels


def test_track_video_checks_keep_to_the_person_who_is_tracked(system, geometry):
  """Somebody else, found first in the whole picture, does not take over."""

  class Distracted(StubDetector):
    def detect(self, image):
      points = super().detect(image)
      if self.calls > 1 and image.shape == (HEIGHT, WIDTH, 3):
        return points + np.float32([50, 0, 0])
      return points

  frames = _frames([(40, 50)] * 6)
  clip = track_video(system, frames, Distracted(), geometry=geometry, check_every=2)
  assert clip.num_detections == 3
  error = _centres(clip.motion.boxes) - expected_square_centre((40, 50))
  assert np.abs(error).max() < 1.5  # whole pixels


def test_face_tracker_says_where_the_face_is_lost(system, geometry):
  centres = [None, (60, 50), (60, 50), None, None, (62, 50)]
  tracker = FaceTracker(system, StubDetector(), geometry)
  tracker.warm_up()
  assert tracker.num_detections == 0
  faces = [tracker(picture(centre)) for centre in centres]
  # In frame 3 the tracker sees no square, in frame 4 the detector neither.
  assert [face and face.seen for face in faces] == [
    None,
    True,
    True,
    False,
    False,
    True,
  ]
  assert faces[4].square == faces[3].square


def test_face_tracker_asks_in_each_frame_after_a_check_in_vain(system, geometry):
  """A tracker that goes on in a picture without a face does so unseen."""
  blind = StubDetector()
  tracker = FaceTracker(system, blind, geometry, check_every=3)
  seen = [tracker(picture((60, 50))).seen for _ in range(3)]
  detect, blind.detect = blind.detect, lambda image: None
  seen += [tracker(picture((60, 50))).seen for _ in range(2)]
  blind.detect = detect
  seen += [tracker(picture((60, 50))).seen for _ in range(2)]
  assert seen == [True, True, True, False, False, True, True]
  # Frames 0, 3 (in vain), 4 (in vain), 5 and, on the grid of 3 again, 6.
  assert tracker.num_detections == 5


def test_track_video_exception_raised_without_a_face(system, geometry):
  with pytest.raises(UserError, match="No face was found in any of the 3 frames of x"):
    track_video(system, _frames([None] * 3), StubDetector(), "x.mp4", geometry=geometry)


def test_tracker_matches_the_system():
  system = toy_system(seed=3)
  crops = np.random.default_rng(0).integers(0, 256, [2, SIZE, SIZE, 3], np.uint8)
  images = crops[np.newaxis].astype(np.float32) / 255
  outputs = system(images)
  tracking, landmarks = Tracker(system)(crops, outputs.geometry)
  # The same sums in another order, at values up to 100 px.
  np.testing.assert_allclose(landmarks, outputs.landmarks[0], atol=1e-3)
  for value, expected in zip(tracking, outputs.tracking, strict=True):
    np.testing.assert_allclose(value, expected[0], atol=1e-5)


@pytest.mark.parametrize(
  ("square", "lost"),
  [
    (Square(10, 10, 50), False),
    (Square(20, 12, 45), False),
    (Square(10, 10, 20), True),  # tiny
    (Square(-41, 10, 50), True),  # outside on the left
    (Square(45, 10, 50), True),  # a leap
    (Square(-40, -40, 150), True),  # grown threefold
  ],
)
def test_is_lost_preset(square, lost):
  assert _is_lost(square, Square(10, 10, 50), (100, 100, 3)) == lost


def test_squares_of_inverts_box():
  squares = [Square(1.5, -2.0, 30.0), Square(4.0, 5.0, 6.0)]
  assert list(squares_of(np.array([s.box for s in squares]))) == squares


def test_find_faces_leaves_out_photos_without_one(tmp_path):
  paths = [str(tmp_path / f"{i}.png") for i in range(3)]
  for path, centre in zip(paths, [(40, 50), None, (80, 40)], strict=True):
    Image.fromarray(picture(centre)).save(path)
  found, squares, crops = find_faces(paths, StubDetector(), 32)
  assert found == [paths[0], paths[2]]
  assert crops.shape == (2, 32, 32, 3)
  centre = (squares[1].left + squares[1].side / 2, squares[1].top + squares[1].side / 2)
  # Float32 boxes.
  np.testing.assert_allclose(centre, expected_square_centre((80, 40)), atol=1e-3)
  with pytest.raises(UserError, match="1.png"):
    find_faces(paths[1:2], StubDetector(), 32)
