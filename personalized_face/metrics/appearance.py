"""Errors of light and albedo against a known truth.

A picture fixes only their product: twice the light on half the albedo looks the same.
So each is compared after the one factor per colour channel that suits it best.
"""

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS, Tensor


def light_error_percent(predicted: Tensor, reference: Tensor) -> np.ndarray:
  """Relative error of the spherical-harmonics coefficients.

  100 sqrt(sum_c min_s ||s g_c - h_c||^2 / sum_c ||h_c||^2) over the channels c.

  Args:
    predicted: [..., 9, 3].
    reference: [..., 9, 3], not all zero.

  Returns:
    [...] in [0, 100].
  """
  predicted = np.asarray(predicted, np.float64)
  reference = np.asarray(reference, np.float64)
  shapes.check(predicted, f"[..., {NUM_LIGHT_COEFFICIENTS}, 3]", "predicted")
  left = np.sum((_scaled(predicted, reference, -2) - reference) ** 2, axis=(-2, -1))
  return 100 * np.sqrt(left / np.sum(reference**2, axis=(-2, -1)))


def albedo_error_255(predicted: Tensor, reference: Tensor, mask: Tensor) -> float:
  """Mean absolute difference of two albedo maps of one layout, 0-255.

  Args:
    predicted: [U, U, 3] linear RGB.
    reference: [U, U, 3] linear RGB.
    mask: [U, U], the texels that count: those that the mesh uses.

  Returns:
    NaN where the mask is empty.
  """
  mask = np.asarray(mask) != 0
  predicted = np.asarray(predicted, np.float64)[mask]
  reference = np.asarray(reference, np.float64)[mask]
  shapes.check(predicted, "[P, 3]", "predicted")
  if not len(predicted):
    return float("nan")
  return float(255 * np.abs(_scaled(predicted, reference, 0) - reference).mean())


def _scaled(values: np.ndarray, reference: np.ndarray, axis: int) -> np.ndarray:
  """The values times the factor, one for each remaining index, that fits best."""
  squares = np.sum(values**2, axis=axis, keepdims=True)
  products = np.sum(values * reference, axis=axis, keepdims=True)
  return values * products / np.where(squares > 0, squares, 1)
