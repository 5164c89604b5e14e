import numpy as np
import pytest

from personalized_face.core.types import PARSING_CLASSES
from personalized_face.losses.photometric import photometric_loss
from personalized_face.metrics.pictures import (
  SKIN_CLASSES,
  coverage_percent,
  face_iou,
  parsing_iou,
  photometric_255,
  photometric_255_common,
)


def test_photometric_255_preset():
  image = np.zeros((2, 2, 2, 3), np.float32)
  rendered = image.copy()
  rendered[:, 0, 0] = (0.3, 0, 0.4)
  rendered[:, 1, 1] = 9  # off the mask
  mask = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]])
  # 0.5 and 0 over two pixels; 0.3 and 0.4 are float32. The empty mask has no error.
  np.testing.assert_allclose(
    photometric_255(image, rendered, mask), [0.25 * 255, np.nan], rtol=1e-7
  )


def test_photometric_255_is_eq_4_in_grey_levels():
  rng = np.random.default_rng(0)
  image, rendered = rng.uniform(size=(2, 1, 1, 6, 6, 3))
  mask = (rng.uniform(size=(1, 1, 6, 6)) < 0.5).astype(np.float64)
  np.testing.assert_allclose(
    photometric_255(image, rendered, mask)[0, 0],
    255 * photometric_loss(image, rendered, mask),
    rtol=1e-12,
  )


def test_photometric_255_common_preset():
  image = np.zeros((1, 3, 3))
  good, bad = np.full((2, 1, 3, 3), 0.1)
  good = good.copy()
  bad = bad.copy()
  bad[0, 1] = 0.3
  good[0, 2] = 0.9  # only its own mask has this pixel
  first, second = photometric_255_common(
    image, good, np.array([[0, 1, 1]]), bad, np.array([[1, 1, 0]])
  )
  np.testing.assert_allclose([first, second], np.sqrt(3) * 255 * np.array([0.1, 0.3]))


def test_skin_classes():
  assert [PARSING_CLASSES[c] for c in SKIN_CLASSES] == [
    "skin",
    "brows",
    "nose",
    "upper_lip",
    "lower_lip",
  ]


def test_coverage_percent_preset():
  labels = np.array([[[0, 1, 2, 3], [4, 5, 6, 7]]] * 2 + [[[0] * 4, [3, 6, 0, 0]]])
  mask = np.zeros((3, 2, 4))
  mask[0, 0] = 1  # background, skin, brows, eyes: 2 of the 5 skin classes
  mask[1] = 1
  np.testing.assert_array_equal(coverage_percent(mask, labels), [40, 100, np.nan])


def test_parsing_iou_preset():
  reference = np.array([[0, 0, 1], [1, 2, 2]])
  predicted = np.array([[0, 1, 1], [1, 2, 3]])
  expected = [1 / 2, 2 / 3, 1 / 2, 0] + [np.nan] * 4
  np.testing.assert_allclose(parsing_iou(predicted, reference), expected, rtol=1e-15)


def test_face_iou_preset():
  # Skin 1, brows 2, lips 5 and 7 are what counts; PARSING_CLASSES names them.
  reference = np.array([[0, 0, 1], [1, 2, 2]])
  predicted = np.array([[0, 1, 1], [1, 2, 3]])
  assert face_iou(predicted, reference) == pytest.approx((2 / 3 + 1 / 2) / 2)
  assert np.isnan(face_iou(np.zeros((2, 2)), np.zeros((2, 2))))


def test_picture_metrics_exception_raised():
  with pytest.raises(ValueError, match="shapes"):
    parsing_iou(np.zeros((2, 2)), np.zeros((2, 3)))
  with pytest.raises(ValueError, match="image has shape"):
    photometric_255(np.zeros((4, 4)), np.zeros((4, 4)), np.ones((4, 4)))
