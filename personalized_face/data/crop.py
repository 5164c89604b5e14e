"""From landmarks in the source picture to the square crop the networks see, and back.

The camera of the crop is fixed (Deng et al. 2019, the paper's [11]): focal length
1015 px at 224 px, the head at 10 dm, so 1 dm of face spans 101.5 px. A face is about
1.4 dm from cheek to cheek, which makes 142 px: the box of the 68 landmarks takes
142 / 224 = 0.634 of the crop's side. What is left of true size differences is for
TrackNet's t_z.

A point is a continuous coordinate, (0, 0) the top-left corner of the top-left pixel
and pixel centres at .5, in the source as in the crop.
"""

from typing import NamedTuple

import cv2
import numpy as np

CROP_SIZE = 224
FACE_WIDTH_DM = 1.4
LANDMARK_BOX_FRACTION = FACE_WIDTH_DM * 1015.0 / 10.0 / CROP_SIZE  # 0.634
# The 68 landmarks end at the brows. Moving the crop up by this share of the box's
# side keeps the forehead in as well; t_y takes up the shift.
FOREHEAD_SHIFT = 0.12
# Squares of neighbouring frames that differ by less than this (of the side) are the
# same face at rest or in slow motion, and are smoothed; beyond it the face has jumped.
_JUMP = 0.15


class Square(NamedTuple):
  """An upright square in the source picture, pixels; may reach outside of it."""

  left: float
  top: float
  side: float

  @property
  def box(self) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1), pixels."""
    return self.left, self.top, self.left + self.side, self.top + self.side


def landmark_box(landmarks: np.ndarray) -> np.ndarray:
  """The bounds (x0, y0, x1, y1) of points [L, 2 or 3], float32 [4]."""
  low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
  return np.concatenate([low, high]).astype(np.float32)


def face_square(landmarks: np.ndarray) -> Square:
  """The square whose crop shows the face at the scale the camera expects.

  Args:
    landmarks: [68, 2 or 3] pixels of the source, iBUG order (or of a network).

  Raises:
    ValueError: points that are not finite or all in one place.
  """
  x0, y0, x1, y1 = landmark_box(landmarks).tolist()
  box_side = max(x1 - x0, y1 - y0)
  if not np.isfinite(box_side) or box_side <= 0:
    raise ValueError("landmarks without an extent")
  side = box_side / LANDMARK_BOX_FRACTION
  centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2 - FOREHEAD_SHIFT * box_side
  return Square(centre_x - side / 2, centre_y - side / 2, side)


def follow_square(
  previous: Square | None, landmarks: np.ndarray, smoothing: float = 0.5
) -> Square:
  """`face_square`, held steady against the previous frame's square.

  Detectors jitter, and an opening jaw moves the box; exponential smoothing keeps both
  out of the crop. It is causal, so preparation and live tracking see the same crops.

  Args:
    previous: of the frame before; None in the first frame or after a loss.
    landmarks: [68, 2 or 3] pixels of the source.
    smoothing: weight of the previous square in [0, 1); 0 does not smooth.
  """
  square = face_square(landmarks)
  if previous is None:
    return square
  change = np.abs(np.subtract(square.box, previous.box)).max() / previous.side
  if change > _JUMP:
    return square
  mixed = smoothing * np.array(previous) + (1 - smoothing) * np.array(square)
  return Square(*mixed.tolist())


def to_crop(points: np.ndarray, square: Square, size: int = CROP_SIZE) -> np.ndarray:
  """Points [..., 2] from pixels of the source to pixels of the crop."""
  return (points - np.array(square[:2])) * (size / square.side)


def to_source(points: np.ndarray, square: Square, size: int = CROP_SIZE) -> np.ndarray:
  """Points [..., 2] from pixels of the crop to pixels of the source."""
  return points * (square.side / size) + np.array(square[:2])


def crop_image(
  image: np.ndarray, square: Square, size: int = CROP_SIZE, interpolation: int = -1
) -> np.ndarray:
  """Cuts a square out of a picture and resizes it. What lies outside is black.

  Args:
    image: [H, W, 3] (or [H, W]) uint8.
    square: in pixels of the image.
    size: side of the result, pixels.
    interpolation: an OpenCV constant; by default linear, after an averaging reduction
      where the square is much larger than the crop (linear alone would alias).

  Returns:
    [size, size, 3] (or [size, size]), of the image's type.
  """
  if interpolation == -1:
    interpolation = cv2.INTER_LINEAR
    image, square = _reduced(image, square, size)
  scale = size / square.side
  # OpenCV's coordinates have pixel centres at integers, ours at .5.
  offset = -np.array(square[:2]) * scale + 0.5 * scale - 0.5
  matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
  return cv2.warpAffine(
    image, matrix, (size, size), flags=interpolation, borderMode=cv2.BORDER_CONSTANT
  )


def resized(crops: np.ndarray, size: int) -> np.ndarray:
  """Crops [F, S', S', 3] uint8 at the side that a network takes."""
  if crops.shape[1] == size:
    return crops
  method = cv2.INTER_AREA if crops.shape[1] > size else cv2.INTER_LINEAR
  return np.stack([cv2.resize(c, (size, size), interpolation=method) for c in crops])


def _reduced(image: np.ndarray, square: Square, size: int) -> tuple[np.ndarray, Square]:
  """The part of the picture round the square, averaged over whole k x k blocks."""
  factor = int(square.side / size)
  if factor < 2:
    return image, square
  height, width = image.shape[:2]
  x0 = int(np.clip(np.floor(square.left), 0, width))
  y0 = int(np.clip(np.floor(square.top), 0, height))
  x1 = int(np.clip(np.ceil(square.left + square.side) + factor, x0, width))
  y1 = int(np.clip(np.ceil(square.top + square.side) + factor, y0, height))
  columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
  if not columns or not rows:
    return image, square
  part = image[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
  part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
  moved = Square(
    (square.left - x0) / factor, (square.top - y0) / factor, square.side / factor
  )
  return part, moved
