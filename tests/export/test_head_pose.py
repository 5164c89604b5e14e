import numpy as np

from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.types import Tracking
from personalized_face.export.head_pose import source_pose
from personalized_face.face_model.files import Motion
from personalized_face.rendering.camera import Camera, project

CROP = Camera.for_crop(224)


def make_motion(boxes, rotation=None, translation=None, size=(480, 640)) -> Motion:
  """A motion of the given squares [F, 4]; the rest at random within a head's range."""
  count, rng = len(boxes), np.random.default_rng(0)
  if rotation is None:
    rotation = rng.normal(0, 0.2, [count, 3])
  if translation is None:
    translation = rng.normal(0, 0.1, [count, 3]) + [0, 0, -10]
  tracking = Tracking(
    rng.uniform(0, 1, [count, 3]).astype(np.float32),
    np.asarray(rotation, np.float32),
    np.asarray(translation, np.float32),
    np.ones([count, 9, 3], np.float32),
  )
  times = np.arange(count) / 30
  return Motion(times, tracking, np.asarray(boxes, np.float32), size, 30.0)


def test_source_pose_of_a_square_in_the_middle_is_the_crop_s():
  motion = make_motion([[208, 128, 432, 352]] * 3)
  pose = source_pose(motion, CROP)
  expected = rotation_matrix(motion.tracking.rotation)
  np.testing.assert_allclose(pose.rotations.as_matrix(), expected, atol=1e-6)
  np.testing.assert_allclose(pose.translations, motion.tracking.translation, atol=1e-6)
  assert pose.camera == Camera(480, 640, 1015.0, 320.0, 240.0)


def test_source_pose_shows_the_head_where_the_crops_do():
  # Squares that wander by 60 px and change in size by 30 %.
  rng = np.random.default_rng(1)
  corner, side = rng.uniform([150, 70], [250, 170], [8, 2]), rng.uniform(170, 230, 8)
  boxes = np.concatenate([corner, corner + side[:, np.newaxis]], axis=1)
  motion = make_motion(boxes)
  pose = source_pose(motion, CROP)
  head = rng.uniform(-0.8, 0.8, [40, 3])  # decimetres
  tracking = motion.tracking
  for i, (x, y, _, _) in enumerate(boxes):
    matrix = rotation_matrix(tracking.rotation[i]).numpy()
    crop_space = (head @ matrix.T + tracking.translation[i]).astype(np.float32)
    seen = project(crop_space, CROP).numpy() * side[i] / 224 + [x, y]
    whole = pose.rotations[i].apply(head) + pose.translations[i]
    shown = project(whole.astype(np.float32), pose.camera).numpy()
    # The perspective of a head at another depth, and the stretching towards the
    # border: 3 px of a face of some 170 px, where a wrong sign makes 20.
    assert np.abs(shown - seen).max() < 3.0, i
    assert np.abs((shown - seen).mean(axis=0)).max() < 1.5, i
