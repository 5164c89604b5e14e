"""rendering/rasterize.py and its backends against the brute-force rasterizer."""

import brute_force
import meshes
import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf

from personalized_face.rendering.camera import Camera
from personalized_face.rendering.rasterize import rasterize, triangle_ids

pytestmark = pytest.mark.usefixtures("each_backend")
# Neither side is a multiple of the blocks' 4 pixels; the principal point is off-centre.
CAMERA = Camera(30, 38, 150.0, 18.3, 16.1)
# A centre nearer than this to an edge may be decided otherwise: vertices are snapped to
# 2^-18 = 4e-6 pixels.
UNDECIDED = 1e-5


def assert_agrees(vertices, triangles, camera, undecided_share=1e-3, **kwargs):
  """Compares one image with the reference; returns its ids."""
  vertices = np.asarray(vertices, np.float32)
  ids, barycentrics, margin = brute_force.rasterize(vertices, triangles, camera)
  ours = rasterize(tf.constant(vertices)[tf.newaxis], triangles, camera, **kwargs)
  decided = margin > UNDECIDED
  assert (~decided).mean() <= undecided_share
  np.testing.assert_array_equal(ours.triangle_ids[0].numpy()[decided], ids[decided])
  same = ours.triangle_ids[0].numpy() == ids
  np.testing.assert_allclose(
    ours.barycentrics[0].numpy()[same], barycentrics[same], atol=1e-5
  )
  return ids


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rasterize_random_soup(jit_compile):
  for seed in range(4):
    vertices, triangles = meshes.soup(120, seed)
    ids = assert_agrees(vertices, triangles, CAMERA, jit_compile=jit_compile)
    assert len(np.unique(ids)) > 10


def test_rasterize_many_large_triangles_take_several_chunks():
  # 300 triangles over most of 80 blocks each: far more pairs than a chunk has.
  rng = np.random.default_rng(0)
  vertices = rng.uniform([-3, -3, -12], [3, 3, -8], (900, 3))
  assert_agrees(vertices, np.arange(900).reshape(300, 3), CAMERA)


def test_rasterize_triangle_far_larger_than_the_image():
  vertices = [[-1e4, -1e4, -20], [1e4, -1e4, -20], [0, 2e4, -20], [0, 0, -10]]
  vertices += [[0.5, 0, -10], [0, 0.5, -10]]
  ids = assert_agrees(vertices, [[0, 1, 2], [3, 4, 5]], CAMERA)
  assert (ids >= 0).all() and (ids == 1).any()


def test_rasterize_face_size():
  vertices, triangles, _ = meshes.face_sized()
  vertices = vertices + [0.02, 0.01, -10]
  camera = Camera.for_crop(224)
  ids, _, _ = brute_force.rasterize(vertices.astype(np.float32), triangles, camera)
  ours = triangle_ids(tf.constant(vertices[np.newaxis], tf.float32), triangles, camera)
  assert (ids >= 0).mean() > 0.5
  assert (ours[0].numpy() == ids).mean() >= 0.9999


