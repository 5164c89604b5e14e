"""What a row of the ablation leaves out, and what a clip did not show."""

import numpy as np
import pytest

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.fitting.ablation import ablated
from personalized_face.fitting.fit import Phase
from personalized_face.fitting.unseen import unseen, without_unseen
from personalized_face.losses.total import LossWeights

PHASES = [
  (Phase("all", 5, neutral=1, static_albedo=1, dynamic_albedo=1), LossWeights())
]


def test_each_row_adds_what_the_table_says():
  b, c, d, final = (ablated(PHASES, row)[0] for row in ("b", "c", "d", "final"))
  assert b[0].neutral == 1 and b[0].static_albedo == b[0].dynamic_albedo == 0
  assert c[0] == PHASES[0][0] and c[1].parsing == c[1].image_gradient == 0
  assert d[1].parsing > 0 and d[1].image_gradient == 0
  assert final == PHASES[0]


def test_the_prior_has_nothing_to_fit():
  with pytest.raises(ValueError, match="not 'a'"):
    ablated(PHASES, "a")


def test_what_was_not_shown_is_said():
  names = ("eyeBlink_L", "eyeBlink_R", "jawOpen")
  expression = np.float32([[0.1, 0.9, 0.8], [0.0, 0.1, 0.1]])
  rotation = np.float32([[0, -0.3, 0], [0, 0.3, 0]])
  light, translation = np.zeros([2, 9, 3]), np.zeros([2, 3])
  tracking = Tracking(expression, rotation, translation, light)
  assert unseen(tracking, names) == [
    "No frame with closed eyes: eyeBlink_L keeps the template's shape."
  ]
  still = tracking._replace(rotation=rotation * 0, expression=expression + 0.3)
  (sentence,) = unseen(still, names)
  assert sentence.startswith("The head turns by 0 degrees only")


def test_what_was_hardly_shown_is_hardly_corrected():
  expression = np.float32([[0.1, 0.0, 0.8], [0.05, 0.0, 0.3]])
  tracking = Tracking(expression, np.zeros([2, 3]), np.zeros([2, 3]), None)
  ones = np.ones([4, 4, 3, 3], np.float32)  # [U, U, K, 3]
  person = PersonModel(ones[:, :, 0], ones, 2 * ones[:, :, 0], 3 * ones)
  kept = without_unseen(person, tracking)
  # 0.1 of the 0.25 that show a blendshape; nothing; all.
  np.testing.assert_allclose(kept.blendshape_corrections[1, 2, :, 0], [0.4, 0, 1])
  np.testing.assert_allclose(kept.dynamic_albedo[3, 0, :, 2], [1.2, 0, 3], rtol=1e-6)
  np.testing.assert_array_equal(kept.neutral_correction, person.neutral_correction)
  np.testing.assert_array_equal(kept.static_albedo, person.static_albedo)
