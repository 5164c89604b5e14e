"""Where the detector sees a template's landmarks, found again from what it said."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from toy_clip import small_template

from personalized_face.core.errors import UserError
from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.seen_landmarks import seen_landmarks
from personalized_face.core.types import Tracking
from personalized_face.data.detector import NUM_MESH_POINTS, TrackedFrame, landmarks_68
from personalized_face.data.video import write_video
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, save_motion, save_person
from personalized_face.pipelines import landmark_calibration
from personalized_face.rendering.camera import Camera, project

FRAMES, SIDE, LEFT, TOP = 6, 96.0, 20.0, 4.0
CAMERA = Camera.for_crop(224)


@pytest.fixture
def offsets():
  """Some millimetres, mirror images of each other."""
  some = np.random.default_rng(0).normal(0, 0.02, [68, 3])
  return (some + some[list(MIRRORED_68)] * [-1, 1, 1]).astype(np.float32) / 2


def _poses(count):
  """Heads that turn and nod."""
  rng = np.random.default_rng(1)
  return rng.uniform(-0.6, 0.6, [count, 3]), rng.uniform(-0.2, 0.2, [count, 3])


def _points(count):
  """[F, 68, 3] of a face, in the camera's space."""
  face = np.random.default_rng(2).uniform(-0.7, 0.7, [68, 3])
  face[[0, 16, 27]] = [[-0.7, 0, 0], [0.7, 0, 0], [0, 0.2, 0.7]]
  angles, shifts = _poses(count)
  turned = np.stack([face @ rotation_matrix(a).numpy().T for a in angles])
  return turned + shifts[:, np.newaxis] + [0, 0, -10]


def test_offsets_are_found_again(offsets):
  points = _points(40)
  detected = project(seen_landmarks(tf.constant(points), offsets), CAMERA).numpy()
  found = landmark_calibration.solve_offsets(points, detected, CAMERA)
  # The ridge holds back some 2 % of what the frames say, more of the depth.
  np.testing.assert_allclose(found.offsets, offsets, atol=0.004)
  np.testing.assert_allclose(found.offsets[:, :2], offsets[:, :2], atol=0.002)
  assert found.frames == 40
  assert found.before > 2 and found.after < 0.3  # pixels


def test_pixels_are_those_of_a_224_crop(offsets):
  points = _points(40)
  small = Camera.for_crop(112)
  at = [
    project(seen_landmarks(tf.constant(points), offsets), c) for c in (CAMERA, small)
  ]
  first, second = (
    landmark_calibration.solve_offsets(points, seen.numpy(), camera)
    for seen, camera in zip(at, (CAMERA, small), strict=True)
  )
  np.testing.assert_allclose(first.offsets, second.offsets, atol=1e-6)
  assert first.before == pytest.approx(second.before)
  assert first.after == pytest.approx(second.after, rel=1e-3)


def test_what_frontal_frames_do_not_say_stays_zero(offsets):
  points = np.tile(_points(1)[:1], [5, 1, 1])
  points[:] = points[0] @ rotation_matrix(_poses(1)[0][0]).numpy()
  points += [0, 0, -10] - points.mean(axis=(0, 1))
  detected = project(seen_landmarks(tf.constant(points), offsets), CAMERA).numpy()
  found = landmark_calibration.solve_offsets(points, detected, CAMERA)
  assert np.abs(found.offsets[:, 2]).max() < 0.3 * np.abs(offsets[:, 2]).max()


def _write_clip(folder, template):
  """A clip of the bare template, and the landmarks' true places in its crops."""
  model = FaceModel(template)
  person = model.template_person()
  person = type(person)(*(np.asarray(value)[0] for value in person))
  angles, shifts = _poses(FRAMES)
  tracking = Tracking(
    expression=np.random.default_rng(3).uniform(0, 0.5, [FRAMES, 3]),
    rotation=angles,
    translation=shifts + [0, 0, -10],
    light=np.ones([FRAMES, 9, 3]),
  )
  box = np.array([LEFT, TOP, LEFT + SIDE, TOP + SIDE])
  times = np.arange(FRAMES) / 5
  motion = Motion(times, tracking, np.tile(box, [FRAMES, 1]), (128, 128), 5.0)
  save_person(str(folder / "toy_person.npz"), person, template)
  save_motion(str(folder / "toy_motion.npz"), motion, template)
  grey = [np.full([128, 128, 3], 60, np.uint8)] * FRAMES
  write_video(str(folder / "toy.mp4"), iter(grey), 5.0)
  geometry = model.geometry(
    *model.vertex_offsets(type(person)(*(v[np.newaxis] for v in person)))
  )
  weights = tracking.expression.astype(np.float32)[np.newaxis]
  shapes = np.asarray(model.shape(geometry, weights))[0]
  return np.stack(
    [
      shape[template.landmark_vertices] @ rotation_matrix(angle).numpy().T + shift
      for shape, angle, shift in zip(shapes, angles, tracking.translation, strict=True)
    ]
  )


def _detections(seen):
  """Stands for `track_faces`: the points in the frame, none in the second one."""
  where = landmarks_68(np.repeat(np.arange(NUM_MESH_POINTS)[:, np.newaxis], 2, axis=1))[
    :, 0
  ].astype(int)

  def track_faces(frames, detector):
    del detector
    for i, frame in enumerate(frames):
      points = np.zeros([NUM_MESH_POINTS, 3], np.float32)
      points[where, :2] = seen[i] * SIDE / 224 + [LEFT, TOP]
      yield TrackedFrame(frame, None if i == 1 else points)

  return track_faces


def test_clips_are_read_with_their_truth(tmp_path, monkeypatch, offsets):
  template = small_template()
  points = _write_clip(tmp_path, template)
  seen = project(seen_landmarks(tf.constant(points), offsets), CAMERA).numpy()
  monkeypatch.setattr(landmark_calibration, "track_faces", _detections(seen))
  found = landmark_calibration.measure_offsets(template, str(tmp_path), None)
  assert found.frames == FRAMES - 1
  assert found.after < 0.2 * found.before
  # Calibrated already or not, it measures the same.
  again = dataclasses.replace(template, landmark_offsets=found.offsets)
  second = landmark_calibration.measure_offsets(again, str(tmp_path), None)
  np.testing.assert_allclose(second.offsets, found.offsets, atol=1e-6)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
  template = small_template()
  with pytest.raises(UserError, match="not laid out as synthetic clips"):
    landmark_calibration.measure_offsets(template, str(tmp_path), None)
  _write_clip(tmp_path, template)
  monkeypatch.setattr(
    landmark_calibration,
    "track_faces",
    lambda frames, detector: (TrackedFrame(frame, None) for frame in frames),
  )
  with pytest.raises(UserError, match="no face in the clips"):
    landmark_calibration.measure_offsets(template, str(tmp_path), None)
  (tmp_path / "toy_person.npz").unlink()
  with pytest.raises(UserError, match="has no toy_person.npz"):
    landmark_calibration.measure_offsets(template, str(tmp_path), None)
