"""UV pyramids: what upsampling does, and which level learns when."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.uv import sample_uv
from personalized_face.fitting.pyramid import UvPyramid, upsampling_matrix


def test_map_starts_at_zero_and_is_the_sum_of_its_levels():
  pyramid = UvPyramid(16, 3, (4, 16))
  assert np.abs(pyramid()).max() == 0
  pyramid.levels[0].assign(tf.ones([4, 4, 3]))
  pyramid.levels[1].assign(2 * tf.ones([16, 16, 3]))
  np.testing.assert_allclose(pyramid(), 3.0, rtol=1e-6)  # float32 rounding


def test_upsampling_reads_a_level_as_a_uv_map_is_read():
  # The same place on the face means the same at every level: texel centres agree with
  # core/uv.py, or a fine level would start off by half a texel of the coarse one.
  level = np.random.default_rng(0).normal(size=[5, 5, 2]).astype(np.float32)
  pyramid = UvPyramid(20, 2, (5,))
  pyramid.levels[0].assign(level)
  centres = (np.arange(20, dtype=np.float32) + 0.5) / 20
  uv = np.stack(np.meshgrid(centres, centres), -1)  # [..., (u, v)]
  expected = sample_uv(tf.constant(level[None]), tf.constant(uv[None]))[0]
  np.testing.assert_allclose(pyramid(), expected, atol=1e-5)  # float32 rounding


def test_one_texel_is_a_constant_map():
  np.testing.assert_allclose(upsampling_matrix(1, 8), np.ones([8, 1]))


def test_levels_finer_than_the_map_are_the_map_itself():
  assert [v.shape[0] for v in UvPyramid(16, 3, (8, 64, 128)).levels] == [8, 16]


def test_coarse_levels_learn_first_and_all_learn_in_the_second_half():
  pyramid = UvPyramid(16, 3, (4, 8, 16))
  assert pyramid.shares(0.0) == [1.0, 0.0, 0.0]
  early = pyramid.shares(0.1)
  assert early[0] == 1.0 and 0 < early[1] < 1 and early[2] == 0.0
  assert pyramid.shares(0.5) == [1.0, 1.0, 1.0]


def test_finer_levels_can_be_slower():
  assert UvPyramid(16, 3, (4, 16), slowing=0.5).shares(1.0) == [1.0, 0.5]


def test_pyramid_without_levels_is_refused():
  with pytest.raises(ValueError, match="at least one texel"):
    UvPyramid(16, 3, ())
