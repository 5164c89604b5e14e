"""Figures from per-frame motion: coefficients, head pose, correlation, jitter."""

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.types import Tensor


def expression_mae(predicted: Tensor, reference: Tensor) -> np.ndarray:
  """Mean absolute error of each blendshape's coefficient over all frames.

  The paper's expression metric (Section 5.4); the mean of the result is its "Avg".

  Args:
    predicted: [..., K] in [0, 1].
    reference: [..., K] in [0, 1].

  Returns:
    [K]
  """
  predicted, reference = _float(predicted), _float(reference)
  shapes.check(predicted, "[..., K]", "predicted")
  if predicted.shape != reference.shape:
    raise ValueError(f"coefficients of shapes {predicted.shape}, {reference.shape}")
  error = np.abs(predicted - reference)
  return error.reshape(-1, error.shape[-1]).mean(axis=0)


def blendshape_cosines(displacements: Tensor, reference: Tensor) -> np.ndarray:
  """Whether corrected blendshapes still mean what the template's do.

  Args:
    displacements: [K, V, 3] of each blendshape from the neutral.
    reference: [K, V, 3] the template's.

  Returns:
    [K] cosine of the two fields as vectors of 3 V numbers; NaN where one is zero.
  """
  displacements, reference = _float(displacements), _float(reference)
  shapes.check(displacements, "[K, V, 3]", "displacements")
  product = np.einsum("kvc,kvc->k", displacements, reference)
  norms = [np.linalg.norm(field, axis=(1, 2)) for field in (displacements, reference)]
  length = norms[0] * norms[1]
  return np.where(length > 0, product / np.where(length > 0, length, 1), np.nan)


def euler_errors_degrees(predicted: Tensor, reference: Tensor) -> np.ndarray:
  """Absolute error of each angle, the short way round.

  Args:
    predicted: [..., 3] pitch, yaw, roll in radians.
    reference: [..., 3] radians.

  Returns:
    [..., 3] degrees in [0, 180].
  """
  difference = np.degrees(_float(predicted) - _float(reference))
  return np.abs((difference + 180) % 360 - 180)


def rotation_error_degrees(predicted: Tensor, reference: Tensor) -> np.ndarray:
  """The angle of the one rotation that takes the predicted pose to the reference.

  Free of the Euler angles' gimbal lock, unlike `euler_errors_degrees`.

  Args:
    predicted: [..., 3] pitch, yaw, roll in radians.
    reference: [..., 3] radians.

  Returns:
    [...] degrees in [0, 180].
  """
  rotations = [rotation_matrix(_float(pose)).numpy() for pose in (predicted, reference)]
  # ||R - R'||_F = 2 sqrt(2) sin(angle / 2). The arccos of the trace would lose half of
  # the digits of small angles.
  chord = np.linalg.norm(rotations[0] - rotations[1], axis=(-2, -1))
  return np.degrees(2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1)))


def correlation(first: Tensor, second: Tensor) -> float:
  """Pearson's correlation of two series, such as two mouth openings over time.

  Args:
    first: [F]
    second: [F]

  Returns:
    In [-1, 1]; 0 if one of them is constant, since it then follows nothing.
  """
  first, second = _float(first), _float(second)
  shapes.check(first, "[F]", "first")
  if first.shape != second.shape:
    raise ValueError(f"series of shapes {first.shape} and {second.shape}")
  if np.ptp(first) == 0 or np.ptp(second) == 0:
    return 0.0
  return float(np.corrcoef(first, second)[0, 1])


def jitter(points: Tensor) -> float:
  """How much points tremble: their mean absolute second difference over time.

  mean_{f,p,c} |x_{f+1} - 2 x_f + x_{f-1}|. Motion at a constant speed has none; white
  noise of standard deviation s has sqrt(12 / pi) s, about 2 s. What speeds up or turns
  round adds to it, so compare figures of the same frames, where little moves.

  Args:
    points: [F, P, C] of successive frames, F at least 3.

  Returns:
    In the points' unit.
  """
  points = _float(points)
  shapes.check(points, "[F, P, C]", "points")
  if len(points) < 3:
    raise ValueError(f"{len(points)} frames have no second difference")
  return float(np.abs(np.diff(points, n=2, axis=0)).mean())


def still_stretch(points: Tensor, length: int) -> slice:
  """The successive frames in which points stay nearest to their mean place.

  Args:
    points: [F, P, C] of successive frames.
    length: of the stretch, frames; all of them where there are no more.

  Returns:
    The first stretch with the least mean squared distance.
  """
  points = _float(points)
  shapes.check(points, "[F, P, C]", "points")
  length = min(length, len(points))
  spread = [
    points[first : first + length].var(axis=0).mean()
    for first in range(len(points) - length + 1)
  ]
  first = int(np.argmin(spread))
  return slice(first, first + length)


def _float(values: Tensor) -> np.ndarray:
  return np.asarray(values, np.float64)
