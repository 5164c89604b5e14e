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
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from personalized_face import native_logs
from personalized_face.core import mediapipe_regions
from personalized_face.data.crop import landmark_box
from personalized_face.data.video import Frame

NUM_MESH_POINTS = 478
_MESH_GRAPH = "mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb"
_DETECTION_THRESHOLD = (
  "facedetectionshortrangecpu__facedetectionshortrange__facedetection__"
  "TensorsToDetectionsCalculator.min_score_thresh"
)
# Margin on each side of the previous landmarks' box, as a share of its longer side: a
# head at 10 fps seldom moves by half its size, and the detector wants room around it.
BOX_MARGIN = 0.5
_SMALL_FACE = 0.3  # of the longer side of the picture
# How far, in sides of its box, a face may be found from where it was last seen: half a
# side, and two more for each second since. Further off is somebody else.
_REACH_SIDES = 0.5
_REACH_SIDES_PER_SECOND = 2.0


class Detection(NamedTuple):
  """The face that a detector settled on, in one picture."""

  points: np.ndarray  # [478, 3] float32 pixels, x right, y down
  confidence: float  # of the detector that this is a face, in [0, 1]
  faces: int  # in what the detector looked at, this one included


class TrackedFrame(NamedTuple):
  """A frame of a clip and what tracking found in it."""

  frame: Frame
  points: np.ndarray | None  # of the tracked face; None where it is not to be seen
  confidence: float = 0.0
  faces: int = 0  # in the part of the picture that was looked at
  stranger: bool = False  # only a face that cannot be the tracked one was found


class FaceDetector(Protocol):
  """What finds the face in one picture; has no memory of other pictures."""

  def detect(self, image: np.ndarray) -> np.ndarray | None:
    """[H, W, 3] uint8 RGB -> [478, 3] float32 pixels (x right, y down), or None."""
    ...


class MediaPipeDetector:
  """MediaPipe's FaceMesh with refined eyes, irises and lips; the surest face only.

  The confidence is the face detector's: on clear faces 0.82 to 0.96, with the lower or
  one side half covered 0.66, and none at all with 60 % covered.

  Args:
    confidence: below it a face does not count, in [0, 1].
  """

  def __init__(self, confidence: float = 0.5):
    # The models' start-up notes would land between a progress bar's lines: they are
    # kept off stderr until the whole graph has run once, on the first face.
    self._started = False
    with native_logs.silenced():
      from mediapipe.python.solution_base import SolutionBase
      from mediapipe.python.solutions import face_detection

      # The graph of solutions.face_mesh.FaceMesh, asked for its detections as well.
      # Static: every picture for itself. Its own tracking would keep a state that
      # differs with the order of clips.
      self._mesh = SolutionBase(
        binary_graph_path=_MESH_GRAPH,
        side_inputs={
          "num_faces": 1,
          "with_attention": True,
          "use_prev_landmarks": False,
        },
        calculator_params={
          _DETECTION_THRESHOLD: confidence,
          "facelandmarkcpu__ThresholdingCalculator.threshold": 0.5,
        },
        outputs=["multi_face_landmarks", "all_face_detections"],
      )
      # Faces below about a fifth of the picture need the long-range model.
      self._far = face_detection.FaceDetection(
        model_selection=1, min_detection_confidence=confidence
      )
      blank = np.zeros([64, 64, 3], np.uint8)
      self._mesh.process({"image": blank})
      self._far.process(blank)

  def detect(self, image: np.ndarray) -> np.ndarray | None:
    """[H, W, 3] uint8 RGB -> [478, 3] float32 pixels (x right, y down), or None."""
    found = self.look(image)
    return None if found is None else found.points

  def look(self, image: np.ndarray) -> Detection | None:
    """[H, W, 3] uint8 RGB -> the face with the detector's confidence, or None."""
    found = self._mesh_points(image)
    height, width = image.shape[:2]
    if found is not None:
      box = landmark_box(found.points)
      if max(box[2] - box[0], box[3] - box[1]) > _SMALL_FACE * max(height, width):
        return found
      # The models saw the picture at 128 px: find the mesh again on the face alone.
      closer = look_in_box(self._mesh_points, image, box, BOX_MARGIN)
      return closer and closer._replace(faces=max(closer.faces, found.faces))
    far = self._far.process(image).detections
    if not far:
      return None
    box = far[0].location_data.relative_bounding_box
    x0, y0 = box.xmin * width, box.ymin * height
    corners = (x0, y0, x0 + box.width * width, y0 + box.height * height)
    return look_in_box(self._mesh_points, image, corners, BOX_MARGIN)

  def close(self) -> None:
    """Frees the models."""
    self._mesh.close()
    self._far.close()

  def _mesh_points(self, image: np.ndarray) -> Detection | None:
    with contextlib.nullcontext() if self._started else native_logs.silenced():
      result = self._mesh.process({"image": image})
    if not result.multi_face_landmarks:
      return None
    self._started = True
    landmarks = result.multi_face_landmarks[0].landmark
    points = np.array([(p.x, p.y, p.z) for p in landmarks], np.float32)
    height, width = image.shape[:2]
    scores = [d.score[0] for d in result.all_face_detections or ()]
    return Detection(
      points * np.array([width, height, width], np.float32),
      max(scores, default=0.0),
      max(len(scores), 1),
    )


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
  part, corner = _part(image, box, margin)
  points = None if part is None else detect(part)
  return None if points is None else points + corner


