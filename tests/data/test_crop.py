import cv2
import numpy as np
import pytest

from personalized_face.data.crop import (
  CROP_SIZE,
  FOREHEAD_SHIFT,
  LANDMARK_BOX_FRACTION,
  Square,
  crop_image,
  face_square,
  follow_square,
  to_crop,
  to_source,
)


def _landmarks(seed: int = 0, scale: float = 100.0, shift: float = 150.0):
  return np.random.default_rng(seed).uniform(0, 1, (68, 2)) * scale + shift


def test_landmark_box_takes_its_share_of_the_crop():
  crop = to_crop(_landmarks(), face_square(_landmarks()))
  extent = (crop.max(axis=0) - crop.min(axis=0)).max()
  # 1.4 dm at 10 dm under a focal length of 1015 px; float64 throughout.
  np.testing.assert_allclose(extent, 142.1, atol=1e-6)
  np.testing.assert_allclose(LANDMARK_BOX_FRACTION, 142.1 / 224, atol=1e-9)
  # In the middle sideways; lower than the middle, since foreheads have no landmarks.
  middle = (crop.max(axis=0) + crop.min(axis=0)) / 2
  np.testing.assert_allclose(middle, [112, 112 + FOREHEAD_SHIFT * 142.1], atol=1e-6)


def test_points_go_there_and_back():
  square = Square(-13.5, 20.25, 300.0)
  points = _landmarks(1)
  there = to_crop(points, square, 96)
  assert np.abs(there - points).max() > 1
  # float64 rounding of values of a few hundred.
  np.testing.assert_allclose(to_source(there, square, 96), points, atol=1e-9)


@pytest.mark.parametrize("side", [60.0, 224.0, 731.7])
def test_crop_image_agrees_with_to_crop(side):
  """A dot's centre of mass in the crop lies where to_crop sends it."""
  image = np.zeros([900, 900, 3], np.uint8)
  centre = np.array([431.5, 402.5])
  cv2.circle(image, (431, 402), 9, (255, 255, 255), -1)  # centred on pixel (431, 402)
  square = Square(centre[0] - 0.4 * side, centre[1] - 0.55 * side, side)
  crop = crop_image(image, square)[..., 0].astype(float)
  rows, columns = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE] + 0.5
  found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
  # A tenth of a crop pixel: 8-bit interpolation of a dot of 15 pixels and more is good
  # to a few hundredths; half a pixel would be a mixed-up convention.
  np.testing.assert_allclose(found, to_crop(centre, square), atol=0.1)


def test_crop_image_averages_when_it_shrinks():
  """Stripes of one pixel become grey; sampling alone would alias them."""
  image = np.zeros([896, 896, 3], np.uint8)
  image[:, ::2] = 255
  crop = crop_image(image, Square(0, 0, 896), 224)
  # 127.5 rounded either way; the border of the picture is left out.
  assert np.abs(crop[4:-4, 4:-4].astype(float) - 127.5).max() <= 1.0


def test_crop_image_outside_is_black():
  image = np.full([100, 100, 3], 200, np.uint8)
  crop = crop_image(image, Square(-100.0, 0.0, 200.0), 64)
  assert (crop[:, :31] == 0).all()
  assert (crop[:31, 33:63] == 200).all()


def test_follow_square_smooths_jitter_and_follows_jumps():
  still = _landmarks()
  first = follow_square(None, still)
  assert first == face_square(still)
  jitter = follow_square(first, still + 2.0, smoothing=0.75)
  np.testing.assert_allclose(jitter.left - first.left, 0.5, atol=1e-5)  # float32 box
  far = still + 100.0
  assert follow_square(first, far) == face_square(far)


def test_face_square_exception_raised():
  with pytest.raises(ValueError, match="extent"):
    face_square(np.full([68, 2], 3.0))
  with pytest.raises(ValueError, match="extent"):
    face_square(np.full([68, 2], np.nan))
