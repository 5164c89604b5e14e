"""The gaps of lids and lips."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.fitting.openings import opening_loss
from personalized_face.metrics.landmarks import eye_opening, mouth_opening


def points(seed=0):
  return np.random.default_rng(seed).uniform(0, 224, [1, 2, 68, 2])


def test_opening_loss_preset():
  target = points()
  predicted = target.copy()
  predicted[0, 0, 37] += [0.0, 3.0]  # the gap to 41 is 3 px less
  predicted[0, 1, 66] += [4.0, 0.0]  # the gap to 62
  # Mean over 7 pairs, sum over the frames.
  expected = (9 + 16) / 7
  got = opening_loss(tf.constant(predicted), tf.constant(target), 224)
  assert float(got) == pytest.approx(expected, rel=1e-9)
  # At half the size a pixel is two of 224.
  got = opening_loss(tf.constant(predicted), tf.constant(target), 112)
  assert float(got) == pytest.approx(4 * expected, rel=1e-9)


def test_what_moves_together_costs_nothing():
  target = points()
  moved = target + [5.0, -2.0]
  moved[:, :, :17] += 7.0  # the jaw opens nothing here
  # Float64 differences of some 100.
  got = opening_loss(tf.constant(moved), tf.constant(target), 224)
  assert float(got) == pytest.approx(0.0, abs=1e-20)


def test_its_pairs_are_those_of_the_metrics():
  """Descending it leads eyes and mouth to the target's opening, wherever they are."""
  target, found = points(1), tf.Variable(points(2))
  for _ in range(40):
    with tf.GradientTape() as tape:
      loss = opening_loss(found, tf.constant(target), 224)
    found.assign_sub(tape.gradient(loss, found))
  # The openings' gaps, before they are divided by a width, which stays as it was.
  for opening, width in ((eye_opening, (36, 39)), (mouth_opening, (36, 45))):
    shape = found.numpy()
    shape[..., width, :] = target[..., width, :]
    if opening is eye_opening:
      shape[..., (42, 45), :] = target[..., (42, 45), :]
    np.testing.assert_allclose(opening(shape), opening(target), rtol=1e-4)