def look_in_box(
  look, image: np.ndarray, box: Iterable[float], margin: float
) -> Detection | None:
  """`detect_in_box` for a function that returns a Detection."""
  part, corner = _part(image, box, margin)
  found = None if part is None else look(part)
  return found and found._replace(points=found.points + corner)


def _part(
  image: np.ndarray, box: Iterable[float], margin: float
) -> tuple[np.ndarray | None, np.ndarray]:
  """The square part of a picture round a box, and its corner [3]; None if outside."""
  x0, y0, x1, y1 = box
  half = max(x1 - x0, y1 - y0) * (0.5 + margin)
  left, top = round((x0 + x1) / 2 - half), round((y0 + y1) / 2 - half)
  side = max(round(2 * half), 1)
  height, width = image.shape[:2]
  part = image[
    min(max(top, 0), height) : min(max(top + side, 0), height),
    min(max(left, 0), width) : min(max(left + side, 0), width),
  ]
  corner = np.array([left, top, 0], np.float32)
  if not part.size:
    return None, corner
  padding = (
    max(-top, 0),
    side - part.shape[0] - max(-top, 0),
    max(-left, 0),
    side - part.shape[1] - max(-left, 0),
  )
  if any(padding):
    part = cv2.copyMakeBorder(part, *padding, cv2.BORDER_CONSTANT)
  return np.ascontiguousarray(part), corner


def look_with(detector: FaceDetector):
  """The detector's `look`; of one without confidences, its `detect` as one."""
  if hasattr(detector, "look"):
    return detector.look

  def look(image: np.ndarray) -> Detection | None:
    points = detector.detect(image)
    return None if points is None else Detection(points, 1.0, 1)

  return look


def track_faces(
  frames: Iterable[Frame], detector: FaceDetector, box_margin: float = BOX_MARGIN
) -> Iterator[TrackedFrame]:
  """Follows one face through the frames of a clip (Supp. Section 3).

  The first face that is found is the clip's. Where it is lost, a face within reach of
  where it was last seen takes over; any other is a stranger, and the tracked one is
  looked for again in the next frame.

  Args:
    frames: in order, as `video.read_frames` gives them.
    detector: finds the face in a picture.
    box_margin: see BOX_MARGIN.

  Yields:
    Each frame, with the mesh [478, 3] float32, pixels of the frame, where the tracked
    face is in it.
  """
  look = look_with(detector)
  last_box, last_time = None, 0.0  # of the tracked face
  tracking = False
  for frame in frames:
    found = None
    if tracking:
      found = look_in_box(look, frame.image, last_box, box_margin)
      found = found if _is_face(found, frame.image, last_box) else None
    stranger = False
    if found is None:  # the first frame, or the face was lost
      found = look(frame.image)
      found = found if _is_face(found, frame.image) else None
      if found is not None and last_box is not None:
        stranger = not _in_reach(
          landmark_box(found.points), last_box, frame.time - last_time
        )
    tracking = found is not None and not stranger
    if not tracking:
      yield TrackedFrame(frame, None, stranger=stranger)
      continue
    last_box, last_time = landmark_box(found.points), frame.time
    yield TrackedFrame(frame, found.points, found.confidence, found.faces)


def _is_face(
  found: Detection | None, image: np.ndarray, previous_box: np.ndarray | None = None
) -> bool:
  """Whether a detection can be the face that was looked for.

  A mesh whose middle lies outside the picture, or that changed its size by more than
  half between two frames, is the detector's invention or somebody else.
  """
  if found is None or not np.isfinite(found.points).all():
    return False
  box = landmark_box(found.points)
  centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
  height, width = image.shape[:2]
  if not (0 <= centre_x < width and 0 <= centre_y < height):
    return False
  if previous_box is None:
    return True
  return 1 / 1.5 < _side(box) / _side(previous_box) < 1.5


def _in_reach(box: np.ndarray, previous_box: np.ndarray, seconds: float) -> bool:
  """Whether a face can have come from one box to the other in that time."""
  move = np.abs((box[:2] + box[2:]) - (previous_box[:2] + previous_box[2:])).max() / 2
  side = max(_side(box), _side(previous_box))
  return move <= side * (_REACH_SIDES + _REACH_SIDES_PER_SECOND * seconds)


def _side(box: np.ndarray) -> float:
  return max(box[2] - box[0], box[3] - box[1], 1e-6)


def landmarks_68(points: np.ndarray) -> np.ndarray:
  """The 68 iBUG landmarks of a mesh, [478, 2 or 3] -> [68, 2] float32."""
  return points[list(mediapipe_regions.IBUG68), :2].astype(np.float32)
