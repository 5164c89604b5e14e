"""Figures from pictures, masks and parsing maps: photometric error, coverage, IoU."""

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.types import PARSING_CLASSES, Tensor

# What the mesh is meant to cover: the parsed face without what M_n leaves out (eyes and
# inner mouth) and without the background, which hair, neck and ears count to.
SKIN_CLASSES = tuple(
  index
  for index, name in enumerate(PARSING_CLASSES)
  if name not in ("background", "eyes", "inner_mouth")
)

# Those that a face's geometry shows in: what the parsing error is a mean over.
_SHAPE_CLASSES = tuple(
  PARSING_CLASSES.index(name) for name in ("skin", "brows", "upper_lip", "lower_lip")
)


def photometric_255(image: Tensor, rendered: Tensor, mask: Tensor) -> np.ndarray:
  """The mean over the mask of the l2 norm of the RGB difference, times 255.

  As Eq. 4, in grey levels: up to 255 sqrt(3). The rendering is not clamped.

  Args:
    image: [..., H, W, 3] RGB in [0, 1].
    rendered: [..., H, W, 3] RGB.
    mask: [..., H, W], the pixels that count, non-zero.

  Returns:
    [...] per image; NaN where the mask is empty.
  """
  image, rendered = np.asarray(image, np.float64), np.asarray(rendered, np.float64)
  mask = _mask(mask)
  shapes.check(image, "[..., H, W, 3]", "image")
  error = np.linalg.norm(image - rendered, axis=-1)
  return 255 * _ratio(np.where(mask, error, 0).sum(axis=(-2, -1)), _count(mask))


def photometric_255_common(
  image: Tensor,
  rendered_a: Tensor,
  mask_a: Tensor,
  rendered_b: Tensor,
  mask_b: Tensor,
) -> tuple[np.ndarray, np.ndarray]:
  """`photometric_255` of two models, on the pixels that both of them cover.

  Each on its own mask, a model that covers less of the face (the easy middle of it)
  would win.

  Returns:
    The errors of a and of b, [...] each.
  """
  common = _mask(mask_a) & _mask(mask_b)
  return (
    photometric_255(image, rendered_a, common),
    photometric_255(image, rendered_b, common),
  )


def coverage_percent(mask: Tensor, labels: Tensor) -> np.ndarray:
  """The share of the parsed skin that the model's mask covers, per image.

  Skin are the SKIN_CLASSES: skin, brows, nose, upper and lower lip.

  Args:
    mask: [..., H, W] the model's M_n, non-zero on the face.
    labels: [..., H, W] int, index into PARSING_CLASSES.

  Returns:
    [...] in [0, 100]; NaN where no skin was parsed.
  """
  skin = np.isin(np.asarray(labels), SKIN_CLASSES)
  return 100 * _ratio(_count(_mask(mask) & skin), _count(skin))


def parsing_iou(
  predicted: Tensor, reference: Tensor, num_classes: int = len(PARSING_CLASSES)
) -> np.ndarray:
  """Intersection over union of each class, over all given pixels together.

  Args:
    predicted: [...] int labels; of class probabilities, their argmax.
    reference: [...] int labels.
    num_classes: P.

  Returns:
    [P] in [0, 1]; NaN for a class that occurs in neither.
  """
  predicted, reference = np.asarray(predicted), np.asarray(reference)
  if predicted.shape != reference.shape:
    raise ValueError(f"label maps of shapes {predicted.shape} and {reference.shape}")
  classes = np.arange(num_classes)
  of_predicted = predicted.ravel()[:, np.newaxis] == classes
  of_reference = reference.ravel()[:, np.newaxis] == classes
  both = (of_predicted & of_reference).sum(axis=0)
  return _ratio(both, (of_predicted | of_reference).sum(axis=0))


def face_iou(predicted: Tensor, reference: Tensor) -> float:
  """The mean of `parsing_iou` over skin, brows, upper and lower lip.

  Args:
    predicted, reference: [...] int labels, all pixels counted together.

  Returns:
    In [0, 1], over those of the classes that occur; NaN where none does.
  """
  iou = parsing_iou(predicted, reference)[list(_SHAPE_CLASSES)]
  known = iou[np.isfinite(iou)]
  return float(known.mean()) if len(known) else float("nan")


def _mask(mask: Tensor) -> np.ndarray:
  mask = np.asarray(mask) != 0
  shapes.check(mask, "[..., H, W]", "mask")
  return mask


def _count(mask: np.ndarray) -> np.ndarray:
  return mask.sum(axis=(-2, -1))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  """numerator / denominator, NaN and no warning where that is 0 / 0."""
  safe = np.where(denominator > 0, denominator, 1)
  return np.where(denominator > 0, numerator / safe, np.nan)
