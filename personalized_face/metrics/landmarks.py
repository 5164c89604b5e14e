"""Figures from 68 landmarks (iBUG order): NME, error curves, opening of mouth and eyes.

iBUG: 0-16 jaw, 17-26 brows, 27-35 nose, 36-41 the person's right eye (outer corner 36),
42-47 the left one (outer corner 45), 48-59 outer lips, 60-67 inner lips.
"""

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.types import Tensor

# What `normalised_errors` may divide by.
NORMALISERS = (
  "outer_eye_corners",  # distance of 36 and 45: 300-W and the 300VW challenge
  "box_geometric_mean",  # sqrt(w h): AFLW2000-3D
  "box_diagonal",  # sqrt(w^2 + h^2)
)
_INNER_LIPS = (62, 66)  # middle of the upper and of the lower lip's inner rim
_OUTER_EYE_CORNERS = (36, 45)
# Per eye: its two corners, then the two pairs of upper and lower lid.
_RIGHT_EYE = ((36, 39), (37, 41), (38, 40))
_LEFT_EYE = ((42, 45), (43, 47), (44, 46))


def nme_percent(predicted: Tensor, reference: Tensor) -> np.ndarray:
  """Normalised mean error, per image, in percent.

  mean_l ||p_l - q_l||_2 / sqrt(w h) * 100, with w x h the bounding box of the
  reference landmarks (the convention of AFLW2000-3D).

  Args:
    predicted: [..., L, 2] pixels.
    reference: [..., L, 2] pixels.

  Returns:
    [...]

  Raises:
    ValueError: if the reference landmarks of an image span no area.
  """
  predicted, reference = _float(predicted), _float(reference)
  shapes.check(predicted, "[..., L, 2]", "predicted")
  shapes.check(reference, "[..., L, 2]", "reference")
  box = reference.max(axis=-2) - reference.min(axis=-2)
  size = np.sqrt(box[..., 0] * box[..., 1])
  if not np.all(size > 0):
    raise ValueError("the reference landmarks of an image span no area")
  return 100 * _distance(predicted, reference).mean(axis=-1) / size


def normalised_errors(
  predicted: Tensor, reference: Tensor, normaliser: str
) -> np.ndarray:
  """Mean distance of 68 points over a size of the face, per image (not percent).

  Args:
    predicted: [..., 68, 2] pixels.
    reference: [..., 68, 2] pixels.
    normaliser: one of NORMALISERS, taken from the reference.

  Returns:
    [...]

  Raises:
    ValueError: an unknown normaliser, or one that is 0 for an image.
  """
  predicted, reference = _ibug(predicted), _ibug(reference)
  box = np.ptp(reference, axis=-2)
  if normaliser == "outer_eye_corners":
    size = _gap(reference, _OUTER_EYE_CORNERS)
  elif normaliser == "box_geometric_mean":
    size = np.sqrt(box[..., 0] * box[..., 1])
  elif normaliser == "box_diagonal":
    size = np.hypot(box[..., 0], box[..., 1])
  else:
    raise ValueError(f"normaliser is one of {NORMALISERS}, not {normaliser!r}")
  if not np.all(size > 0):
    raise ValueError(f"the {normaliser} of an image is 0")
  return _distance(predicted, reference).mean(axis=-1) / size


def cumulative_errors(errors: Tensor, thresholds: Tensor) -> np.ndarray:
  """The share of images, in [0, 1], whose error is at most each threshold.

  Args:
    errors: any shape, one error an image; NaN (no face found) counts as too large.
    thresholds: [S], in the unit of the errors.

  Returns:
    [S]
  """
  errors = _float(errors).ravel()
  return np.mean(errors[:, np.newaxis] <= _float(thresholds), axis=0)


def area_under_curve(errors: Tensor, limit: float) -> float:
  """AUC of the cumulative error curve from 0 to `limit`, divided by `limit`.

  Exactly, without sampling the curve: an image of error e contributes to it from e to
  the limit, so the area is the mean of max(0, 1 - e / limit).

  Args:
    errors: any shape, one error an image; NaN (no face found) counts as too large.
    limit: of the error, in its unit.

  Returns:
    In [0, 1]; 1 is perfect.
  """
  shares = 1 - _float(errors) / limit
  return float(np.mean(np.where(shares > 0, shares, 0.0)))


def mouth_opening(landmarks: Tensor) -> np.ndarray:
  """The gap between the inner lips over the distance of the outer eye corners.

  Args:
    landmarks: [..., 68, 2] pixels.

  Returns:
    [...], about 0 shut and 0.4 wide open for a frontal face.
  """
  landmarks = _ibug(landmarks)
  return _gap(landmarks, _INNER_LIPS) / _gap(landmarks, _OUTER_EYE_CORNERS)


def eye_opening(landmarks: Tensor) -> np.ndarray:
  """The mean gap between the lids over the eye's own width.

  The width of the eye, and not the distance of both, so that a turn of the head, which
  narrows the farther eye, does not read as a blink.

  Args:
    landmarks: [..., 68, 2] pixels.

  Returns:
    [..., 2], the person's right and left eye; about 0.1 shut and 0.3 open.
  """
  landmarks = _ibug(landmarks)
  openings = []
  for corners, *lids in (_RIGHT_EYE, _LEFT_EYE):
    gap = sum(_gap(landmarks, lid) for lid in lids) / len(lids)
    openings.append(gap / _gap(landmarks, corners))
  return np.stack(openings, axis=-1)


def _float(values: Tensor) -> np.ndarray:
  return np.asarray(values, np.float64)


def _ibug(landmarks: Tensor) -> np.ndarray:
  landmarks = _float(landmarks)
  shapes.check(landmarks, "[..., 68, 2]", "landmarks")
  return landmarks


def _distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  return np.linalg.norm(first - second, axis=-1)


def _gap(landmarks: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
  return _distance(landmarks[..., pair[0], :], landmarks[..., pair[1], :])
