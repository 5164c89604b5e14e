"""rendering/antialias.py: coverage, its gradient, and what only it can recover."""

import functools

import meshes
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from personalized_face.core import spherical_harmonics
from personalized_face.rendering.antialias import antialias, edge_table, find_outlines
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.rasterize import triangle_ids
from personalized_face.rendering.renderer import RendererLayer

CAMERA = Camera(24, 30, 110.0, 15.3, 12.2)
FINE = 16  # subpixels along each side of a pixel, for the true coverage


def posed(mesh, size=1.0):
  vertices, triangles = mesh[:2]
  turned = Rotation.from_euler("xyz", [0.5, -0.6, 0.2]).apply(vertices) * size
  return tf.constant((turned + [0.03, -0.02, -10])[np.newaxis]), triangles


def coverage(vertices, triangles, camera=CAMERA, **kwargs):
  """Antialiased mask [I, H, W], and the hard one."""
  ids = triangle_ids(vertices, triangles, camera, "xla")
  hard = tf.cast(ids >= 0, vertices.dtype)[..., tf.newaxis]
  table = edge_table(triangles, len(triangles))
  blended = antialias(
    hard, ids, vertices, triangles, table, len(triangles), camera, **kwargs
  )
  return blended[..., 0], hard[..., 0]


def true_coverage(vertices, triangles):
  fine = Camera(*(FINE * x for x in CAMERA[:5]))
  ids = triangle_ids(vertices, triangles, fine, "xla")[0].numpy()
  shape = CAMERA.height, FINE, CAMERA.width, FINE
  return (ids >= 0).reshape(shape).mean(axis=(1, 3))


@pytest.mark.parametrize(
  "mesh",
  [meshes.cube(), meshes.grid(6), meshes.grid(80)],
  ids=["cube", "coarse sheet", "triangles smaller than a pixel"],
)
def test_coverage_is_close_to_the_true_one(mesh):
  vertices, triangles = posed(mesh, 1.2)
  truth = true_coverage(vertices, triangles)
  blended, hard = (x[0].numpy() for x in coverage(vertices, triangles))
  outline = (truth > 0) & (truth < 1)
  assert outline.sum() > 50
  assert np.abs(hard - truth)[outline].mean() > 0.15
  # Exact along a straight edge; corners are rounded, and one pixel has 1/16 steps.
  assert np.abs(blended - truth)[outline].mean() < 0.03
  np.testing.assert_array_equal(blended[truth == 1], 1)
  np.testing.assert_array_equal(blended[truth == 0], 0)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("mesh", [meshes.cube(), meshes.grid(5)], ids=["cube", "sheet"])
def test_gradient_equals_float64_numerics(mesh, jit_compile):
  vertices, triangles = posed(mesh, 1.1)
  ids = triangle_ids(vertices, triangles, CAMERA, "xla")
  table = edge_table(triangles, len(triangles))
  rng = np.random.default_rng(0)
  weights = tf.constant(rng.normal(size=(1, CAMERA.height, CAMERA.width, 2)))
  values = (
    tf.constant(rng.normal(size=weights.shape))
    * tf.cast(ids >= 0, tf.float64)[..., tf.newaxis]
  )

  # Visibility is held still: a pixel that changes hands is no part of the derivative.
  @tf.function
  def blended_sum(vertices, values):
    repeated = tf.repeat(ids, tf.shape(vertices)[0], axis=0)
    values = tf.repeat(values, tf.shape(vertices)[0], axis=0)
    blended = antialias(
      values, repeated, vertices, triangles, table, len(triangles), CAMERA, jit_compile
    )
    return tf.reduce_sum(blended * weights, axis=[1, 2, 3])

  with tf.GradientTape() as tape:
    tape.watch([vertices, values])
    value = blended_sum(vertices, values)
  to_vertices, to_values = tape.gradient(value, [vertices, values])
  step, count = 1e-7, vertices.shape[1] * 3
  moves = np.concatenate([step * np.eye(count), -step * np.eye(count)])
  high, low = np.split(
    blended_sum(vertices + moves.reshape(-1, vertices.shape[1], 3), values).numpy(), 2
  )
  numeric = (high - low) / (2 * step)
  scale = np.abs(numeric).max()
  assert scale > 1
  # Values of about 1 in float64 over a step of 1e-7 dm: 1e-9 relative, slopes of 10.
  np.testing.assert_allclose(to_vertices.numpy().ravel(), numeric, atol=1e-6 * scale)
  # Linear in the values: the gradient, applied to them, gives the sum.
  np.testing.assert_allclose(tf.reduce_sum(to_values * values), value[0], rtol=1e-10)


