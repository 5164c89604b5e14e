import numpy as np
import pytest
from loss_numerics import assert_gradient

from personalized_face.core.types import PARSING_CLASSES
from personalized_face.losses.parsing import parsing_loss


def _random(side=4):
  rng = np.random.default_rng(0)
  predicted = rng.dirichlet(np.ones(8), size=(2, 3, side, side))
  return predicted, rng.integers(0, 8, size=(2, 3, side, side)).astype(np.int32)


def test_parsing_loss_zero_at_ground_truth():
  _, labels = _random()
  assert float(parsing_loss(np.eye(8, dtype=np.float32)[labels], labels)) == 0


def test_parsing_loss_preset():
  labels = np.array([[[[0, 1], [2, 3]]]], np.int32)
  predicted = np.eye(8, dtype=np.float32)[labels]
  predicted[0, 0, 1, 1] = np.eye(8)[5]  # one of four pixels surely wrong: 2
  assert float(parsing_loss(predicted, labels)) == 2 / 4
  predicted[0, 0, 1, 1] = np.eye(8)[3] * 0.5 + np.eye(8)[5] * 0.5  # .25 + .25
  assert float(parsing_loss(predicted, labels)) == 0.5 / 4


def test_parsing_loss_random_equals_loop():
  predicted, labels = _random()
  total = 0.0
  for b, n in np.ndindex(2, 3):
    pixels = []
    for y, x in np.ndindex(4, 4):
      truth = [float(labels[b, n, y, x] == c) for c in range(8)]
      pixels.append(sum((predicted[b, n, y, x, c] - truth[c]) ** 2 for c in range(8)))
    total += sum(pixels) / len(pixels)
  np.testing.assert_allclose(parsing_loss(predicted, labels), total / 2, rtol=1e-12)


def test_parsing_loss_jacobian_random():
  predicted, labels = _random(side=2)
  assert_gradient(lambda value: parsing_loss(value, labels), predicted)


def test_without_outline_skin_and_background_are_one_class():
  rng = np.random.default_rng(3)
  count = len(PARSING_CLASSES)
  predicted = rng.dirichlet(np.ones(count), size=(1, 1, 6, 6)).astype(np.float32)
  labels = rng.integers(0, count, (1, 1, 6, 6))
  skin, background = (PARSING_CLASSES.index(n) for n in ("skin", "background"))
  swapped = np.where(labels == skin, background, labels)
  one = float(parsing_loss(predicted, labels, outline=False))
  again = float(parsing_loss(predicted, swapped, outline=False))
  assert one == pytest.approx(again, rel=1e-6)
  whole, other = (float(parsing_loss(predicted, n)) for n in (labels, swapped))
  assert whole != pytest.approx(other, rel=0.01)
  # By hand: what is said of the two classes is summed before it is compared.
  difference = predicted - np.eye(count)[labels]
  both = difference[..., [skin, background]].sum(-1)
  others = [i for i in range(count) if i not in (skin, background)]
  squared = (difference[..., others] ** 2).sum(-1) + both**2
  assert one == pytest.approx(squared.mean(), rel=1e-5)
