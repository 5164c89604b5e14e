"""rendering/kernels/ops.py: the operations against stock ones and against numerics."""

import os
import subprocess
import sys

import meshes
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core import spherical_harmonics, topology, uv
from personalized_face.rendering import interpolate, shading, surface, xla_rasterizer
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.kernels import build, ops

pytestmark = pytest.mark.skipif(
  build.load() is None, reason="there is no C++ compiler here"
)
CAMERA = Camera(9, 11, 40.0, 5.3, 4.2)


def scene(count=2, dtype=tf.float64):
  """Sheets before the camera: vertices [I, V, 3], triangles, ids and barycentrics."""
  vertices, triangles, _ = meshes.grid(4)
  scale = 1 + 0.2 * np.arange(count)[:, None, None]
  batch = tf.constant(vertices * scale + [0, 0, -10], dtype)
  ids = ops.triangle_ids(batch, triangles, CAMERA)
  return batch, triangles, ids, ops.barycentrics(batch, triangles, ids, CAMERA)


def random(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape))


def gradients(function, inputs):
  """The values, and the gradients of a fixed random mixture of them."""
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = tf.nest.flatten(function(*inputs))
    mixture = tf.add_n(
      [tf.reduce_sum(x * tf.cast(random(*x.shape), x.dtype)) for x in outputs]
    )
  return outputs, tape.gradient(mixture, inputs)


def assert_same(function, reference, inputs, atol=1e-12):
  """Compares values and gradients with those of stock operations, both float64."""
  for ours, theirs in zip(
    gradients(function, inputs), gradients(reference, inputs), strict=True
  ):
    for x, y in zip(ours, theirs, strict=True):
      assert np.abs(y).max() > 0.1
      np.testing.assert_allclose(x, y, atol=atol * max(1, np.abs(y).max()))


def test_triangle_ids_equal_the_xla_backend():
  camera = Camera(61, 50, 220.0, 24.3, 31.2)
  for seed in range(3):
    batch = np.stack([meshes.soup(400, 10 * seed + i)[0] for i in range(3)])
    triangles = np.arange(1200).reshape(400, 3)
    batch = tf.constant(batch, tf.float32)
    ours = ops.triangle_ids(batch, triangles, camera).numpy()
    theirs = xla_rasterizer.triangle_ids(batch, triangles, camera).numpy()
    # The same arithmetic; only depths that agree to 1e-12 may be ordered otherwise.
    assert len(np.unique(ours)) > 50 and (ours == theirs).mean() > 0.9999


def test_barycentrics_equal_see_surface():
  vertices, triangles, ids, _ = scene()
  assert (ids.numpy() < 0).any() and (ids.numpy() >= 0).any()

  def reference(vertices):
    rows = interpolate.corner_rows(vertices, triangles)
    return surface.see_surface(rows, ids, CAMERA)[0]

  assert_same(
    lambda v: ops.barycentrics(v, triangles, ids, CAMERA), reference, [vertices]
  )


def test_barycentrics_jacobian_random():
  vertices, triangles, ids, _ = scene(count=1)
  theory, numeric = tf.test.compute_gradient(
    lambda v: ops.barycentrics(v, triangles, ids, CAMERA)[:, ::4, ::4],
    [vertices],
    delta=1e-5,
  )
  assert np.abs(theory[0]).max() > 0.1
  # Central differences in float64, step 1e-5 dm, of weights with slopes of about 1.
  np.testing.assert_allclose(theory[0], numeric[0], atol=1e-7)


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_interpolate_equals_stock_operations(channels):
  vertices, triangles, ids, weights = scene()
  attributes = random(2, vertices.shape[1], channels)

  def reference(attributes, weights):
    rows = interpolate.gather_rows(interpolate.corner_rows(attributes, triangles), ids)
    return interpolate.blend_corners(rows, weights)

  assert_same(
    lambda a, w: ops.interpolate(a, triangles, ids, w),
    reference,
    [attributes, weights],
  )


def test_interpolate_unit_vectors():
  vertices, triangles, ids, weights = scene()
  attributes = random(2, vertices.shape[1], 3)

  def ours(attributes, weights):
    return ops.interpolate(attributes, triangles, ids, weights, normalize=True)

  def reference(attributes, weights):
    return topology.normalize(ops.interpolate(attributes, triangles, ids, weights))

  assert_same(ours, reference, [attributes, weights])
  nothing = gradients(ours, [tf.zeros_like(attributes), weights])
  for value in tf.nest.flatten(nothing):
    assert not np.any(value)  # zero vectors stay zero and have no gradient


def test_interpolate_attributes_of_all_images():
  vertices, triangles, ids, weights = scene()
  attributes = random(vertices.shape[1], 2)
  assert_same(
    lambda w: ops.interpolate(attributes, triangles, ids, w),
    lambda w: ops.interpolate(tf.stack([attributes] * 2), triangles, ids, w),
    [weights],
  )


