import numpy as np
from loss_numerics import assert_gradient

from personalized_face.losses.landmark import landmark_loss, landmark_weights


def _random(frames=3):
  rng = np.random.default_rng(0)
  return rng.uniform(0, 224, size=(2, 2, frames, 68, 2))


def test_landmark_weights_preset():
  weights = landmark_weights()
  assert weights[:17].tolist() == [0.5] * 17
  assert weights[17:].tolist() == [1.0] * 51


def test_landmark_loss_zero_at_ground_truth():
  points, _ = _random()
  assert float(landmark_loss(points, points, 224, landmark_weights())) == 0


def test_landmark_loss_preset():
  target = np.zeros((1, 1, 68, 2), np.float32)
  jaw, nose = target.copy(), target.copy()
  jaw[..., 3, :] = (3, 4)  # 5 px of a 112 px crop are 10 of a 224 px one
  nose[..., 30, :] = (3, 4)
  weights = landmark_weights()
  total = 17 * 0.5 + 51
  # Float32 sums.
  np.testing.assert_allclose(
    landmark_loss(jaw, target, 112, weights), 0.5 * 100 / total, rtol=1e-6
  )
  np.testing.assert_allclose(
    landmark_loss(nose, target, 112, weights), 100 / total, rtol=1e-6
  )
  everywhere = target + np.array([3, 4], np.float32)
  np.testing.assert_allclose(
    landmark_loss(everywhere, target, 224, weights), 25, rtol=1e-6
  )


def test_landmark_loss_random_equals_loop():
  predicted, target = _random()
  weights = landmark_weights()
  total = 0.0
  for b, n in np.ndindex(2, 3):
    squared = 0.0
    for point in range(68):
      d = (predicted[b, n, point] - target[b, n, point]) * 224 / 160
      squared += weights[point] * (d[0] ** 2 + d[1] ** 2)
    total += squared / weights.sum()
  np.testing.assert_allclose(
    landmark_loss(predicted, target, 160, weights), total / 2, rtol=1e-12
  )


def test_landmark_loss_jacobian_random():
  predicted, target = _random(frames=1)
  # The quadratic has no truncation error; a larger step keeps rounding small.
  assert_gradient(
    lambda value: landmark_loss(value, target, 224, landmark_weights()),
    predicted,
    step=1e-3,
  )
