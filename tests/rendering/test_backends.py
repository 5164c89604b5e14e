"""All backends against each other: the whole picture and its gradients."""

import os

import brute_force
import meshes
import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core import spherical_harmonics
from personalized_face.rendering import tf_mesh_renderer
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.kernels import build
from personalized_face.rendering.renderer import RendererLayer

CAMERA = Camera(30, 34, 150.0, 17.3, 15.1)
# tf_mesh_renderer computes in float32: a centre nearer to an edge is undecided, pixels.
UNDECIDED = 2e-3


def picture_and_gradients(backend, antialias):
  """Image and parsing [2, H, W, ...], and gradients to vertices, maps and light."""
  sheet, triangles, uv = meshes.grid(8)
  sheet = sheet + [0.02, 0.01, -10]
  half = len(triangles) // 2
  hole = [24, 25, 24 + half, 25 + half]
  rng = np.random.default_rng(0)
  layer = RendererLayer(
    np.delete(triangles, hole, axis=0),
    triangles[hole],
    uv,
    rng.uniform(size=(6, 6, 3)).astype(np.float32),
    CAMERA,
    backend=backend,
    antialias=antialias,
  )
  order = np.concatenate([np.delete(triangles, hole, axis=0), triangles[hole]])
  light = spherical_harmonics.ambient_light(0.8) + rng.normal(scale=0.1, size=(9, 3))
  vertices = np.stack([sheet, sheet * [1.1, 0.9, 1] + [0.1, 0, 0]])
  inputs = [vertices, rng.uniform(size=(2, 9, 9, 3)), np.stack([light, 1.1 * light])]
  inputs = [tf.constant(x[np.newaxis], tf.float32) for x in inputs]
  margins = [brute_force.rasterize(v, order, CAMERA)[2] for v in vertices]
  keep = np.stack(margins) > UNDECIDED
  assert keep.mean() > 0.9
  weights = rng.normal(size=(2, CAMERA.height, CAMERA.width, 6)) * keep[..., None]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = layer(*inputs)
    values = tf.concat([outputs.image[0], outputs.parsing[0]], axis=-1)
    total = tf.reduce_sum(values * tf.constant(weights, tf.float32))
  return values.numpy() * keep[..., None], tape.gradient(total, inputs)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("backend", ["cpu", "tf_mesh_renderer"])
def test_backends_give_the_same_picture_and_gradients(backend, antialias):
  if backend == "cpu" and build.load() is None:
    pytest.skip("there is no C++ compiler here")
  built = os.path.exists(tf_mesh_renderer.library_path())
  if backend == "tf_mesh_renderer" and not built:
    pytest.skip("pface_build_tf_mesh_renderer has not been run")
  picture, gradients = picture_and_gradients(backend, antialias)
  expected, slopes = picture_and_gradients("xla", antialias)
  # Rounding of float32 vertices of 10 dm moves a pixel's uv by 1e-5.
  np.testing.assert_allclose(picture, expected, atol=1e-4)
  for ours, theirs in zip(gradients, slopes, strict=True):
    scale = np.abs(theirs).max()
    assert scale > 0.1
    np.testing.assert_allclose(ours, theirs, atol=2e-3 * scale)
