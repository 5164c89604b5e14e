import numpy as np
import pytest
from toy_clip import toy_system

from personalized_face.core.types import PersonModel
from personalized_face.pipelines.known_truth import (
  KnownTruth,
  expression_figures,
  shape_figures,
)
from personalized_face.template.attention import texel_operator

NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "noseSneer_L")


def test_expression_figures_are_means_over_the_frames_that_show_a_group():
  truth = np.array(
    [[0.5, 0, 0, 0], [0.3, 0.4, 0.1, 1], [0.1, 0.1, 0.1, 1], [np.nan] * 4]
  )
  errors = np.array([[0.1, 9, 9, 9], [0.3, 0.2, -0.4, 9], [9, 9, 9, 9], [9] * 4])
  figures = expression_figures(NAMES, truth + errors, truth + 0.01, truth)
  assert figures["expression_mouth_open"] == pytest.approx((0.1 + 0.3) / 2)
  assert figures["expression_smile"] == pytest.approx(0.3)  # one frame, both sides
  assert figures["expression_average"] == pytest.approx(0.25)
  assert figures["prior_expression_average"] == pytest.approx(0.01)
  assert figures["expression_kiss"] is None
  assert len(figures) == 2 * (9 + 3) + 1


def test_coefficients_beside_zero():
  truth = np.zeros([5, 4])
  truth[:, 0] = [0.0, 0.2, 0.4, 0.2, 0.0]
  truth[:, 1] = [0.5, 0.1, 0.3, 0.0, 0.2]
  found = truth / 2
  found[:, 1] = 0.3  # does not follow
  figures = expression_figures(NAMES, found, truth, truth)
  assert figures["expression_mae_of_zero"] == pytest.approx(np.abs(truth).mean())
  assert figures["expression_mae"] == pytest.approx(np.abs(found - truth).mean())
  # Of the two shapes that move one follows: the others do not count.
  assert figures["expression_correlation"] == pytest.approx(0.5)
  assert figures["prior_expression_correlation"] == pytest.approx(1.0)


def _person(system, neutral=0.0, gain=1.0):
  flat = system.face_model.template_person(1)
  person = PersonModel(*(np.array(part)[0] for part in flat))
  rng = np.random.default_rng(0)
  person.neutral_correction[...] += neutral * rng.normal(
    size=person.neutral_correction.shape
  )
  person.static_albedo[...] *= gain
  return person


def test_shape_and_albedo_are_measured_against_the_truth():
  system = toy_system()
  truth = KnownTruth(
    np.random.default_rng(1).uniform(size=[3, system.template.num_blendshapes]),
    _person(system, neutral=0.05),
  )
  truth.expression[0] = np.nan
  found = np.nan_to_num(truth.expression)
  figures = shape_figures(system, truth.person, found, found, truth)
  assert figures["neutral_mm"] == pytest.approx(0, abs=1e-3)
  assert figures["vertex_mm"] == pytest.approx(0, abs=1e-3)
  assert figures["albedo_255"] == pytest.approx(0, abs=1e-3)
  assert figures["prior_neutral_mm"] > 1
  # A free size never fits worse.
  assert 0 < figures["prior_neutral_scaled_mm"] <= figures["prior_neutral_mm"]
  # At the true coefficients the template misses the neutral's correction alone.
  assert figures["prior_vertex_mm"] == pytest.approx(
    figures["prior_neutral_mm"], rel=0.2
  )


def test_a_gain_of_the_albedo_is_the_lights():
  system = toy_system()
  truth = KnownTruth(np.zeros([1, system.template.num_blendshapes]), _person(system))
  brighter = _person(system, gain=np.float32([1.5, 1.2, 0.9]))
  figures = shape_figures(system, brighter, truth.expression, truth.expression, truth)
  assert figures["albedo_255"] == pytest.approx(0, abs=1e-3)
  other = _person(system)
  other.static_albedo[...] = np.random.default_rng(2).uniform(
    size=other.static_albedo.shape
  )
  figures = shape_figures(system, other, truth.expression, truth.expression, truth)
  assert figures["albedo_255"] > 5
  template = system.template
  _, used = texel_operator(template.uv, template.triangles, template.uv_size)
  outside = _person(system)
  outside.static_albedo[~used] = 9.0  # no vertex and no pixel ever sees it
  figures = shape_figures(system, outside, truth.expression, truth.expression, truth)
  assert (~used).any() and figures["albedo_255"] == pytest.approx(0, abs=1e-3)
