"""rendering/{interpolate,surface,shading,compiled}.py."""

import meshes
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core import spherical_harmonics
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.compiled import compiled
from personalized_face.rendering.interpolate import (
  corner_rows,
  gather_rows,
  interpolate,
)
from personalized_face.rendering.rasterize import rasterize
from personalized_face.rendering.shading import shade
from personalized_face.rendering.surface import see_surface

CAMERA = Camera(9, 11, 40.0, 5.3, 4.2)


def scene(dtype=tf.float64):
  vertices, triangles, _ = meshes.grid(4)
  batch = np.stack([vertices, vertices * 1.2]) + [0, 0, -10]
  attributes = np.random.default_rng(0).normal(size=(2, len(vertices), 4))
  return tf.constant(batch, dtype), triangles, tf.constant(attributes, dtype)


def test_interpolate_equals_the_loop_version():
  vertices, triangles, attributes = scene()
  buffer = rasterize(vertices, triangles, CAMERA)
  ours = interpolate(attributes, triangles, buffer).numpy()
  ids, weights = buffer.triangle_ids.numpy(), buffer.barycentrics.numpy()
  assert (ids >= 0).any() and (ids < 0).any()
  for i, row, column in np.ndindex(ids.shape):
    expected = np.zeros(4)
    if ids[i, row, column] >= 0:
      for k, corner in enumerate(triangles[ids[i, row, column]]):
        expected += weights[i, row, column, k] * attributes[i, corner].numpy()
    np.testing.assert_allclose(ours[i, row, column], expected, atol=1e-12)


def test_interpolate_attributes_shared_by_all_images():
  vertices, triangles, attributes = scene()
  buffer = rasterize(vertices, triangles, CAMERA)
  shared = interpolate(attributes[0], triangles, buffer)
  repeated = interpolate(tf.stack([attributes[0]] * 2), triangles, buffer)
  np.testing.assert_array_equal(shared, repeated)


def test_interpolate_jacobian_random():
  vertices, triangles, attributes = scene()
  buffer = rasterize(vertices, triangles, CAMERA)
  theory, numeric = tf.test.compute_gradient(
    lambda a, b: interpolate(a, triangles, buffer._replace(barycentrics=b))[
      :, ::3, ::3
    ],
    [attributes, buffer.barycentrics],
  )
  for ours, reference in zip(theory, numeric, strict=True):
    np.testing.assert_allclose(ours, reference, atol=1e-9)  # bilinear: exact


@pytest.mark.parametrize("jit_compile", [False, True])
def test_see_surface_equals_rasterize_then_interpolate(jit_compile):
  vertices, triangles, attributes = scene()
  buffer = rasterize(vertices, triangles, CAMERA)

  def joint(vertices, attributes):
    rows = corner_rows(tf.concat([vertices, attributes], -1), triangles)
    return see_surface(rows, buffer.triangle_ids, CAMERA, jit_compile)

  weights, values = joint(vertices, attributes)
  np.testing.assert_allclose(weights, buffer.barycentrics, atol=1e-12)
  np.testing.assert_allclose(
    values, interpolate(attributes, triangles, buffer), atol=1e-12
  )
  upstream = [
    tf.constant(np.random.default_rng(1).normal(size=x.shape))
    for x in (weights, values)
  ]
  _, numeric = tf.test.compute_gradient(
    lambda v, a: tf.add_n(
      [tf.reduce_sum(x * u) for x, u in zip(joint(v, a), upstream, strict=True)]
    ),
    [vertices, attributes],
    delta=1e-5,
  )
  with tf.GradientTape() as tape:
    tape.watch([vertices, attributes])
    outputs = joint(vertices, attributes)
  gradients = tape.gradient(outputs, [vertices, attributes], upstream)
  for ours, reference in zip(gradients, numeric, strict=True):
    # Float64 central differences, step 1e-5, slopes up to 30.
    np.testing.assert_allclose(ours.numpy().ravel(), reference[0], atol=1e-6)


def test_gather_rows_leaves_out_negative_ids():
  rows = tf.constant([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]])
  ids = tf.constant([[[1, -1]], [[0, 0]]])
  with tf.GradientTape() as tape:
    tape.watch(rows)
    values = gather_rows(rows, ids)
  np.testing.assert_array_equal(values, [[[[3, 4], [0, 0]]], [[[5, 6], [5, 6]]]])
  slopes = tape.gradient(values, rows)
  np.testing.assert_array_equal(slopes, [[[0, 0], [1, 1]], [[2, 2], [0, 0]]])


def test_shade_preset():
  light = np.zeros((1, 9, 3), np.float32)
  light[0] = spherical_harmonics.ambient_light(0.5)
  light[0, 2] = [1.0, 0.0, -3.0]  # from the camera
  normals = tf.constant([[[0.0, 0, 1], [1, 0, 0]]])
  image, shading = shade(tf.fill([1, 2, 3], 0.8), normals, light)
  first = np.sqrt(3 / (4 * np.pi))  # Y_10 at the pole
  expected = [[0.5 + first, 0.5, 0.5 - 3 * first], [0.5, 0.5, 0.5]]  # not clamped
  np.testing.assert_allclose(shading[0], expected, atol=1e-6)  # float32
  np.testing.assert_allclose(image[0], 0.8 * np.array(expected), atol=1e-6)


def test_compiled_equals_part_forward_and_gradient():
  def part(x, index, y):
    return tf.sin(x) * y, tf.gather(y, index)

  x, y = tf.constant([0.3, 0.5]), tf.constant([2.0, -1.0])
  index = tf.constant([1, 1])
  found = []
  for function in (part, compiled(part)):
    with tf.GradientTape() as tape:
      tape.watch([x, y])
      outputs = function(x, index, y)
    found.append([*outputs, *tape.gradient(outputs, [x, y])])
  for ours, reference in zip(*found, strict=True):
    np.testing.assert_allclose(ours, tf.convert_to_tensor(reference), atol=1e-6)
