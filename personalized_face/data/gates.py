"""Why a frame is not used: the quality gates, in the order in which they are asked.

    no_face -> other_face -> bad_landmarks -> too_small -> occluded
            -> crop -> blurred -> no_parsing

The first one that says no has the frame; what it says is a column of the manifest. The
paper names no such gates; thresholds are settings of `clip.Preparation`.
"""

import cv2
import numpy as np

from personalized_face.data.crop import landmark_box

# Of frames; the first three are data/labelling.py's word, `thinned` that of
# data/thinning.py.
GATES = (
  "no_face",
  "other_face",
  "bad_landmarks",
  "too_small",
  "occluded",
  "blurred",
  "no_parsing",
  "thinned",
)
_SHARPNESS_SIDE = 112  # px: fine enough for pores to count, coarse enough for noise not
# Footage of little contrast has little fine detail, too. A clip in focus whose faces
# have a standard deviation of 15 to 17 grey levels has variances of 18 to 30, as little
# as frames of another one (24 to 26 levels) with strong motion blur: 22 to 30.
_USUAL_CONTRAST = 24.0  # grey levels, standard deviation
_MOST_GAIN = 4.0  # or the noise of a dark picture would pass for detail
# A face's box may leave the picture, and the points of a turned jaw do; by more than
# this share of the picture's longer side the numbers are not of this picture.
_BEYOND = 0.5


def bad_landmarks(landmarks: np.ndarray, height: int, width: int) -> bool:
  """Whether points cannot be those of a face in the picture.

  Args:
    landmarks: [68, 2] pixels of the picture.
    height, width: of the picture.

  Returns:
    True if one is not finite or far outside, all lie in one place, or the middle of
    their box is not in the picture.
  """
  if not np.isfinite(landmarks).all():
    return True
  box = landmark_box(landmarks)
  slack, size = _BEYOND * max(height, width), np.array([width, height])
  outside = (box[:2] < -slack).any() or (box[2:] > size + slack).any()
  middle = (box[:2] + box[2:]) / 2
  inside = (middle >= 0).all() and (middle < size).all()
  return bool(outside or not inside or longer_side(box) <= 0)


def longer_side(box: np.ndarray) -> float:
  """Of a box (x0, y0, x1, y1)."""
  return float(max(box[2] - box[0], box[3] - box[1]))


def sharpness(crop: np.ndarray, landmarks: np.ndarray) -> float:
  """How much fine detail a face has, whatever its size in the source.

  The variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in
  brightfield microscopy", ICPR 2000) over the landmarks' box, scaled to 112 px: a face
  that was small, out of focus or moving has little. A face of less than usual contrast
  is measured as if it had that.

  Args:
    crop: [size, size, 3] uint8 RGB.
    landmarks: [68, 2] pixels of the crop.

  Returns:
    The variance, grey levels squared; 0 where the box is not in the crop.
  """
  x0, y0, x1, y1 = np.clip(landmark_box(landmarks), 0, crop.shape[0]).astype(int)
  if x1 - x0 < 2 or y1 - y0 < 2:
    return 0.0
  grey = cv2.cvtColor(np.ascontiguousarray(crop[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
  side = (_SHARPNESS_SIDE, _SHARPNESS_SIDE)
  grey = cv2.resize(grey, side, interpolation=cv2.INTER_AREA)
  gain = (_USUAL_CONTRAST / max(float(grey.std()), 1e-6)) ** 2
  variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
  return variance * min(max(gain, 1.0), _MOST_GAIN)