@pytest.mark.parametrize("seed", range(4))
def test_rasterize_triangulation_covers_each_pixel_once(seed):
  # Points on a half-pixel lattice: edges and corners run through pixel centres.
  rng = np.random.default_rng(seed)
  points = np.unique(rng.integers(0, [2 * 38 + 1, 2 * 30 + 1], (20, 2)), axis=0)
  corners = [[0, 0], [76, 0], [0, 60], [76, 60]]
  points = np.unique(np.concatenate([points, corners]), axis=0) / 2.0
  triangles = scipy.spatial.Delaunay(points).simplices
  camera = Camera(30, 38, 128.0, 19.0, 15.0)
  # A power of two as focal length and depth: the lattice survives the projection.
  x, y = (points[:, 0] - 19.0) / 16.0, (15.0 - points[:, 1]) / 16.0
  vertices = np.stack([x, y, np.full(len(points), -8.0)], -1).astype(np.float32)
  # Each triangle alone in a picture of its own; mirrored ones wind the other way.
  alone = triangle_ids(tf.constant(vertices[triangles]), np.array([[0, 1, 2]]), camera)
  np.testing.assert_array_equal((alone.numpy() == 0).sum(0), 1)
  flipped = triangle_ids(
    tf.constant(vertices[triangles]), np.array([[0, 2, 1]]), camera
  )
  np.testing.assert_array_equal(flipped, alone)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rasterize_random_triangulation_is_watertight(jit_compile):
  # Large and tiny triangles side by side, at random places and depths.
  rng = np.random.default_rng(3)
  points = np.concatenate(
    [rng.uniform(-2, 2, (60, 2)), rng.normal(scale=0.05, size=(400, 2))]
  )
  points = np.concatenate([points, [[-9, -9], [9, -9], [-9, 9], [9, 9]]])
  triangles = scipy.spatial.Delaunay(points).simplices
  depth = -rng.uniform(8, 12, (len(points), 1))
  vertices = np.concatenate([points * -depth / 10, depth], axis=1)
  ids = triangle_ids(
    tf.constant(vertices[np.newaxis], tf.float32),
    triangles,
    CAMERA,
    jit_compile=jit_compile,
  )
  assert (ids.numpy() >= 0).all()


def test_rasterize_drops_what_cannot_be_seen():
  seen = [[0, 0, -10], [0.5, 0, -10], [0, 0.5, -10]]
  unseen = [
    [[0, 0, 10], [0.5, 0, 10], [0, 0.5, 10]],  # behind the camera
    [[0, 0, -0.9], [0.5, 0, -10], [0, 0.5, -10]],  # one corner before the near plane
    [[0, 0, 0], [0.5, 0, -10], [0, 0.5, -10]],  # one corner in the camera
    [[0, 0, -9], [0.5, 0, -9], [1, 0, -9]],  # no area
    [[0, 0, -9], [0, 0, -9], [0, 0, -9]],
    [[50, 0, -9], [51, 0, -9], [50, 1, -9]],  # off the image
    [[1e30, 0, -9], [-1e30, 0, -9], [0, 1e30, 1e30]],
    [[np.nan, 0, -9], [1, 0, -9], [0, 1, -9]],
    [[0, 0, np.nan], [1, 0, -9], [0, 1, -9]],
    [[np.inf, 0, -9], [1, 0, -9], [0, 1, -9]],
  ]
  vertices = np.array([*unseen, seen]).reshape(1, -1, 3)
  triangles = np.arange(vertices.shape[1]).reshape(-1, 3)
  ids = triangle_ids(tf.constant(vertices, tf.float32), triangles, CAMERA).numpy()
  assert set(np.unique(ids)) == {-1, len(unseen)}


def test_rasterize_nearest_wins_and_lower_id_on_a_tie():
  triangle = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]])
  depths = (-11, -9, -9, -10)
  vertices = np.concatenate([triangle + [0, 0, z] for z in depths])[np.newaxis]
  triangles = np.arange(12).reshape(4, 3)
  ids = triangle_ids(tf.constant(vertices, tf.float32), triangles, CAMERA).numpy()
  assert (ids == 1).any() and not (ids == 2).any()
  far, _, _ = brute_force.rasterize(vertices[0], triangles, CAMERA)
  np.testing.assert_array_equal(ids[0], far)


def test_rasterize_images_of_a_batch_do_not_mix():
  vertices, triangles = meshes.soup(40, 9)
  batch = np.stack([vertices, vertices + [0.3, 0, 0], vertices - [0, 0.4, 1]])
  batch = tf.constant(batch, tf.float32)
  together = triangle_ids(batch, triangles, CAMERA).numpy()
  for i in range(3):
    alone = triangle_ids(batch[i : i + 1], triangles, CAMERA)
    np.testing.assert_array_equal(together[i], alone[0])


