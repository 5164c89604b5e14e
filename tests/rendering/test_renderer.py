"""rendering/renderer.py against a loop-written renderer, and its gradients."""

import functools

import brute_force
import meshes
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from personalized_face.core import rotation, spherical_harmonics
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.renderer import RendererLayer

pytestmark = pytest.mark.usefixtures("each_backend")
CAMERA = Camera(22, 25, 100.0, 12.4, 11.2)
CLASSES = 4


def scene(side=7, texels=9, hole=True, seed=0):
  """A bulging sheet with a hole of two triangles in the middle, and what lights it.

  Returns:
    The keyword arguments of RendererLayer, and one person's one frame of arguments of
    its call: vertices [V, 3], albedo map [U, U, 3], light [9, 3]; float64.
  """
  rng = np.random.default_rng(seed)
  vertices, triangles, uv = meshes.grid(side)
  half = len(triangles) // 2
  cell = (side - 1) * ((side - 1) // 2) + (side - 1) // 2
  in_hole = np.isin(np.arange(len(triangles)), [cell, cell + half]) & hole
  mesh = dict(
    triangles=triangles[~in_hole],
    hole_triangles=triangles[in_hole],
    uv=uv,
    label_map=rng.dirichlet(np.ones(CLASSES), (5, 5)),
    camera=CAMERA,
  )
  turned = Rotation.from_euler("xyz", [0.2, -0.3, 0.1]).apply(vertices)
  albedo = rng.uniform(0.2, 0.9, (texels, texels, 3))
  light = spherical_harmonics.ambient_light(0.8) + rng.normal(scale=0.2, size=(9, 3))
  return mesh, (turned + [0.05, -0.02, -10], albedo, light)


def render(mesh, frames, dtype="float64", jit_compile=False):
  """Renders a list of (vertices, albedo, light) as one person's frames."""
  layer = RendererLayer(**mesh, dtype=dtype, jit_compile=jit_compile)
  inputs = [tf.constant(np.stack(x)[np.newaxis], dtype) for x in zip(*frames)]  # noqa: B905
  return layer(*inputs)


def loop_render(mesh, vertices, albedo_map, light):
  """image, mask, albedo, shading, normals, parsing: pixel after pixel."""
  surface = len(mesh["triangles"])
  triangles = np.concatenate([mesh["triangles"], mesh["hole_triangles"]])
  normals = np.zeros_like(vertices)
  for a, b, c in mesh["triangles"]:
    area = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    for corner in (a, b, c):
      normals[corner] += area
  normals /= np.linalg.norm(normals, axis=1, keepdims=True)
  ids, weights, _ = brute_force.rasterize(vertices, triangles, CAMERA)
  shape = ids.shape
  result = [np.zeros((*shape, c)) for c in (3, 3, 3, 3, CLASSES)]
  mask = ((ids >= 0) & (ids < surface)).astype(float)
  for row, column in np.ndindex(shape):
    image, albedo, shading, normal, parsing = (r[row, column] for r in result)
    if ids[row, column] < 0:
      parsing[0] = 1
      continue
    corners, b = triangles[ids[row, column]], weights[row, column]
    uv = b @ mesh["uv"][corners]
    parsing[:] = loop_bilinear(mesh["label_map"], uv)
    if mask[row, column]:
      normal[:] = b @ normals[corners]
      normal /= np.linalg.norm(normal)
      albedo[:] = loop_bilinear(albedo_map, uv)
      shading[:] = spherical_harmonics.basis(tf.constant(normal)).numpy() @ light
      image[:] = albedo * shading
  image, albedo, shading, normal, parsing = result
  return image, mask, albedo, shading, normal, parsing


def loop_bilinear(texture, uv):
  side = texture.shape[0]
  x, y = uv * side - 0.5
  result = np.zeros(texture.shape[-1])
  for row in (int(np.floor(y)), int(np.floor(y)) + 1):
    for column in (int(np.floor(x)), int(np.floor(x)) + 1):
      texel = texture[np.clip(row, 0, side - 1), np.clip(column, 0, side - 1)]
      result += (1 - abs(x - column)) * (1 - abs(y - row)) * texel
  return result


@pytest.mark.parametrize("jit_compile", [False, True])
def test_renderer_equals_the_loop_version(jit_compile):
  mesh, frame = scene()
  ours = render(mesh, [frame], jit_compile=jit_compile)
  # Float64 throughout. The visible triangle is the same at every pixel of this scene.
  for name, reference in zip(ours._fields, loop_render(mesh, *frame), strict=True):
    field = getattr(ours, name)[0, 0].numpy()
    np.testing.assert_allclose(field, reference, atol=1e-9, err_msg=name)


def test_renderer_float32_is_close_to_float64():
  mesh, frame = scene()
  exact, single = render(mesh, [frame]), render(mesh, [frame], "float32")
  for name in exact._fields:
    # Vertices of 10 dm in float32, uv slopes of 9 texels a dm, albedo slopes of 1.
    np.testing.assert_allclose(
      getattr(single, name), getattr(exact, name), atol=1e-4, err_msg=name
    )


def test_renderer_holes_appear_in_the_parsing_alone():
  mesh, frame = scene()
  closed = render(mesh, [frame])
  open_mesh = dict(mesh, hole_triangles=mesh["hole_triangles"][:0])
  opened = render(open_mesh, [frame])
  for name in ("image", "mask", "albedo", "shading", "normals"):
    np.testing.assert_array_equal(getattr(closed, name), getattr(opened, name))
  in_hole = (closed.parsing != opened.parsing).numpy().any(-1)
  assert in_hole.sum() > 4
  assert not closed.mask.numpy()[in_hole].any()
  np.testing.assert_array_equal(opened.parsing.numpy()[in_hole][:, 0], 1)
  assert not closed.image.numpy()[in_hole].any()


def test_renderer_hole_hides_the_surface_behind_it():
  near = np.array([[-1, -1, -9], [1, -1, -9], [0, 1, -9.0]])
  mesh = dict(
    triangles=np.array([[3, 4, 5]]),
    hole_triangles=np.array([[0, 1, 2]]),
    uv=np.full((6, 2), 0.5),
    label_map=np.tile([0.0, 1, 0, 0], (2, 2, 1)),
    camera=CAMERA,
  )
  arguments = np.ones((3, 3, 3)), spherical_harmonics.ambient_light(1.0)
  behind = np.concatenate([near, near * [0.5, 0.5, 1.1]])
  ours = render(mesh, [(behind, *arguments)])
  assert not ours.mask.numpy().any() and ours.parsing.numpy()[..., 1].any()
  before = np.concatenate([near, near * [0.5, 0.5, 0.9]])
  assert render(mesh, [(before, *arguments)]).mask.numpy().any()


def test_renderer_empty_picture():
  mesh, (vertices, albedo, light) = scene()
  ours = render(mesh, [(vertices + [50, 0, 0], albedo, light)])
  for name in ("image", "mask", "albedo", "shading", "normals"):
    assert not getattr(ours, name).numpy().any(), name
  np.testing.assert_array_equal(ours.parsing[0, 0, ..., 0], 1)
  assert not ours.parsing[..., 1:].numpy().any()


def weighted_sum(outputs, keep):
  """A scalar that reads every differentiable field at the pixels `keep`."""
  rng = np.random.default_rng(11)
  total = 0.0
  for name in ("image", "albedo", "shading", "normals", "parsing"):
    field = getattr(outputs, name)
    weights = rng.normal(size=field.shape[2:]) * keep[..., np.newaxis]
    total += tf.reduce_sum(field * tf.constant(weights, field.dtype), axis=[2, 3, 4])
  return total[0]  # [N]


@functools.cache
def numeric_gradients():
  """Central differences in float64 of `weighted_sum` over a small scene.

  Returns:
    mesh, frame, the weighted pixels [H, W]; and for vertices, albedo and light the
    flat indices looked at and the differences there.
  """
  mesh, frame = scene(side=5, texels=6)
  triangles = np.concatenate([mesh["triangles"], mesh["hole_triangles"]])
  ids, _, margin = brute_force.rasterize(frame[0], triangles, CAMERA)
  # With no edge within 1e-3 pixels, a step of 1e-5 dm = 1e-4 pixels changes nothing.
  keep = (margin > 1e-3).astype(float)
  assert keep.mean() > 0.9 and (ids >= 0).mean() > 0.5
  layer = RendererLayer(**mesh, dtype="float64")
  evaluate = tf.function(lambda *inputs: weighted_sum(layer(*inputs), keep))
  step, results = 1e-5, []
  for k, argument in enumerate(frame):
    # Every vertex coordinate and light coefficient, a third of the texels.
    rng = np.random.default_rng(k)
    index = rng.choice(argument.size, min(argument.size, 75), replace=False)
    moved = [np.repeat(x[np.newaxis], 2 * len(index), axis=0) for x in frame]
    flat = moved[k].reshape(2 * len(index), -1)
    flat[np.arange(2 * len(index)), np.tile(index, 2)] += np.repeat(
      [step, -step], len(index)
    )
    high, low = np.split(evaluate(*(x[np.newaxis] for x in moved)).numpy(), 2)
    results.append((index, (high - low) / (2 * step)))
  return mesh, frame, keep, results


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_renderer_gradient_equals_float64_numerics(dtype, jit_compile):
  mesh, frame, keep, numerics = numeric_gradients()
  layer = RendererLayer(**mesh, dtype=dtype, jit_compile=jit_compile)
  inputs = [tf.constant(x[np.newaxis, np.newaxis], dtype) for x in frame]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    value = weighted_sum(layer(*inputs), keep)
  for gradient, (index, numeric) in zip(
    tape.gradient(value, inputs), numerics, strict=True
  ):
    scale = np.abs(numeric).max()
    assert scale > 0.1
    # Float64: a few pixels cross a texel's edge within the step, where the slope jumps.
    # Float32: the rounding of vertices of 10 dm moves a pixel's uv by 1e-5.
    tolerance = {"float64": 1e-4, "float32": 2e-3}[dtype]
    np.testing.assert_allclose(
      gradient.numpy().ravel()[index], numeric, atol=tolerance * scale
    )


def test_renderer_gradient_of_the_mask_is_none():
  mesh, frame = scene()
  layer = RendererLayer(**mesh, dtype="float64")
  vertices, *others = (tf.constant(x[np.newaxis, np.newaxis]) for x in frame)
  with tf.GradientTape() as tape:
    tape.watch(vertices)
    mask = layer(vertices, *others).mask
  assert tape.gradient(mask, vertices) is None


def test_renderer_compiled_as_a_whole_equals_eager():
  mesh, frame = scene()
  layer = RendererLayer(**mesh, backend="xla")
  inputs = [tf.constant(x[np.newaxis, np.newaxis], tf.float32) for x in frame]

  def gradients(*inputs):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      outputs = layer(*inputs)
      value = tf.reduce_sum(outputs.image) + tf.reduce_sum(outputs.parsing[..., 1:])
    return outputs, tape.gradient(value, inputs)

  eager = tf.nest.flatten(gradients(*inputs))
  compiled = tf.nest.flatten(tf.function(gradients, jit_compile=True)(*inputs))
  for ours, reference in zip(compiled, eager, strict=True):
    # Sums over 500 pixels in another order, in float32.
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(ours, reference, atol=1e-5 * scale)


def test_renderer_repeats_bit_for_bit():
  mesh, frame = scene()
  layer = RendererLayer(**mesh, jit_compile=True)
  inputs = [tf.constant(x[np.newaxis, np.newaxis], tf.float32) for x in frame]

  @tf.function
  def gradients():
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      value = tf.reduce_sum(layer(*inputs).image)
    return tape.gradient(value, inputs)

  for ours, again in zip(gradients(), gradients(), strict=True):
    np.testing.assert_array_equal(ours, again)


def test_renderer_saved_model_of_unknown_batch_size(tmp_path):
  mesh, frame = scene()
  module = tf.Module()
  layer = RendererLayer(**mesh, backend="xla")

  @tf.function(
    input_signature=[tf.TensorSpec([None, None, *x.shape], tf.float32) for x in frame]
  )
  def serve(vertices, albedo, light):
    return layer(vertices, albedo, light)._asdict()

  module.serve = serve
  tf.saved_model.save(module, str(tmp_path), signatures=serve)
  loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
  for persons, frames in ((0, 1), (1, 1), (2, 3), (1, 0)):
    lead = (persons, frames)
    inputs = [np.broadcast_to(x, lead + x.shape).astype(np.float32) for x in frame]
    names = ("vertices", "albedo", "light")
    ours = loaded(**dict(zip(names, map(tf.constant, inputs), strict=True)))
    assert ours["image"].shape == (*lead, CAMERA.height, CAMERA.width, 3)
    expected = layer(*map(tf.constant, inputs))._asdict()
    for name, value in expected.items():
      # The same operations; the optimiser of the graph may fuse some.
      np.testing.assert_allclose(ours[name], value, atol=1e-6)


def test_renderer_has_no_variables():
  assert not RendererLayer(**scene()[0]).variables


def test_cube_pose_is_recovered_by_descent_on_a_picture():
  vertices, triangles, uv = meshes.cube()
  rows, columns = np.mgrid[0:16, 0:16] / 16.0
  albedo = np.stack([rows, columns, 0.5 + 0.4 * np.sin(6 * (rows + columns))], -1)
  light = spherical_harmonics.ambient_light(0.8)
  light[1:4] = [[0.3, 0.2, 0.1], [0.2, 0.2, 0.2], [0.1, 0.3, 0.4]]
  camera = Camera(48, 48, 220.0, 24.0, 24.0)
  layer = RendererLayer(
    triangles, triangles[:0], uv, np.ones((1, 1, 1), np.float32), camera
  )
  maps, lights = (tf.constant(x[None, None], tf.float32) for x in (albedo, light))
  vertices = tf.constant(vertices, tf.float32)

  @tf.function
  def draw(pose):
    posed = rotation.transform(vertices, pose[:3], pose[3:])
    return layer(posed[None, None], maps, lights)

  truth = np.array([0.5, -0.6, 0.2, 0.1, -0.05, -10.0], np.float32)
  target = draw(tf.constant(truth))
  pose = tf.Variable(truth + np.float32([0.08, 0.1, -0.08, 0.04, 0.05, 0.3]))
  rate = tf.constant([1, 1, 1, 0.5, 0.5, 4.0])  # depth moves a picture least

  @tf.function
  def step(speed):
    with tf.GradientTape() as tape:
      ours = draw(pose)
      both = (ours.mask * target.mask)[..., tf.newaxis]
      loss = tf.reduce_sum(both * (ours.image - target.image) ** 2)
    slope = tape.gradient(loss, pose)
    return loss, slope

  moment, power = np.zeros(6), np.zeros(6)
  for i in range(1, 151):  # Adam, its rate falling to a tenth
    loss, slope = step(tf.constant(i))
    moment = 0.9 * moment + 0.1 * slope.numpy()
    power = 0.99 * power + 0.01 * slope.numpy() ** 2
    direction = moment / (1 - 0.9**i) / (np.sqrt(power / (1 - 0.99**i)) + 1e-9)
    pose.assign_sub(0.01 * 0.1 ** (i / 150) * rate * direction)
  error = np.abs(pose.numpy() - truth)
  # A picture of 48 pixels: a tenth of a pixel is 5e-3 dm, or half a degree at the edge.
  assert error[:3].max() < 0.01, error
  assert error[3:5].max() < 0.005 and error[5] < 0.1, error
