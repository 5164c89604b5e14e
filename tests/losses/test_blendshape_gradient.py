import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from loss_numerics import assert_gradient, gradient

from personalized_face.core import rotation
from personalized_face.core.uv import VertexSampler
from personalized_face.losses.blendshape_gradient import FORMS, BlendshapeGradientLoss


def _masks(template):
  """[V, K] F(A_i)."""
  sampler = VertexSampler(template.uv, template.uv_size)
  return sampler(tf.constant(template.attention_masks[None]))[0].numpy()


def _everywhere(template):
  """The template with A_i = 1: every pair is active."""
  ones = np.ones_like(template.attention_masks)
  return dataclasses.replace(template, attention_masks=ones)


def _random_offsets(template, persons=1, scale=0.05, seed=0):
  """[B, V, K, 3] float64, masked as F(A_i Delta_i) is."""
  masks = _masks(template).astype(np.float64)
  noise = np.random.default_rng(seed).normal(size=(persons, *masks.shape, 3))
  return scale * noise * masks[..., None]


def _frame(corners, form):
  """Columns v2 - v1, v3 - v1 and, for the full form, v4 - v1."""
  a, b = corners[1] - corners[0], corners[2] - corners[0]
  if form == "in_plane":
    return np.stack([a, b], axis=1)
  normal = np.cross(a, b)
  return np.stack([a, b, normal / np.sqrt(np.linalg.norm(normal))], axis=1)


def _loop(template, offsets, form):
  """Eq. 7, densely: every blendshape, every triangle, by inverting its frame."""
  total = 0.0
  for b in range(offsets.shape[0]):
    for k, delta in enumerate(template.blendshape_deltas.astype(np.float64)):
      blendshape = template.vertices + delta
      for triangle in template.triangles:
        inverse = np.linalg.pinv(
          _frame(template.vertices[triangle].astype(np.float64), form)
        )
        of_template = _frame(blendshape[triangle], form) @ inverse
        corrected = blendshape[triangle] + offsets[b, triangle, k]
        total += np.sum((_frame(corrected, form) @ inverse - of_template) ** 2)
  return total / offsets.shape[0] / len(template.triangles)


def _loss(template, form="fourth_vertex", dtype=tf.float64):
  return BlendshapeGradientLoss(template, form, dtype)


@pytest.mark.parametrize("form", FORMS)
def test_blendshape_gradient_random_equals_dense_loop(form):
  template = toy_template()
  loss = _loss(template, form)
  # Some pairs are left out, or this would not test that they may be.
  assert 0 < loss.num_pairs < 92 * 3
  offsets = _random_offsets(template, persons=2)
  # Inverses and another order of the sums, in float64.
  np.testing.assert_allclose(loss(offsets), _loop(template, offsets, form), rtol=1e-10)


def test_active_pairs_are_those_with_a_corner_on_the_mask():
  template = toy_template()
  masks = _masks(template)
  count = 0
  for triangle in template.triangles:
    for k in range(3):
      count += any(masks[v, k] > 0 for v in triangle)
  assert _loss(template).num_pairs == count


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blendshape_gradient_zero_without_corrections(form, dtype):
  template = toy_template()
  loss = _loss(template, form, tf.as_dtype(dtype))
  zeros = np.zeros((2, 64, 3, 3), dtype)
  assert float(loss(zeros)) == 0
  assert not gradient(loss, zeros).any()


@pytest.mark.parametrize("form", FORMS)
def test_blendshape_gradient_zero_for_a_translation(form):
  template = _everywhere(toy_template())
  offsets = np.tile(np.array([0.5, -0.25, 1.0]), (1, 64, 3, 1))
  # Exact sides: the differences of equal numbers.
  assert float(_loss(template, form)(offsets)) == 0


def test_blendshape_gradient_of_a_rotation_preset():
  template = _everywhere(toy_template())
  still = dataclasses.replace(
    template, blendshape_deltas=np.zeros_like(template.blendshape_deltas)
  )
  matrix = rotation.rotation_matrix(np.array([0.3, 0.0, 0.0])).numpy()
  moved = still.vertices @ (matrix.T - np.eye(3))
  offsets = np.zeros((1, 64, 3, 3))
  offsets[0, :, 1] = moved
  # G = I becomes G = R for one of the blendshapes: ||R - I||_F^2 = 4 (1 - cos angle).
  # The vertices are float32, their frames' inverses float64.
  np.testing.assert_allclose(_loss(still)(offsets), 4 * (1 - np.cos(0.3)), rtol=1e-9)


@pytest.mark.parametrize("form, dimensions", [("fourth_vertex", 3), ("in_plane", 2)])
def test_blendshape_gradient_of_a_scaling_preset(form, dimensions):
  template = _everywhere(toy_template())
  shapes = template.vertices.astype(np.float64) + template.blendshape_deltas
  still = dataclasses.replace(
    template, blendshape_deltas=np.zeros_like(template.blendshape_deltas)
  )
  offsets = 0.1 * np.transpose(still.vertices + np.zeros((3, 1, 1)), (1, 0, 2))[None]
  # G = I becomes 1.1 I, in three dimensions or in the triangle's two; 3 blendshapes.
  expected = 3 * dimensions * 0.1**2
  np.testing.assert_allclose(_loss(still, form)(offsets), expected, rtol=1e-9)
  # Where S_i deforms S_0 already, G_i becomes 1.1 G_i.
  offsets = 0.1 * np.transpose(shapes, (1, 0, 2))[None]
  np.testing.assert_allclose(
    _loss(template, form)(offsets), _loop(template, offsets, form), rtol=1e-9
  )


