import numpy as np
import pytest
import tensorflow as tf
from loss_numerics import assert_gradient, gradient

from personalized_face.losses.photometric import image_gradient_loss, photometric_loss

_LOSSES = [photometric_loss, image_gradient_loss]


def _random(seed=0, persons=2, frames=3, side=5):
  rng = np.random.default_rng(seed)
  shape = (persons, frames, side, side)
  image, rendered = rng.uniform(size=(2, *shape, 3))
  return image, rendered, (rng.uniform(size=shape) < 0.6).astype(np.float64)


def _loop(image, rendered, mask, pixel_error):
  """Eq. 4 as printed, summed over n, averaged over persons."""
  total = 0.0
  for b, n in np.ndindex(mask.shape[:2]):
    numerator = 0.0
    for y, x in np.ndindex(mask.shape[2:]):
      numerator += mask[b, n, y, x] * pixel_error(
        image[b, n] - rendered[b, n], mask[b, n], y, x
      )
    total += numerator / mask[b, n].sum()
  return total / mask.shape[0]


def _colour_error(error, mask, y, x):
  return np.linalg.norm(error[y, x])


def _gradient_error(error, mask, y, x):
  parts = []
  for y2, x2 in ((y, x + 1), (y + 1, x)):
    inside = y2 < error.shape[0] and x2 < error.shape[1]
    if inside and mask[y2, x2]:
      parts.append(error[y2, x2] - error[y, x])
  return np.linalg.norm(np.concatenate(parts)) if parts else 0.0


@pytest.mark.parametrize(
  "loss, pixel_error",
  [(photometric_loss, _colour_error), (image_gradient_loss, _gradient_error)],
)
def test_loss_random_equals_loop(loss, pixel_error):
  data = _random()
  # Sums of 25 numbers in float64, in another order.
  np.testing.assert_allclose(loss(*data), _loop(*data, pixel_error), rtol=1e-12)


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_zero_at_ground_truth_with_finite_gradient(loss):
  image, _, mask = _random()
  assert float(loss(image, image, mask)) == 0
  found = gradient(lambda rendered: loss(image, rendered, mask), image)
  np.testing.assert_array_equal(found, np.zeros_like(image))


def test_photometric_loss_preset():
  image = np.zeros((1, 1, 2, 2, 3), np.float32)
  rendered = image.copy()
  rendered[0, 0, 0, 0] = (0.3, 0.4, 0)  # norm 0.5
  rendered[0, 0, 0, 1] = (0, 0, -0.1)  # norm 0.1
  rendered[0, 0, 1, 1] = (9, 9, 9)  # off the mask
  mask = np.array([[[[1, 1], [0, 0]]]], np.float32)
  # Float32 roots.
  np.testing.assert_allclose(photometric_loss(image, rendered, mask), 0.3, rtol=1e-6)


def test_image_gradient_loss_preset():
  image = np.zeros((1, 1, 2, 2, 3), np.float32)
  rendered = image.copy()
  rendered[0, 0, 0, 0] = (0.3, 0, 0)
  rendered[0, 0, 1, 0] = (0, 0.4, 0)
  mask = np.ones((1, 1, 2, 2), np.float32)
  # Top left: right (-.3, 0, 0), down (-.3, .4, 0); top right and bottom right: none;
  # bottom left: right (0, -.4, 0).
  expected = (np.sqrt(0.09 + 0.09 + 0.16) + 0.4) / 4
  np.testing.assert_allclose(
    image_gradient_loss(image, rendered, mask), expected, rtol=1e-6
  )


def test_image_gradient_loss_ignores_a_constant_and_the_masks_border():
  image, _, mask = _random()
  rendered = np.where(mask[..., None] > 0, image + 0.25, -100.0)
  # Rounding of 0.25 + x - x.
  assert abs(float(image_gradient_loss(image, rendered, mask))) < 1e-14


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_off_the_mask_is_not_seen(loss):
  image, rendered, mask = _random()
  changed = np.where(mask[..., None] > 0, rendered, 7.0)
  assert float(loss(image, rendered, mask)) == float(loss(image, changed, mask))
  found = gradient(lambda value: loss(image, value, mask), rendered)
  assert not found[mask == 0].any()
  assert found[mask == 1].any()


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_has_no_gradient_to_the_mask(loss):
  image, rendered, mask = (tf.constant(value) for value in _random())
  with tf.GradientTape() as tape:
    tape.watch(mask)
    value = loss(image, rendered, mask)
  assert tape.gradient(value, mask) is None


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_empty_mask(loss):
  image, rendered, mask = _random()
  mask[:, 1] = 0
  others = [0, 2]
  expected = loss(image[:, others], rendered[:, others], mask[:, others])
  np.testing.assert_allclose(loss(image, rendered, mask), expected, rtol=1e-15)
  found = gradient(lambda value: loss(image, value, mask), rendered)
  assert np.isfinite(found).all()
  assert not found[:, 1].any()


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_sums_frames_and_averages_persons(loss):
  data = _random(persons=1, frames=1)
  once = float(loss(*data))
  frames = [np.repeat(value, 3, axis=1) for value in data]
  persons = [np.repeat(value, 3, axis=0) for value in data]
  np.testing.assert_allclose(loss(*frames), 3 * once, rtol=1e-14)
  np.testing.assert_allclose(loss(*persons), once, rtol=1e-14)


@pytest.mark.parametrize("loss", _LOSSES)
def test_loss_jacobian_random(loss):
  image, rendered, mask = _random(persons=1, frames=2, side=4)
  assert_gradient(lambda value: loss(image, value, mask), rendered)


def test_loss_exception_raised():
  image, rendered, mask = _random()
  with pytest.raises(ValueError, match="mask has shape"):
    photometric_loss(tf.constant(image), rendered, mask[..., None])
