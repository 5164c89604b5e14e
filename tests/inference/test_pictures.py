import numpy as np
import pytest

from personalized_face.core.types import Rendering
from personalized_face.inference import pictures


def _rendering(size: int = 4, count: int = 2) -> Rendering:
  """The left half of each picture is face: red, lit twice, facing the lamp's side."""
  rng = np.random.default_rng(0)
  mask = np.zeros([1, count, size, size], np.float32)
  mask[..., : size // 2] = 1
  albedo = rng.uniform(0, 1, [1, count, size, size, 3]).astype(np.float32)
  shading = np.full_like(albedo, 2.0)
  normals = np.zeros_like(albedo) + np.float32([0, 0, 1])
  covered = mask[..., None]
  return Rendering(
    image=albedo * shading * covered,
    mask=mask,
    albedo=albedo * covered,
    shading=shading * covered,
    normals=normals * covered,
    parsing=np.zeros([1, count, size, size, 8], np.float32),
  )


def test_columns_order_and_values():
  rendering = _rendering()
  images = np.random.default_rng(1).uniform(0, 1, [1, 2, 4, 4, 3]).astype(np.float32)
  result = pictures.columns(images, rendering).numpy()
  assert result.shape == (2, 4, 20, 3)
  parts = np.split(result, 5, axis=2)
  # One float32 rounding per operation.
  close = dict(atol=1e-6)
  np.testing.assert_allclose(parts[0], images[0], **close)
  lit = np.clip(2 * rendering.albedo[0], 0, 1)
  np.testing.assert_allclose(parts[1][:, :, :2], lit[:, :, :2], **close)
  np.testing.assert_allclose(parts[1][:, :, 2:], images[0, :, :, 2:], **close)
  np.testing.assert_allclose(parts[3][:, :, :2], rendering.albedo[0, :, :, :2], **close)
  for part in parts[2:]:
    np.testing.assert_array_equal(part[:, :, 2:], 1.0)
  np.testing.assert_allclose(parts[4][:, :, :2], 1.0, **close)  # 2 * 0.65, clamped


def test_shape_picture_shades_by_the_lamp_not_by_the_light():
  rendering = _rendering()
  front = pictures.shape_picture(rendering).numpy()[..., :2, :]
  dark = rendering._replace(shading=rendering.shading * 0, albedo=rendering.albedo * 0)
  np.testing.assert_array_equal(front, pictures.shape_picture(dark).numpy()[..., :2, :])
  away = rendering._replace(normals=-rendering.normals)
  shadow = pictures.shape_picture(away).numpy()[..., :2, :]
  assert front.min() > shadow.max() > 0.1


def test_on_grey_keeps_the_face_and_fills_the_rest():
  rendering = _rendering()
  result = pictures.on_grey(rendering, 0.5).numpy()
  np.testing.assert_array_equal(result[..., 2:, :], 0.5)
  assert np.all(result[..., :2, :] <= 1)


def test_to_uint8_rounds_and_clamps():
  np.testing.assert_array_equal(
    pictures.to_uint8(np.array([-1.0, 0.0, 0.499, 1.0, 7.0])), [0, 0, 127, 255, 255]
  )


@pytest.mark.parametrize(
  ("count", "wanted", "expected"),
  [(10, 2, [2, 7]), (3, 8, [0, 1, 2]), (1, 1, [0]), (0, 4, []), (7, 1, [3])],
)
def test_spread_preset(count, wanted, expected):
  assert pictures.spread(count, wanted).tolist() == expected


def test_sheet_holds_the_rows_and_its_labels():
  rows = np.random.default_rng(2).uniform(0, 1, [3, 40, 80, 3])
  result = pictures.sheet(rows, ("left", "right"), ("0 s", "1 s", "2 s"))
  assert result.dtype == np.uint8
  body = result[-120:, -80:]
  np.testing.assert_array_equal(body, pictures.to_uint8(rows).reshape(120, 80, 3))
  assert (result[:-120, -80:-40] < 128).any() and (result[:-120, -40:] < 128).any()
  for i in range(3):
    assert (result[-120 + 40 * i : result.shape[0] - 80 + 40 * i, :-80] < 128).any()


@pytest.mark.parametrize("label", ["a" * 20, "a" * 300])
def test_sheet_makes_room_for_a_long_label(label):
  rows = np.zeros([1, 40, 80, 3])
  result = pictures.sheet(rows, ("left", "right"), (label,))
  margin = result[-40:, :-80]
  assert (margin < 128).any() and (margin[:, [0, -1]] == 255).all()
  assert result.shape[1] < 80 + 300
  np.testing.assert_array_equal(result[-40:, -80:], np.zeros([40, 80, 3], np.uint8))


def test_sheet_exception_raised_on_labels_that_do_not_fit():
  with pytest.raises(ValueError, match="labels"):
    pictures.sheet(np.zeros([2, 4, 8, 3]), ("a", "b"), ("one",))
  with pytest.raises(ValueError, match="labels"):
    pictures.sheet(np.zeros([1, 4, 8, 3]), ("a", "b", "c"), ("one",))
