"""The backend tf_mesh_renderer, where its kernel has been built."""

import os

import brute_force
import meshes
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.rendering import tf_mesh_renderer
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.clip_space import to_clip_space
from personalized_face.rendering.rasterize import rasterize, triangle_ids

CAMERA = Camera(30, 38, 150.0, 18.3, 16.1)
# The kernel computes in float32: a centre nearer to an edge than this is undecided.
UNDECIDED = 2e-3  # pixels

needs_kernel = pytest.mark.skipif(
  not os.path.exists(tf_mesh_renderer.library_path()),
  reason="pface_build_tf_mesh_renderer has not been run",
)


def draw(vertices, triangles, camera=CAMERA):
  vertices = tf.constant(np.asarray(vertices)[np.newaxis], tf.float32)
  return triangle_ids(vertices, triangles, camera, "tf_mesh_renderer")[0].numpy()


def test_to_clip_space_agrees_with_the_camera():
  rng = np.random.default_rng(0)
  points = tf.constant(rng.uniform([-2, -2, -14], [2, 2, -6], (20, 3)))
  x, y, z, w = np.moveaxis(to_clip_space(points, CAMERA).numpy(), -1, 0)
  pixels = np.stack([(x / w + 1) * 38 / 2, (y / w + 1) * 30 / 2], -1)
  np.testing.assert_allclose(pixels, project(points, CAMERA), atol=1e-9)  # float64
  np.testing.assert_allclose(w, -points[:, 2])
  assert (np.argsort(z / w) == np.argsort(w)).all()
  planes = tf.constant([[0.0, 0, -CAMERA.near], [0, 0, -1e9]])
  z, w = to_clip_space(planes, CAMERA).numpy()[:, 2:].T
  np.testing.assert_allclose(z / w, [-1, 1], atol=1e-6)  # float32


def test_missing_kernel_is_said_in_one_sentence(monkeypatch, tmp_path):
  monkeypatch.setenv(tf_mesh_renderer.PATH_VARIABLE, str(tmp_path / "none.so"))
  with pytest.raises(UserError, match="is not built.*pface_build_tf_mesh_renderer"):
    draw(np.zeros([3, 3]), np.array([[0, 1, 2]]))


def test_library_of_another_tensorflow_is_said_in_one_sentence(monkeypatch, tmp_path):
  path = tmp_path / "broken.so"
  path.write_bytes(b"not a library")
  monkeypatch.setenv(tf_mesh_renderer.PATH_VARIABLE, str(path))
  with pytest.raises(UserError, match="does not load into TensorFlow"):
    draw(np.zeros([3, 3]), np.array([[0, 1, 2]]))


@needs_kernel
@pytest.mark.parametrize("seed", range(4))
def test_ids_equal_brute_force_away_from_edges(seed):
  vertices, triangles = meshes.soup(120, seed)
  vertices = vertices.astype(np.float32)
  ids, _, margin = brute_force.rasterize(vertices, triangles, CAMERA)
  ours = draw(vertices, triangles)
  decided = margin > UNDECIDED
  # Hundreds of slivers: a few per cent of the centres lie near some edge.
  assert decided.mean() > 0.9 and len(np.unique(ids)) > 10
  assert (ours == ids)[decided].mean() >= 0.9999


@needs_kernel
def test_face_sized_mesh_agrees_with_xla():
  vertices, triangles, _ = meshes.face_sized()
  vertices = vertices + [0.02, 0.01, -10]
  camera = Camera.for_crop(224)
  ours = draw(vertices, triangles, camera)
  exact = triangle_ids(tf.constant(vertices[None], tf.float32), triangles, camera)
  # Triangles of two pixels: float32 decides about one centre in a thousand otherwise.
  assert (ours == exact[0].numpy()).mean() > 0.998
  np.testing.assert_array_equal(ours >= 0, exact[0].numpy() >= 0)


@needs_kernel
def test_drops_what_the_other_backends_drop():
  seen = [[0, 0, -10], [0.5, 0, -10], [0, 0.5, -10]]
  unseen = [
    [[0, 0, 10], [0.5, 0, 10], [0, 0.5, 10]],  # behind the camera
    [[0, 0, -0.9], [0.5, 0, -10], [0, 0.5, -10]],  # one corner before the near plane
    [[0, 0, 0], [0.5, 0, -10], [0, 0.5, -10]],
    [[0, 0, -9], [0, 0, -9], [0, 0, -9]],
    [[50, 0, -9], [51, 0, -9], [50, 1, -9]],  # off the image
    [[np.nan, 0, -9], [1, 0, -9], [0, 1, -9]],
    [[0, 0, np.nan], [1, 0, -9], [0, 1, -9]],
    [[np.inf, 0, -9], [1, 0, -9], [0, 1, -9]],
  ]
  vertices = np.array([*unseen, seen]).reshape(-1, 3)
  ids = draw(vertices, np.arange(len(vertices)).reshape(-1, 3))
  assert set(np.unique(ids)) == {-1, len(unseen)}


@needs_kernel
def test_any_number_of_images_and_no_triangles():
  vertices, triangles = meshes.soup(30, 6)
  function = tf.function(
    lambda v: rasterize(v, triangles, CAMERA, "tf_mesh_renderer"),
    input_signature=[tf.TensorSpec([None, 90, 3], tf.float32)],
  )
  for count in (0, 1, 3):
    batch = vertices + np.arange(count).reshape(-1, 1, 1) * [0.3, 0, 0]
    ours = function(tf.constant(batch.reshape(-1, 90, 3), tf.float32)).triangle_ids
    assert ours.shape == (count, 30, 38)
    for image, alone in zip(ours, batch, strict=True):
      np.testing.assert_array_equal(image, draw(alone, triangles))
  assert (draw(vertices, triangles[:0]) == -1).all()