@pytest.mark.parametrize("channels", [3, 8, 2])
@pytest.mark.parametrize("side", [1, 2, 7])
def test_sample_uv_equals_stock_operations(channels, side):
  maps, places = random(2, side, side, channels), 0.7 * random(2, 5, 6, 2, seed=1) + 0.5
  ids = tf.constant(np.random.default_rng(2).integers(-1, 3, (2, 5, 6)), tf.int32)

  def reference(maps, places):
    return uv.sample_uv(maps, places) * tf.cast(ids >= 0, places.dtype)[..., None]

  # Along a map of one texel nothing changes; all else has a gradient.
  inputs = [maps, places]
  function = lambda m, p: ops.sample_uv(m, p, ids)  # noqa: E731
  if side > 1:
    assert_same(function, reference, inputs)
  else:
    np.testing.assert_allclose(function(*inputs), reference(*inputs), atol=1e-12)
    assert not np.any(gradients(function, inputs)[1][1])


def test_sample_uv_of_a_map_for_all_images_and_its_fill():
  one, places = random(4, 4, 3), random(2, 5, 6, 2, seed=1)
  ids = tf.constant(np.random.default_rng(2).integers(-1, 3, (2, 5, 6)), tf.int32)
  assert_same(
    lambda p: ops.sample_uv(one, p, ids),
    lambda p: ops.sample_uv(tf.stack([one, one]), p, ids),
    [places],
  )
  filled = ops.sample_uv(one, places, ids, fill=0.5).numpy()[ids.numpy() < 0]
  np.testing.assert_array_equal(filled, np.tile([0.5, 0, 0], (len(filled), 1)))


def test_sample_uv_of_places_that_are_not_finite_reads_within_the_map():
  places = tf.constant([[[[np.nan, np.inf], [-np.inf, 1e30]]]], tf.float64)
  maps, ids = tf.ones([1, 3, 3, 1], tf.float64), tf.zeros([1, 1, 2], tf.int32)
  values = ops.sample_uv(maps, places, ids)
  assert values.shape == (1, 1, 2, 1)


def test_shade_equals_stock_operations():
  ids = tf.constant(np.random.default_rng(2).integers(-1, 3, (2, 5, 6)), tf.int32)
  light = random(2, 9, 3) + spherical_harmonics.ambient_light(1.0)
  albedo, normals = random(2, 5, 6, 3, seed=1), random(2, 5, 6, 3, seed=2)
  covered = tf.cast(ids >= 0, albedo.dtype)[..., tf.newaxis]
  # Also for normals of other lengths, so that every harmonic's slope is seen.
  assert_same(
    lambda a, n, g: ops.shade(a, n, g, ids),
    lambda a, n, g: [x * covered for x in shading.shade(a, n, g)],
    [albedo, normals, light],
  )


def test_vertex_normals_equal_stock_operations():
  vertices, triangles, _, _ = scene()
  vertices += 0.1 * random(*vertices.shape)
  lonely = tf.concat([vertices, vertices[:, :1]], axis=1)  # in no triangle
  assert_same(
    lambda v: ops.vertex_normals(v, triangles),
    lambda v: topology.vertex_normals(v, triangles),
    [lonely],
  )
  assert not np.any(ops.vertex_normals(lonely, triangles)[:, -1])


@pytest.mark.parametrize("count", [0, 1])
def test_few_images(count):
  vertices, triangles, ids, weights = scene(count=count, dtype=tf.float32)
  assert ids.shape == (count, 9, 11) and weights.shape == (count, 9, 11, 3)
  maps, light = tf.ones([count, 4, 4, 3]), tf.ones([count, 9, 3])

  def draw(vertices, maps, light):
    weights = ops.barycentrics(vertices, triangles, ids, CAMERA)
    normals = ops.vertex_normals(vertices, triangles)
    normals = ops.interpolate(normals, triangles, ids, weights, normalize=True)
    places = ops.interpolate(np.ones([16, 2]) / 2, triangles, ids, weights)
    return ops.shade(ops.sample_uv(maps, places, ids), normals, light, ids)

  values, slopes = gradients(draw, [vertices, maps, light])
  assert [x.shape[0] for x in values + slopes] == [count] * 5


# What every operation makes of one random scene, as one number of all bits.
_DIGEST = """
import sys, hashlib
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from personalized_face.rendering import camera, renderer
import meshes
vertices, triangles, uv = meshes.grid(14)
rng = np.random.default_rng(0)
for count in (1, 3):
  layer = renderer.RendererLayer(
    triangles, triangles[:0], uv, rng.uniform(size=(8, 8, 8)),
    camera.Camera.for_crop(40), backend="cpu")
  shapes = ((16, 16, 3), (9, 3))
  inputs = [vertices + [0, 0, -10] + rng.normal(size=(1, count, 196, 3)) * 0.02]
  inputs += [rng.uniform(size=(1, count, *shape)) for shape in shapes]
  inputs = [tf.constant(x, tf.float32) for x in inputs]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = layer(*inputs)
    total = tf.add_n([tf.reduce_sum(x ** 2) for x in outputs])
  found = [*outputs, *tape.gradient(total, inputs)]
  print(hashlib.sha256(b"".join(x.numpy().tobytes() for x in found)).hexdigest())
"""