def test_forms_differ_by_the_fourth_vertex():
  template = toy_template()
  offsets = _random_offsets(template)
  full, in_plane = (float(_loss(template, form)(offsets)) for form in FORMS)
  assert full > in_plane > 0


@pytest.mark.parametrize("form", FORMS)
def test_blendshape_gradient_jacobian_random(form):
  template = toy_template()
  # Larger than life, so that the normals turn far.
  offsets = _random_offsets(template, scale=0.1)
  loss = _loss(template, form)
  assert_gradient(loss, offsets)
  found = gradient(loss, offsets)
  touched = np.zeros((64, 3), bool)
  masks = _masks(template)
  for triangle in template.triangles:
    touched[triangle] |= (masks[triangle] > 0).any(axis=0)
  assert not found[0][~touched].any()


@pytest.mark.parametrize("form", FORMS)
def test_blendshape_gradient_finite_on_a_collapsed_mesh(form):
  template = _everywhere(toy_template())
  shapes = template.vertices + template.blendshape_deltas
  offsets = -np.transpose(shapes, (1, 0, 2))[None].astype(np.float32)
  loss = _loss(template, form, tf.float32)
  assert np.isfinite(float(loss(offsets)))
  assert np.isfinite(gradient(loss, offsets)).all()


def test_blendshape_gradient_leaves_out_slivers():
  template = toy_template()
  # A straight row of points, one point twice, and a needle with its short side first.
  flat = np.array([[0, 1, 2], [5, 5, 6], [1, 62, 56]], np.int32)
  triangles = np.concatenate([template.triangles, flat])
  vertices = template.vertices.copy()
  vertices[1] = (vertices[0] + vertices[2]) / 2
  vertices[62] = vertices[1] + (0, 0, 0.01)  # 1.7 dm from vertex 56
  straight = dataclasses.replace(template, vertices=vertices)
  longer = dataclasses.replace(straight, triangles=triangles)
  offsets = _random_offsets(template)
  np.testing.assert_allclose(
    _loss(longer)(offsets) * len(triangles),
    _loss(straight)(offsets) * len(template.triangles),
    rtol=1e-12,
  )


def test_blendshape_gradient_exception_raised():
  with pytest.raises(ValueError, match="forth_vertex"):
    BlendshapeGradientLoss(toy_template(), "forth_vertex")
  with pytest.raises(ValueError, match="blendshape_offsets has shape"):
    _loss(toy_template())(np.zeros((1, 64, 9)))


@functools.cache
def full_size_template():
  """12,264 vertices, 24,000 triangles, 56 blendshapes, a fifth of the pairs active."""
  rows, columns, blendshapes, side = 84, 146, 56, 128
  rng = np.random.default_rng(0)
  row, column = (grid.ravel() for grid in np.mgrid[0:rows, 0:columns])
  vertices = np.stack([column * 0.01, -row * 0.02, 0.2 * np.sin(row * 0.1)], -1)
  index = np.arange(rows * columns).reshape(rows, columns)
  a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
  c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
  triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
  uv = np.stack([column / (columns - 1), row / (rows - 1)], -1)
  masks = np.zeros((side, side, blendshapes))
  for k in range(blendshapes):
    y, x = rng.integers(0, side - 56, size=2)
    masks[y : y + 56, x : x + 56, k] = 1
  toy = toy_template()
  return dataclasses.replace(
    toy,
    vertices=vertices.astype(np.float32),
    triangles=triangles[:24000].astype(np.int32),
    uv=uv.astype(np.float32),
    blendshape_names=tuple(f"shape{k}" for k in range(blendshapes)),
    blendshape_deltas=rng.normal(
      scale=0.002, size=(blendshapes, len(vertices), 3)
    ).astype(np.float32),
    attention_masks=masks.astype(np.float32),
    mean_albedo=np.zeros((side, side, 3), np.float32),
    parsing_map=np.zeros((side, side, 8), np.float32),
    mirror_vertices=np.arange(len(vertices), dtype=np.int32),
  )


def _dense(template, offsets, form):
  """`_loop` for the full size: all triangles of a blendshape at once."""

  def frames(corners):
    sides = [corners[:, i] - corners[:, 0] for i in (1, 2)]
    if form == "fourth_vertex":
      normal = np.cross(*sides)
      length = np.linalg.norm(normal, axis=-1, keepdims=True)
      sides.append(normal / np.sqrt(length))
    return np.stack(sides, axis=-1)

  triangles = template.triangles
  vertices = template.vertices.astype(np.float64)
  inverse = np.linalg.pinv(frames(vertices[triangles]))
  total = 0.0
  for k, delta in enumerate(template.blendshape_deltas):
    blendshape = (vertices + delta)[triangles]
    change = frames(blendshape + offsets[0][triangles, k]) - frames(blendshape)
    total += np.sum((change @ inverse) ** 2)
  return total / len(triangles)


@pytest.mark.parametrize("form", FORMS)
def test_blendshape_gradient_full_size(form):
  template = full_size_template()
  assert template.num_vertices == 12264 and len(template.triangles) == 24000
  loss = BlendshapeGradientLoss(template, form)
  assert 0.15 < loss.num_pairs / (24000 * 56) < 0.25
  offsets = _random_offsets(template, scale=0.003)
  # Float32 against float64: 1e-7 of each of 270,000 squares.
  found = loss(offsets.astype(np.float32))
  np.testing.assert_allclose(found, _dense(template, offsets, form), rtol=1e-5)
