"""core/uv.py against a loop-written bilinear look-up."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.uv import (
  VertexSampler,
  look_up,
  sample_uv,
  texel_index,
  texel_quads,
)


def loop_bilinear(texture, uv):
  """One point after the other; texel centres at (index + .5) / side."""
  side = texture.shape[0]
  result = np.zeros((len(uv), texture.shape[-1]))
  for i, (u, v) in enumerate(uv):
    x, y = u * side - 0.5, v * side - 0.5
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
      for column in (int(np.floor(x)), int(np.floor(x)) + 1):
        weight = (1 - abs(x - column)) * (1 - abs(y - row))
        texel = texture[min(max(row, 0), side - 1), min(max(column, 0), side - 1)]
        result[i] += weight * texel
  return result


def random_points(count, seed=0, margin=0.1):
  """Points that also leave [0, 1] a little, and the corners."""
  points = np.random.default_rng(seed).uniform(-margin, 1 + margin, (count, 2))
  points[:4] = [[0, 0], [1, 0], [0, 1], [1, 1]]
  return points


@pytest.mark.parametrize("side", [1, 2, 5, 16])
def test_sample_uv_equals_the_loop_version(side):
  rng = np.random.default_rng(0)
  maps = rng.normal(size=(2, side, side, 3))
  uv = random_points(80).reshape(2, 10, 4, 2)
  ours = sample_uv(tf.constant(maps), tf.constant(uv)).numpy()
  assert ours.shape == (2, 10, 4, 3)
  for i in range(2):
    expected = loop_bilinear(maps[i], uv[i].reshape(-1, 2)).reshape(10, 4, 3)
    np.testing.assert_allclose(ours[i], expected, atol=1e-12)  # float64


def test_sample_uv_preset_texel_centres():
  maps = np.arange(4.0).reshape(1, 2, 2, 1)
  centres = np.array([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]])
  values = sample_uv(tf.constant(maps), tf.constant(centres)).numpy()
  np.testing.assert_array_equal(values.ravel(), [0, 1, 2, 3])  # exact by construction


def test_sample_uv_jacobian_random():
  rng = np.random.default_rng(1)
  maps, uv = tf.constant(rng.normal(size=(2, 4, 4, 2))), random_points(12, margin=0)
  uv = tf.constant(np.clip(uv, 0.14, 0.86).reshape(2, 6, 2) + 1e-3)
  theory, numeric = tf.test.compute_gradient(sample_uv, [maps, uv], delta=1e-6)
  for ours, reference in zip(theory, numeric, strict=True):
    # Bilinear within a cell; float64 differences with step 1e-6.
    np.testing.assert_allclose(ours, reference, atol=1e-8)


def test_sample_uv_gradient_is_zero_beyond_the_border():
  uv = tf.constant([[[-0.2, 0.5], [0.5, 1.3]]], tf.float64)
  maps = tf.constant(np.random.default_rng(2).normal(size=(1, 4, 4, 1)))
  with tf.GradientTape() as tape:
    tape.watch(uv)
    values = sample_uv(maps, uv)
  slope = tape.gradient(values, uv).numpy()[0]
  assert slope[0, 0] == 0 and slope[1, 1] == 0
  assert slope[0, 1] != 0 and slope[1, 0] != 0


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_vertex_sampler_equals_the_loop_version(channels):
  rng = np.random.default_rng(3)
  uv, maps = random_points(60), rng.normal(size=(2, 6, 6, channels))
  ours = VertexSampler(uv, 6)(tf.constant(maps)).numpy()
  for i in range(2):
    np.testing.assert_allclose(ours[i], loop_bilinear(maps[i], uv), atol=1e-12)


def test_vertex_sampler_equals_sample_uv_in_float32():
  rng = np.random.default_rng(4)
  uv = random_points(300).astype(np.float32)
  maps = tf.constant(rng.normal(size=(1, 32, 32, 3)), tf.float32)
  # Positions up to 32 texels in float32: 2e-6 of a texel.
  np.testing.assert_allclose(
    VertexSampler(uv, 32)(maps), sample_uv(maps, uv[np.newaxis]), atol=2e-5
  )


def test_vertex_sampler_jacobian_random():
  # 40 vertices over 16 texels: some texels have more readers than a table's width.
  maps = tf.constant(np.random.default_rng(5).normal(size=(2, 4, 4, 2)))
  sampler = VertexSampler(random_points(40), 4)
  theory, numeric = tf.test.compute_gradient(sampler, [maps])
  np.testing.assert_allclose(theory[0], numeric[0], atol=1e-10)  # linear: exact


def test_vertex_sampler_full_size_gradient_repeats_bit_for_bit():
  rng = np.random.default_rng(6)
  sampler = VertexSampler(rng.uniform(size=(12264, 2)), 128)
  maps = tf.constant(rng.normal(size=(1, 128, 128, 3)), tf.float32)
  weights = tf.constant(rng.normal(size=(1, 12264, 3)), tf.float32)

  @tf.function
  def gradient():
    with tf.GradientTape() as tape:
      tape.watch(maps)
      value = tf.reduce_sum(sampler(maps) * weights)
    return tape.gradient(value, maps)

  np.testing.assert_array_equal(gradient(), gradient())


def test_compiled_equals_eager():
  rng = np.random.default_rng(7)
  maps = tf.constant(rng.normal(size=(2, 8, 8, 3)), tf.float32)
  uv = tf.constant(random_points(40).reshape(2, 20, 2), tf.float32)
  compiled = tf.function(sample_uv, jit_compile=True)
  # Fused multiply-add rounds differently.
  np.testing.assert_allclose(compiled(maps, uv), sample_uv(maps, uv), atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_look_up_leaves_out_negative_indices(jit_compile):
  maps = tf.constant(np.random.default_rng(8).normal(size=(1, 4, 4, 2)))
  uv = tf.constant([[0.4, 0.6], [0.7, 0.3]], tf.float64)
  index, place = texel_index(uv, 4)
  index = tf.where([True, False], index, -1)
  with tf.GradientTape() as tape:
    tape.watch([maps, place])
    values = look_up(texel_quads(maps)[0], index, place, jit_compile)
  expected = loop_bilinear(maps[0].numpy(), uv.numpy())[0]
  np.testing.assert_allclose(values, [expected, [0, 0]], atol=1e-12)
  to_maps, to_place = tape.gradient(values, [maps, place])
  assert to_maps.numpy().sum() == pytest.approx(2)  # one point's weights, 2 channels
  assert to_place[0].numpy().all() and not to_place[1].numpy().any()
