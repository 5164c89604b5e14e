"""Where the face is: a dense mesh of 478 points, and its 68 iBUG landmarks.

    frame -> detector on the whole picture (first frame, or after a loss)
          -> detector on the box of the previous frame's landmarks (all others)

as Supp. Section 3 of the paper does it with its own detector [8]. Any object with
`detect` serves; the default is MediaPipe's FaceMesh (its wheel carries the models):
Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile
GPUs", 2019; Grishchenko et al., "Attention mesh", 2020.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import cv2
import numpy as np

from personalized_face import native_logs
from personalized_face.core import mediapipe_regions
from personalized_face.data.crop import landmark_box
from personalized_face.data.video import Frame

NUM_MESH_POINTS = 478
# Margin on each side of the previous landmarks' box, as a share of its longer side: a
# head at 10 fps seldom moves by half its size, and the detector wants room around it.
BOX_MARGIN = 0.5
_SMALL_FACE = 0.3  # of the longer side of the picture


class FaceDetector(Protocol):
  """What finds the face in one picture; has no memory of other pictures."""

  def detect(self, image: np.ndarray) -> np.ndarray | None:
    """[H, W, 3] uint8 RGB -> [478, 3] float32 pixels (x right, y down), or None."""
    ...


class MediaPipeDetector:
  """MediaPipe's FaceMesh with refined eyes, irises and lips, the largest face only.

  Args:
    confidence: below it a face does not count, in [0, 1].
  """

  def __init__(self, confidence: float = 0.5):
    # The models' start-up notes would land between a progress bar's lines: they are
    # kept off stderr until the whole graph has run once, on the first face.
    self._started = False
    with native_logs.silenced():
      from mediapipe.python.solutions import face_detection, face_mesh

      # Static: every picture for itself. FaceMesh's own tracking would keep a state
      # that differs with the order of clips.
      self._mesh = face_mesh.FaceMesh(
        static_image_mode=True,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=confidence,
      )
      # Faces below about a fifth of the picture need the long-range model.
      self._far = face_detection.FaceDetection(
        model_selection=1, min_detection_confidence=confidence
      )
      blank = np.zeros([64, 64, 3], np.uint8)
      self._mesh.process(blank)
      self._far.process(blank)

  def detect(self, image: np.ndarray) -> np.ndarray | None:
    """[H, W, 3] uint8 RGB -> [478, 3] float32 pixels (x right, y down), or None."""
    points = self._mesh_points(image)
    height, width = image.shape[:2]
    if points is not None:
      box = landmark_box(points)
      if max(box[2] - box[0], box[3] - box[1]) > _SMALL_FACE * max(height, width):
        return points
      # The models saw the picture at 128 px: find the mesh again on the face alone.
      return detect_in_box(self._mesh_points, image, box, BOX_MARGIN)
    found = self._far.process(image).detections
    if not found:
      return None
    box = found[0].location_data.relative_bounding_box
    x0, y0 = box.xmin * width, box.ymin * height
    corners = (x0, y0, x0 + box.width * width, y0 + box.height * height)
    return detect_in_box(self._mesh_points, image, corners, BOX_MARGIN)

  def close(self) -> None:
    """Frees the models."""
    self._mesh.close()
    self._far.close()

  def _mesh_points(self, image: np.ndarray) -> np.ndarray | None:
    with contextlib.nullcontext() if self._started else native_logs.silenced():
      faces = self._mesh.process(image).multi_face_landmarks
    if not faces:
      return None
    self._started = True
    points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
    height, width = image.shape[:2]
    return points * np.array([width, height, width], np.float32)


def detect_in_box(
  detect, image: np.ndarray, box: Iterable[float], margin: float
) -> np.ndarray | None:
  """Runs `detect` on the part of a picture round a box.

  Args:
    detect: [h, w, 3] -> [P, 3] pixels or None.
    image: [H, W, 3] uint8.
    box: (x0, y0, x1, y1), pixels of the image; may reach outside, which is black.
    margin: added on each side, as a share of the box's longer side.

  Returns:
    [P, 3] float32 pixels of the whole image, or None.
  """
  x0, y0, x1, y1 = box
  half = max(x1 - x0, y1 - y0) * (0.5 + margin)
  left, top = round((x0 + x1) / 2 - half), round((y0 + y1) / 2 - half)
  side = max(round(2 * half), 1)
  height, width = image.shape[:2]
  part = image[
    min(max(top, 0), height) : min(max(top + side, 0), height),
    min(max(left, 0), width) : min(max(left + side, 0), width),
  ]
  if not part.size:
    return None
  padding = (
    max(-top, 0),
    side - part.shape[0] - max(-top, 0),
    max(-left, 0),
    side - part.shape[1] - max(-left, 0),
  )
  if any(padding):
    part = cv2.copyMakeBorder(part, *padding, cv2.BORDER_CONSTANT)
  points = detect(np.ascontiguousarray(part))
  if points is None:
    return None
  return points + np.array([left, top, 0], np.float32)


def track_faces(
  frames: Iterable[Frame], detector: FaceDetector, box_margin: float = BOX_MARGIN
) -> Iterator[tuple[Frame, np.ndarray | None]]:
  """Follows one face through the frames of a clip (Supp. Section 3).

  Args:
    frames: in order, as `video.read_frames` gives them.
    detector: finds the face in a picture.
    box_margin: see BOX_MARGIN.

  Yields:
    Each frame with its mesh [478, 3] float32, pixels of the frame, or None where there
    is no face.
  """
  points = None
  for frame in frames:
    image = frame.image
    if points is not None:
      box = landmark_box(points)
      points = _same_face(
        detect_in_box(detector.detect, image, box, box_margin), box, image
      )
    if points is None:  # the first frame, or the face was lost
      points = _same_face(detector.detect(image), None, image)
    yield frame, points


def _same_face(
  points: np.ndarray | None, previous_box: np.ndarray | None, image: np.ndarray
) -> np.ndarray | None:
  """The points if they can be the tracked face, else None.

  A mesh whose middle lies outside the picture, or that changed its size by more than
  half between two frames, is the detector's invention or somebody else.
  """
  if points is None or not np.isfinite(points).all():
    return None
  box = landmark_box(points)
  centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
  height, width = image.shape[:2]
  if not (0 <= centre_x < width and 0 <= centre_y < height):
    return None
  if previous_box is not None:
    size, previous = (max(b[2] - b[0], b[3] - b[1]) for b in (box, previous_box))
    if not 1 / 1.5 < size / previous < 1.5:
      return None
  return points


def landmarks_68(points: np.ndarray) -> np.ndarray:
  """The 68 iBUG landmarks of a mesh, [478, 2 or 3] -> [68, 2] float32."""
  return points[list(mediapipe_regions.IBUG68), :2].astype(np.float32)
