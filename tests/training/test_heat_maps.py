"""The sheet of corrections: a length has one colour at every step and in every run."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from helpers import toy_template

from personalized_face.training.heat_maps import FULL_SCALE_MM, correction_sheet


@pytest.mark.parametrize(("millimetres", "share"), [(0.0, 0.0), (1.5, 0.5), (9.0, 1.0)])
def test_a_length_has_one_colour(millimetres, share):
  template = toy_template()
  everywhere = np.ones_like(template.attention_masks)
  template = dataclasses.replace(template, attention_masks=everywhere)
  # Along a slanted direction: 3-4-5.
  vector = 0.01 * millimetres * np.array([0.6, 0.0, -0.8])  # decimetres
  corrections = np.zeros([*everywhere.shape, 3], np.float32) + vector
  sheet = correction_sheet(corrections, template)
  assert FULL_SCALE_MM == 3
  colour = np.round(255 * np.array(matplotlib.colormaps["inferno"](share)[:3]))
  # float32 may fall into the colour map's next entry: 4 levels at most.
  np.testing.assert_allclose(sheet[:90, :90], colour + np.zeros([90, 90, 1]), atol=4)


def test_what_attention_leaves_out_is_black():
  template = toy_template()
  nowhere = np.zeros_like(template.attention_masks)
  nowhere[..., 1] = 1  # the second blendshape's
  template = dataclasses.replace(template, attention_masks=nowhere)
  sheet = correction_sheet(np.ones([*nowhere.shape, 3], np.float32), template)
  assert sheet[:90, :90].max() <= 4 and sheet[:90, 100:180].min() > 100
