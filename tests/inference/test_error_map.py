import numpy as np
import pytest
from toy_clip import SIZE, toy_person, toy_system

from personalized_face.core.types import Tracking
from personalized_face.inference.error_map import vertex_errors_255
from personalized_face.inference.render import ClipRenderer
from personalized_face.rendering.camera import project

FRAMES = 3


@pytest.fixture(scope="module")
def system():
  return toy_system()


@pytest.fixture(scope="module")
def person(system):
  return toy_person(system)


def _tracking(yaw=0.0):
  light = np.zeros([FRAMES, 9, 3], np.float32)
  light[:, 0] = 2.0  # colours stay below 1, so that 8 bits hold them
  rotation = np.tile(np.float32([0, yaw, 0]), [FRAMES, 1])
  translation = np.tile(np.float32([0, 0, -10]), [FRAMES, 1])
  return Tracking(np.zeros([FRAMES, 3], np.float32), rotation, translation, light)


@pytest.fixture(scope="module")
def crops(system, person):
  """What the person looks like, on black: no error anywhere."""
  images = ClipRenderer(system).all(person, _tracking()).rendering.image
  assert images.max() < 1
  return np.round(images.clip(0, 1) * 255).astype(np.uint8)


def test_vertex_errors_of_its_own_pictures_are_none(system, person, crops):
  errors = vertex_errors_255(system, person, _tracking(), crops)
  assert errors.shape == (64,)
  # 8 bits: half a grey level in each channel; albedo below 0 is clipped.
  # A vertex of the border may lie on either side of it, outside.
  assert np.nanmax(errors) < 1 and np.isfinite(errors).mean() > 36 / 64 - 1e-9


def test_vertex_errors_are_where_the_picture_differs(system, person, crops):
  changed = crops.astype(int)
  changed[:, :, SIZE // 2 :, 2] += 40  # image right, in every frame
  changed[1, :, :, 0] += 30  # and one frame of three everywhere
  assert changed.max() <= 255
  errors = vertex_errors_255(system, person, _tracking(), changed.astype(np.uint8))
  vertices = ClipRenderer(system).all(person, _tracking()).vertices[0]
  x = project(vertices + np.float32([0, 0, -10]), system.camera).numpy()[:, 0]
  left, right = x < SIZE / 2 - 1, x > SIZE / 2 + 1
  # 8 bits again.
  np.testing.assert_allclose(errors[left][np.isfinite(errors[left])], 10, atol=1)
  both = (2 * 40 + 50) / 3  # the frame with both changes: hypot(30, 40)
  np.testing.assert_allclose(errors[right][np.isfinite(errors[right])], both, atol=1)
  # One frame, the middle one.
  alone = vertex_errors_255(
    system, person, _tracking(), changed.astype(np.uint8), max_frames=1
  )
  np.testing.assert_allclose(alone[left][np.isfinite(alone[left])], 30, atol=1)


def test_vertex_errors_of_a_head_that_looks_away_are_unknown(system, person, crops):
  errors = vertex_errors_255(system, person, _tracking(yaw=np.pi), crops)
  assert np.isnan(errors).all()
