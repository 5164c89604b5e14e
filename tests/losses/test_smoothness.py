import numpy as np
from helpers import toy_template
from loss_numerics import assert_gradient, gradient

from personalized_face.core import topology
from personalized_face.losses.smoothness import shape_smoothness_loss

_TRIANGLES = toy_template().triangles
_EDGES = topology.edges(_TRIANGLES)


def _neighbours():
  """N_v of Eq. 6, from the triangles themselves."""
  found = [set() for _ in range(64)]
  for triangle in _TRIANGLES:
    for v in triangle:
      found[v] |= set(triangle.tolist()) - {v}
  return found


def test_shape_smoothness_loss_zero_for_a_translation():
  offsets = np.tile(np.array([0.3, -0.2, 0.1]), (2, 64, 1))
  assert float(shape_smoothness_loss(offsets, _EDGES)) == 0


def test_shape_smoothness_loss_preset():
  offsets = np.zeros((1, 64, 3))
  offsets[0, 0] = (0.3, 0, 0.4)  # a corner of the grid with 2 neighbours
  assert len(_neighbours()[0]) == 2
  # Each of its edges counts from both ends: 2 * 2 * 0.25.
  np.testing.assert_allclose(shape_smoothness_loss(offsets, _EDGES), 1.0, rtol=1e-15)


def test_shape_smoothness_loss_random_equals_loop():
  offsets = np.random.default_rng(0).normal(size=(2, 64, 3))
  total = 0.0
  for b in range(2):
    for v, neighbours in enumerate(_neighbours()):
      for u in neighbours:
        total += np.sum((offsets[b, v] - offsets[b, u]) ** 2)
  # Order of a sum of some hundred numbers.
  np.testing.assert_allclose(
    shape_smoothness_loss(offsets, _EDGES), total / 2, rtol=1e-12
  )


def test_shape_smoothness_loss_jacobian_random():
  offsets = np.random.default_rng(0).normal(size=(1, 64, 3))
  loss = lambda value: shape_smoothness_loss(value, _EDGES)  # noqa: E731
  assert_gradient(loss, offsets, step=1e-3)
  assert not gradient(loss, np.zeros_like(offsets)).any()