def test_nothing_changes_away_from_outlines():
  vertices, triangles = posed(meshes.grid(9))
  blended, hard = coverage(vertices, triangles)
  changed = (blended != hard)[0].numpy()
  near = np.zeros_like(changed)
  inside = hard[0].numpy() > 0
  for axis in (0, 1):
    for by in (1, -1):
      near |= np.roll(inside, by, axis) != inside
  assert changed.any() and not (changed & ~near).any()


def test_hidden_outline_changes_nothing():
  front = meshes.grid(5, width=4, height=4, bulge=0)
  back = meshes.cube()
  vertices = np.concatenate([front[0] + [0, 0, -9], back[0] * 0.8 + [0, 0, -12]])
  triangles = np.concatenate([front[1], back[1] + len(front[0])])
  vertices = tf.constant(vertices[np.newaxis])
  ids = triangle_ids(vertices, triangles, CAMERA, "xla")
  slots = find_outlines(
    vertices, ids, triangles, edge_table(triangles, len(triangles)), 999, CAMERA
  )
  assert (ids.numpy() >= 0).all() and (slots.numpy() == -1).all()
  # The other way round it is seen, all around the cube's silhouette.
  vertices = vertices - tf.constant([[0, 0, 6.0]], tf.float64) * np.r_[
    np.ones(25), np.zeros(8)
  ].reshape(1, -1, 1)
  ids = triangle_ids(vertices, triangles, CAMERA, "xla")
  slots = find_outlines(
    vertices, ids, triangles, edge_table(triangles, len(triangles)), 999, CAMERA
  )
  assert (slots.numpy() >= 0).sum() > 20


def test_edge_table():
  _, triangles, _ = meshes.cube()
  cube = edge_table(triangles, 12)
  assert len(cube.vertices) == 18 and not cube.is_border.any()  # 12, and 6 diagonals
  assert not cube.is_rim.any()
  for a, b, c, d in cube.vertices:
    for third in (c, d):
      assert any({a, b, third} == set(t) for t in triangles.tolist())
    assert c != d
  _, triangles, _ = meshes.grid(4)
  sheet = edge_table(triangles, 18)
  assert len(sheet.vertices) == 33 and sheet.is_border.sum() == 12
  holed = edge_table(triangles, 17)
  assert holed.is_rim.sum() == 1 and (holed.is_border == sheet.is_border).all()
  fan = edge_table([[0, 1, 2], [1, 0, 3], [0, 1, 4]], 3)
  assert fan.is_border.all() and len(fan.vertices) == 9  # 6, and the shared one thrice


@pytest.mark.parametrize("jit_compile", [False, True])
def test_images_do_not_mix_and_may_be_none(jit_compile):
  vertices, triangles = posed(meshes.grid(5))
  batch = tf.concat([vertices, vertices + [0.2, 0.1, 0], vertices - [50, 0, 0]], 0)
  together, _ = coverage(batch, triangles, jit_compile=jit_compile)
  for i in range(3):
    alone, _ = coverage(batch[i : i + 1], triangles, jit_compile=jit_compile)
    np.testing.assert_allclose(together[i], alone[0], atol=1e-12)
  assert not together[2].numpy().any()
  assert coverage(batch[:0], triangles, jit_compile=jit_compile)[0].shape[0] == 0


def test_corners_behind_the_camera_and_far_away_are_harmless():
  vertices, triangles = meshes.soup(60, 3)
  vertices = tf.constant(vertices[np.newaxis])
  with tf.GradientTape() as tape:
    tape.watch(vertices)
    blended, hard = coverage(vertices, triangles)
  assert np.isfinite(tape.gradient(blended, vertices)).all()
  assert (blended != hard).numpy().any()
  assert np.all((blended >= 0) & (blended <= 1))


def face_layer(dtype="float32", **kwargs):
  """A layer over a sheet with a square hole, and its rest pose [1, 1, V, 3]."""
  vertices, triangles, uv = meshes.grid(9)
  half, cells = len(triangles) // 2, [27, 28, 35, 36]
  in_hole = np.isin(np.arange(len(triangles)) % half, cells)
  labels = np.tile([0.0, 0.7, 0.3], (4, 4, 1))  # the same everywhere: no texture helps
  layer = RendererLayer(
    triangles[~in_hole],
    triangles[in_hole],
    uv,
    labels,
    CAMERA,
    backend="xla",
    dtype=dtype,
    **kwargs,
  )
  light = spherical_harmonics.ambient_light(0.8)
  maps = tf.fill([1, 1, 4, 4, 3], tf.constant(0.6, dtype))
  vertices = tf.constant(vertices[None, None] + [0.03, -0.02, -10], dtype)
  return functools.partial(
    layer, albedo_maps=maps, light=tf.constant(light[None, None], dtype)
  ), vertices


