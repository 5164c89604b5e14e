"""One clip: read, tracked, cropped and labelled, frame by frame.

source -> read_frames -> track_faces -> stable square -> crop, landmarks, parsing
"""

import dataclasses
from collections import Counter, defaultdict

import gin
import numpy as np
from tqdm import tqdm

from personalized_face.data import crop, records
from personalized_face.data.corpora import ClipSource
from personalized_face.data.detector import (
  BOX_MARGIN,
  FaceDetector,
  landmarks_68,
  track_faces,
)
from personalized_face.data.parsing import parse_mesh
from personalized_face.data.video import frame_count, read_frames


@gin.configurable(module="data")
@dataclasses.dataclass(frozen=True)
class Preparation:
  """The settings that decide what a record holds.

  Attributes:
    fps: frames per second taken from a video (Section 4: 10).
    size: side of the crops, pixels.
    box_margin: round the previous frame's landmarks, see data/detector.py.
    square_smoothing: of the crop's square, see data/crop.py; 0 does not smooth.
    min_face_pixels: a face whose landmark box is smaller (longer side, pixels of the
      source) has no detail to learn from, and the frame is dropped.
    min_frames: a clip with fewer usable frames than this for training is left out; N
      of the groups that will be drawn from it.
  """

  fps: float = 10.0
  size: int = crop.CROP_SIZE
  box_margin: float = BOX_MARGIN
  square_smoothing: float = 0.5
  min_face_pixels: float = 64.0
  min_frames: int = 4


def read_clip(
  source: ClipSource,
  preparation: Preparation,
  detector: FaceDetector,
  progress: bool = False,
) -> tuple[records.ClipFrames, Counter]:
  """Reads one clip and labels the frames that show a face.

  Args:
    source: the clip.
    preparation: settings.
    detector: of faces.
    progress: whether to show a bar over the frames.

  Returns:
    The usable frames, and how many were "read", and dropped for "no_face" or as
    "too_small".

  Raises:
    UserError: the source cannot be read.
  """
  counts = Counter(read=0, no_face=0, too_small=0)
  columns = defaultdict(list)
  square, shape = None, (0, 0)
  frames = read_frames(source.path, preparation.fps)
  if progress:
    total = frame_count(source.path, preparation.fps)
    frames = tqdm(frames, f"preparing {source.clip}", total, unit="frame", delay=0.5)
  for tracked in track_faces(frames, detector, preparation.box_margin):
    frame, mesh = tracked.frame, tracked.points
    index = counts["read"]
    counts["read"] += 1
    shape = frame.image.shape[:2]
    if mesh is None:
      counts["no_face"] += 1
      square = None
      continue
    landmarks = landmarks_68(mesh)
    box = crop.landmark_box(landmarks)
    if max(box[2] - box[0], box[3] - box[1]) < preparation.min_face_pixels:
      counts["too_small"] += 1
      continue
    square = crop.follow_square(square, landmarks, preparation.square_smoothing)
    columns["indices"].append(index)
    columns["times"].append(frame.time)
    columns["boxes"].append(box)
    columns["squares"].append(square)
    for name, value in _labelled(frame.image, mesh, square, preparation.size).items():
      columns[name].append(value)
  return _clip_frames(source, shape, columns), counts


def _labelled(
  image: np.ndarray, mesh: np.ndarray, square: crop.Square, size: int
) -> dict[str, bytes | np.ndarray]:
  """The crop, its parsing map and its landmarks, as a record holds them."""
  points = crop.to_crop(mesh[:, :2], square, size)
  return {
    "images": records.encode_image(crop.crop_image(image, square, size)),
    "parsing": records.encode_labels(parse_mesh(points, size, size)),
    "landmarks": landmarks_68(points),
  }


def _clip_frames(
  source: ClipSource, shape: tuple[int, int], columns: dict[str, list]
) -> records.ClipFrames:
  return records.ClipFrames(
    person=source.person,
    clip=source.clip,
    source=source.path,
    frame_height=shape[0],
    frame_width=shape[1],
    indices=np.array(columns["indices"], np.int64),
    times=np.array(columns["times"], np.float32),
    images=columns["images"],
    parsing=columns["parsing"],
    landmarks=np.array(columns["landmarks"], np.float32).reshape(-1, 68, 2),
    boxes=np.array(columns["boxes"], np.float32).reshape(-1, 4),
    squares=np.array(columns["squares"], np.float32).reshape(-1, 3),
  )
