"""Both sides alike, unless it is worth its price; the l1 from what is expected."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.types import Tracking
from personalized_face.fitting.expression_prior import (
  ExpressionPrior,
  beyond_expected,
)

NAMES = ["jawOpen", "eyeBlink_L", "eyeBlink_R", "jawLeft", "jawRight", "unnamed"]


def test_a_blink_of_both_eyes_is_free_and_a_wink_has_its_price():
  prior = ExpressionPrior(NAMES, asymmetry=0.5)
  blink = tf.constant([[[0.7, 0.9, 0.9, 0.3, 0.0, 0.4]]])
  assert float(prior(blink)) == 0
  wink = tf.constant([[[0.7, 0.9, 0.1, 0.3, 0.0, 0.4]]])
  assert float(prior(wink)) == pytest.approx(0.4)


def test_frames_add_up():
  prior = ExpressionPrior(NAMES, asymmetry=1.0)
  frame = np.array([0, 0.5, 0.25, 0, 0, 0], np.float32)
  assert float(prior(np.stack([frame, 2 * frame])[np.newaxis])) == pytest.approx(0.75)


def test_unknown_names_have_no_price():
  prior = ExpressionPrior(["a", "b"])
  assert float(prior(tf.ones([1, 2, 2]))) == 0
  with pytest.raises(ValueError, match="expression"):
    prior(tf.ones([1, 2, 3]))


def test_the_l1_is_taken_from_what_is_expected():
  tracking = Tracking(tf.fill([1, 1, 2], 0.5), None, None, None)
  beyond = beyond_expected(tracking, tf.constant([[0.1, 0.7]])).expression
  np.testing.assert_allclose(beyond, [[[0.4, -0.2]]], rtol=1e-6)
