"""Where to look for the face in the next frame (Supp. Section 3 of the paper).

A detector finds the face in the first frame only; afterwards the boundaries of the 2D
landmarks predicted in one frame give the next frame's square. That can go astray: the
detector is asked again where the square has degenerated, and every so many frames to
check that the face is still in it. A check that agrees changes nothing, so it brings
none of the jitter that detecting in every frame would.

A tracker trained for minutes on crops that all sit well knows nothing of a face that is
off the centre, so its own landmarks do not bring the square back. For such a one the
detector leads in every frame (`check_every` = 1), by the very rule of the preparation.
"""

import numpy as np

from personalized_face.core.types import Tensor
from personalized_face.data.crop import Square, face_square, follow_square, to_source
from personalized_face.data.detector import FaceDetector, detect_in_box, landmarks_68

# A face whose square's side is shorter, in pixels, has nothing left to track.
_SMALLEST_SIDE = 24.0
# From one frame to the next a square keeps at least this overlap with itself.
_LEAST_OVERLAP = 0.3
# A square must keep this share of its area inside the frame.
_LEAST_INSIDE = 0.3
# A check agrees from this overlap on: a shift by 9 % in x and y, or 20 % in size.
_AGREEMENT = 0.7
# The check looks round the square first, so that in a picture of several people it
# finds the one who is being tracked; a share of the side, on each side.
_CHECK_MARGIN = 0.25


class SquareFollower:
  """The square of one face through a clip.

  Attributes:
    num_detections: how many frames asked the detector so far.
    seen: whether the detector, when it was last asked, found a face. Where it did not,
      it is asked again in each frame, and the square stays with the tracker.
  """

  def __init__(self, detector: FaceDetector, check_every: int):
    """Starts before the first frame.

    Args:
      detector: finds the face in a picture.
      check_every: frames from check to check; 0 never checks, as the paper; 1 lets the
        detector lead in every frame.
    """
    self.num_detections = 0
    self.seen = False
    self._detector = detector
    self._check_every = check_every
    self._used: Square | None = None  # in the last frame
    self._predicted: Square | None = None  # for the next; None where it cannot be
    self._count = 0

  def look(self, image: np.ndarray) -> Square | None:
    """The square for a frame [H, W, 3] uint8; None while no face has been seen."""
    predicted = self._predicted
    if self._check_every == 1:
      points = self._found(image, self._used)
      if points is not None:
        self._used = follow_square(self._used, points)
    elif predicted is None or _is_lost(predicted, self._used, image.shape):
      # Where the detector fails as well, wait where the face was last.
      self._used = self._detected(image, None) or self._used
    elif self._check_every and (not self.seen or self._count % self._check_every == 0):
      seen = self._detected(image, predicted)
      agrees = seen is None or _overlap(seen, predicted) >= _AGREEMENT
      self._used = predicted if agrees else seen
    else:
      self._used = predicted
    self._count += self._used is not None
    return self._used

  def predict(self, landmarks: Tensor, crop_size: int) -> None:
    """Takes the landmarks [L, 2] of the frame just seen, pixels of its crop."""
    try:
      points = to_source(np.asarray(landmarks), self._used, crop_size)
      self._predicted = follow_square(self._used, points)
    except ValueError:  # not finite, or all in one place
      self._predicted = None

  def _detected(self, image: np.ndarray, near: Square | None) -> Square | None:
    points = self._found(image, near)
    return None if points is None else face_square(points)

  def _found(self, image: np.ndarray, near: Square | None) -> np.ndarray | None:
    """The detector's 68 points [68, 2] in the frame, looked for near a square first."""
    self.num_detections += 1
    points = None
    if near is not None:
      detect = self._detector.detect
      points = detect_in_box(detect, image, near.box, _CHECK_MARGIN)
    if points is None:
      points = self._detector.detect(image)
    self.seen = points is not None
    return landmarks_68(points) if self.seen else None


def _is_lost(square: Square, previous: Square, shape: tuple[int, ...]) -> bool:
  """Whether a predicted square has degenerated: tiny, off the frame, or a leap."""
  frame = (0.0, 0.0, float(shape[1]), float(shape[0]))
  inside = _intersection(square.box, frame) / square.side**2
  return (
    square.side < _SMALLEST_SIDE
    or inside < _LEAST_INSIDE
    or _overlap(square, previous) < _LEAST_OVERLAP
  )


def _overlap(first: Square, second: Square) -> float:
  """Common area over the area of both, in [0, 1]."""
  common = _intersection(first.box, second.box)
  return common / (first.side**2 + second.side**2 - common)


def _intersection(a: tuple[float, ...], b: tuple[float, ...]) -> float:
  """Common area of two boxes (x0, y0, x1, y1)."""
  width = min(a[2], b[2]) - max(a[0], b[0])
  height = min(a[3], b[3]) - max(a[1], b[1])
  return max(width, 0.0) * max(height, 0.0)