def test_renderer_blends_image_mask_and_parsing_at_outline_and_hole():
  plain, vertices = face_layer()
  blending, _ = face_layer(antialias=True)
  hard, soft = plain(vertices), blending(vertices)
  for name in ("albedo", "shading", "normals"):
    np.testing.assert_array_equal(getattr(soft, name), getattr(hard, name))
  mask = soft.mask[0, 0].numpy()
  assert mask.min() == 0 and mask.max() == 1
  between = (mask > 0) & (mask < 1)
  in_hole = (hard.mask[0, 0].numpy() == 0) & (hard.parsing[0, 0, ..., 0].numpy() == 0)
  rows, columns = np.nonzero(in_hole)
  around = np.zeros_like(between)
  around[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2] = True
  assert (between & around).sum() > 4 and (between & ~around).sum() > 20
  # One coverage for all: the image is what it was, times the mask, where one colour
  # meets nothing; probabilities still sum to 1.
  inner = hard.image[0, 0].numpy()[hard.mask[0, 0].numpy() > 0].mean(0)
  np.testing.assert_allclose(
    soft.image[0, 0].numpy(), mask[..., None] * inner, atol=0.02
  )
  np.testing.assert_allclose(soft.parsing.numpy().sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_renderer_parsing_has_a_gradient_at_the_contour_only_when_blended(jit_compile):
  slopes = []
  for blend in (False, True):
    layer, vertices = face_layer(antialias=blend, jit_compile=jit_compile)
    with tf.GradientTape() as tape:
      tape.watch(vertices)
      skin = tf.reduce_sum(layer(vertices).parsing[..., 1])
    slope = tape.gradient(skin, vertices)
    # Rounding of label sums aside, a uniform map has no slope of its own.
    slopes.append(np.abs(slope).max())
  assert slopes[0] < 1e-3 and slopes[1] > 1


def test_renderer_compiled_as_a_whole_and_saved_equals_eager(tmp_path):
  layer, vertices = face_layer(antialias=True)

  def gradients(vertices):
    with tf.GradientTape() as tape:
      tape.watch(vertices)
      outputs = layer(vertices)
      value = tf.reduce_sum(outputs.mask) + tf.reduce_sum(outputs.image)
    return outputs.mask, outputs.parsing, tape.gradient(value, vertices)

  eager = gradients(vertices)
  for ours, reference in zip(
    tf.function(gradients, jit_compile=True)(vertices), eager, strict=True
  ):
    # Sums over the outline in another order, in float32.
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(ours, reference, atol=1e-5 * scale)
  module = tf.Module()
  module.serve = tf.function(
    lambda vertices: layer(vertices).mask,
    input_signature=[tf.TensorSpec([None, None, *vertices.shape[2:]], tf.float32)],
  )
  tf.saved_model.save(module, str(tmp_path))
  served = tf.saved_model.load(str(tmp_path)).serve(vertices)
  np.testing.assert_allclose(served, eager[0], atol=1e-6)


def descend(draw, target, start, rate, steps):
  """Gradient descent with a falling step; returns the last parameters."""
  parameters = tf.Variable(tf.cast(start, tf.float64))

  @tf.function
  def slope():
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum((draw(parameters) - target) ** 2)
    return tape.gradient(
      loss, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )

  for i in range(steps):
    parameters.assign_sub(rate * (1 - i / steps) * slope())
  return parameters.numpy()


@pytest.mark.parametrize("blend", [True, False])
def test_place_of_a_cube_is_recovered_from_its_mask_only_when_blended(blend):
  vertices, triangles = posed(meshes.cube())

  def mask(shift):
    moved = vertices + tf.pad(shift, [[0, 1]])
    return coverage(moved, triangles)[0 if blend else 1]

  truth = np.array([0.0, 0.0])
  start = np.array([0.17, -0.12])  # 1.9 and 1.3 pixels
  found = descend(mask, mask(tf.constant(truth)), start, 4e-4, 60)
  if blend:
    # A twentieth of a pixel; without it nothing moves at all.
    np.testing.assert_allclose(found, truth, atol=0.05 / 11)
  else:
    np.testing.assert_array_equal(found, start)
