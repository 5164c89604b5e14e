import numpy as np
import pytest

from personalized_face.pipelines.known_expression import expression_figures

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
  assert len(figures) == 2 * (9 + 1)