def test_any_number_of_threads_gives_the_same_bits():
  found = []
  for threads in (1, 3):
    done = subprocess.run(
      [sys.executable, "-c", _DIGEST, str(threads)],
      env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
      capture_output=True,
      text=True,
      check=True,
      timeout=300,
    )
    found.append(done.stdout.split()[-2:])
  assert len(found[0]) == 2 and found[0] == found[1]


_IDS = np.zeros([1, 2, 2], np.int32)
_GOOD = {
  "pface_triangle_ids": dict(
    vertices=np.zeros([1, 3, 3], np.float32),
    triangles=[[0, 1, 2]],
    lens=[9.0, 1, 1, 1],
    height=2,
    width=2,
  ),
  "pface_barycentrics": dict(
    vertices=np.zeros([1, 3, 3], np.float32),
    triangles=[[0, 1, 2]],
    ids=_IDS,
    lens=[9.0, 1, 1, 1],
  ),
  "pface_interpolate": dict(
    attributes=np.zeros([1, 3, 3], np.float32),
    triangles=[[0, 1, 2]],
    ids=_IDS,
    weights=np.zeros([1, 2, 2, 3], np.float32),
  ),
  "pface_sample_uv": dict(
    maps=np.zeros([1, 4, 4, 3], np.float32),
    uv=np.zeros([1, 2, 2, 2], np.float32),
    ids=_IDS,
  ),
  "pface_shade": dict(
    albedo=np.zeros([1, 2, 2, 3], np.float32),
    normals=np.zeros([1, 2, 2, 3], np.float32),
    light=np.zeros([1, 9, 3], np.float32),
    ids=_IDS,
  ),
  "pface_vertex_normals": dict(
    vertices=np.zeros([1, 3, 3], np.float32), triangles=[[0, 1, 2]]
  ),
}
_BAD = [
  ("pface_triangle_ids", "vertices", np.zeros([1, 3, 2], np.float32), "vertices has"),
  ("pface_triangle_ids", "triangles", [[0, 1, 3]], r"triangles hold .* \[0, 3\)"),
  ("pface_triangle_ids", "triangles", [[0, 1, -1]], r"triangles hold .* \[0, 3\)"),
  ("pface_triangle_ids", "triangles", [[0, 1]], "triangles has"),
  ("pface_triangle_ids", "lens", [1.0, 1, 1], "lens has shape"),
  ("pface_triangle_ids", "lens", [9.0, 1, 1, 0], "lens has .* near plane 0"),
  ("pface_barycentrics", "ids", _IDS + 1, r"ids hold .* \[-1, 1\)"),
  ("pface_barycentrics", "ids", _IDS - 2, r"ids hold .* \[-1, 1\)"),
  ("pface_barycentrics", "ids", np.zeros([2, 2, 2], np.int32), "ids has shape"),
  ("pface_interpolate", "ids", _IDS + 1, r"ids hold .* \[-1, 1\)"),
  (
    "pface_interpolate",
    "attributes",
    np.zeros([3, 3, 3], np.float32),
    "attributes has",
  ),
  ("pface_interpolate", "weights", np.zeros([1, 2, 2, 2], np.float32), "weights has"),
  ("pface_sample_uv", "maps", np.zeros([1, 4, 3, 3], np.float32), "maps has shape"),
  ("pface_sample_uv", "maps", np.zeros([1, 0, 0, 3], np.float32), "maps hold no texel"),
  ("pface_sample_uv", "uv", np.zeros([1, 2, 2, 3], np.float32), "uv has shape"),
  ("pface_shade", "albedo", np.zeros([1, 2, 2, 1], np.float32), "albedo has shape"),
  ("pface_shade", "normals", np.zeros([1, 2, 3, 3], np.float32), "normals has shape"),
  ("pface_shade", "light", np.zeros([1, 4, 3], np.float32), "light has shape"),
  ("pface_vertex_normals", "triangles", [[0, 1, 7]], "triangles hold a vertex"),
]


@pytest.mark.parametrize("name", _GOOD)
def test_operations_take_what_is_right(name):
  getattr(build.load(), name)(**_GOOD[name])


@pytest.mark.parametrize("name, argument, value, message", _BAD)
def test_operations_name_the_argument_that_is_wrong(name, argument, value, message):
  with pytest.raises(tf.errors.InvalidArgumentError, match=message):
    getattr(build.load(), name)(**{**_GOOD[name], argument: value})
