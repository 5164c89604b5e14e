"""Templates with smaller UV maps."""

import dataclasses

import numpy as np
import pytest
from helpers import toy_template

from personalized_face.template.resize import with_uv_size


def test_maps_are_averaged_and_the_mesh_stays():
  rng = np.random.default_rng(0)  # the toy's own maps are the same in each block
  large = toy_template(uv_size=32)
  labels = rng.uniform(size=large.parsing_map.shape)
  large = dataclasses.replace(
    large,
    mean_albedo=rng.uniform(size=large.mean_albedo.shape).astype(np.float32),
    parsing_map=(labels / labels.sum(-1, keepdims=True)).astype(np.float32),
  )
  small = with_uv_size(large, 16)
  assert small.uv_size == 16
  for texel in ((0, 0), (5, 9), (15, 15)):
    row, column = 2 * texel[0], 2 * texel[1]
    for field in ("mean_albedo", "parsing_map"):
      block = getattr(large, field)[row : row + 2, column : column + 2]
      expected = block.mean(axis=(0, 1))
      np.testing.assert_allclose(getattr(small, field)[texel], expected, rtol=1e-6)
  np.testing.assert_allclose(small.parsing_map.sum(-1), 1, rtol=1e-6)  # float32
  np.testing.assert_array_equal(small.vertices, large.vertices)
  # Each blendshape may still be corrected, somewhere in full.
  assert small.attention_masks.shape == (16, 16, 3)
  assert (small.attention_masks.max(axis=(0, 1)) > 0.5).all()
  assert small.hash != large.hash


def test_the_same_size_is_the_same_template():
  assert with_uv_size(toy_template(), 16) is toy_template()


def test_larger_or_odd_sizes_are_refused():
  for size in (32, 5):
    with pytest.raises(ValueError, match="16 texels do not shrink"):
      with_uv_size(toy_template(), size)