def test_rasterize_compiled_equals_eager():
  vertices, triangles = meshes.soup(120, 5)
  vertices = tf.constant(np.stack([vertices, vertices[::-1]]), tf.float32)

  def draw(vertices):
    return rasterize(vertices, triangles, CAMERA, backend="xla")

  compiled, eager = tf.function(draw, jit_compile=True)(vertices), draw(vertices)
  np.testing.assert_array_equal(compiled.triangle_ids, eager.triangle_ids)
  # Computed in float64, rounded to float32 once.
  np.testing.assert_allclose(compiled.barycentrics, eager.barycentrics, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rasterize_unknown_number_of_images(jit_compile):
  vertices, triangles = meshes.soup(30, 6)
  draw = tf.function(
    lambda v: rasterize(v, triangles, CAMERA, jit_compile=jit_compile),
    input_signature=[tf.TensorSpec([None, 90, 3], tf.float32)],
  )
  for count in (0, 1, 3):
    ours = draw(np.repeat(vertices[np.newaxis].astype(np.float32), count, axis=0))
    assert ours.triangle_ids.shape == (count, 30, 38)
    assert ours.barycentrics.shape == (count, 30, 38, 3)


def test_rasterize_no_triangles():
  ids = triangle_ids(tf.zeros([2, 3, 3]), np.zeros([0, 3], np.int32), CAMERA)
  np.testing.assert_array_equal(ids, np.full((2, 30, 38), -1))


def test_barycentrics_reconstruct_the_ray():
  vertices, triangles, _ = meshes.grid(12)
  vertices = tf.constant((vertices + [0, 0, -10])[np.newaxis], tf.float32)
  buffer = rasterize(vertices, triangles, CAMERA)
  hit = buffer.triangle_ids[0].numpy() >= 0
  weights = buffer.barycentrics[0].numpy()
  corners = vertices[0].numpy()[triangles[buffer.triangle_ids[0].numpy()]]
  points = (weights[..., None] * corners).sum(2)[hit]
  rows, columns = np.nonzero(hit)
  expected = np.stack([columns, rows], -1) + 0.5
  # Pixels of 1/15 dm: 1e-5 dm of float32 weights and corners are 2e-4 pixels.
  np.testing.assert_allclose(brute_force.project(points, CAMERA), expected, atol=5e-4)
  np.testing.assert_allclose(weights[hit].sum(-1), 1, atol=1e-6)
  assert not weights[~hit].any()


def test_barycentrics_jacobian_random():
  vertices, triangles, _ = meshes.grid(4)
  # Off-centre: no pixel centre lies on an edge of the symmetric grid.
  camera = Camera(7, 7, 30.0, 3.41, 3.73)
  vertices = tf.constant((vertices + [0, 0, -10])[np.newaxis])

  def weights(vertices):
    return rasterize(vertices, triangles, camera).barycentrics

  theory, numeric = tf.test.compute_gradient(weights, [vertices], delta=1e-5)
  assert np.abs(theory[0]).max() > 0.1
  # Central differences in float64, step 1e-5 dm, of weights with slopes of about 1.
  np.testing.assert_allclose(theory[0], numeric[0], atol=1e-7)


def test_rasterize_exception_raised():
  with pytest.raises(ValueError, match="no rasterizer 'cuda'; there are: auto, cpu"):
    triangle_ids(tf.zeros([1, 3, 3]), np.zeros([1, 3], np.int32), CAMERA, "cuda")
  with pytest.raises(ValueError, match="vertices_camera"):
    triangle_ids(tf.zeros([3, 3]), np.zeros([1, 3], np.int32), CAMERA)


@pytest.mark.skipif(
  not tf.config.list_physical_devices("GPU"), reason="this machine has no GPU"
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rasterize_gpu_equals_cpu(jit_compile):
  vertices, triangles = meshes.soup(200, 8)
  vertices = tf.constant(vertices[np.newaxis], tf.float32)
  draw = tf.function(
    lambda v: triangle_ids(v, triangles, CAMERA), jit_compile=jit_compile
  )
  with tf.device("/CPU:0"):
    on_cpu = triangle_ids(vertices, triangles, CAMERA)
  with tf.device("/GPU:0"):
    on_gpu = draw(vertices)
  np.testing.assert_array_equal(on_gpu, on_cpu)
