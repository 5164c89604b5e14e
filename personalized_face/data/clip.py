"""One clip: read, tracked, cropped and labelled, frame by frame.

source -> frames -> landmarks -> gates -> stable square -> crop, parsing -> spool
"""

import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data import crop, gates, record_format
from personalized_face.data.corpora import ClipSource
from personalized_face.data.detector import BOX_MARGIN, FaceDetector
from personalized_face.data.labelling import LabelledFrame, Labeller
from personalized_face.data.spool import Spool, SpooledFrame
from personalized_face.data.stages import StageClock
from personalized_face.data.video import Frame, frame_count, read_frames
from personalized_face.progress import tqdm


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
    min_confidence: of the face detector, in [0, 1]; below it the face counts as
      occluded. A half covered face has 0.66, clear ones 0.82 to 0.96.
    min_sharpness: see gates.sharpness; below it the frame is blurred. Of twenty clips
      the frames with strong motion blur have 22 to 30, two with some 34 and 39, all
      others 42 and more; turned heads (to 46 degrees) have no less than frontal ones.
    min_frames: a clip with fewer usable frames than this for training is left out; N
      of the groups that will be drawn from it.
  """

  fps: float = 10.0
  size: int = crop.CROP_SIZE
  box_margin: float = BOX_MARGIN
  square_smoothing: float = 0.5
  min_face_pixels: float = 100.0
  min_confidence: float = 0.7
  min_sharpness: float = 32.0
  min_frames: int = 4


class ClipLabels(NamedTuple):
  """What was found in a clip, beside the frames in the spool."""

  clip: record_format.ClipFrames  # without frames
  counts: Counter  # "read", each of gates.GATES but thinned, "two_faces"
  reasons: list[str]  # sentences on files of the clip that are at fault


def label_clip(
  source: ClipSource,
  preparation: Preparation,
  labeller: Labeller,
  spool: Spool,
  clock: StageClock | None = None,
  progress: bool = False,
) -> ClipLabels:
  """Reads one clip and puts the frames that show the face into a spool.

  Memory does not grow with the clip but for what the spool says of a frame.

  Args:
    source: the clip.
    preparation: settings.
    labeller: gives landmarks and parsing maps.
    spool: gets the usable frames.
    clock: counts the time of each stage.
    progress: whether to show a bar over the frames.

  Raises:
    UserError: the source cannot be read.
  """
  clock = clock or StageClock()
  counts = Counter(read=0, two_faces=0, **dict.fromkeys(gates.GATES, 0))
  reasons: list[str] = []
  frames: Iterable[Frame] = read_frames(
    source.path, preparation.fps, source.files, reasons
  )
  if progress:
    total = frame_count(source.path, preparation.fps)
    frames = tqdm(frames, f"preparing {source.clip}", total, unit="frame", delay=0.5)
  frames = clock.iterate("decode", frames)
  worker = _FrameWorker(source, preparation, labeller, clock)
  shape = (0, 0)
  for labelled in clock.iterate("landmarks", labeller.frames(source, frames)):
    shape = labelled.frame.image.shape[:2]
    result = worker.label(labelled, counts["read"])
    counts["read"] += 1
    counts["two_faces"] += labelled.faces > 1
    if isinstance(result, SpooledFrame):
      with clock.stage("write"):
        spool.add(result)
    else:
      counts[result] += 1
    if worker.reason:
      reasons.append(worker.reason)
  if not counts["read"] and reasons:
    raise UserError(reasons[0])
  clip = record_format.ClipFrames(
    person=source.person,
    clip=source.clip,
    source=source.path,
    frame_height=shape[0],
    frame_width=shape[1],
    landmark_source=labeller.landmark_source,
    parsing_source=labeller.parsing_source,
    **dict.fromkeys(("indices", "times", "landmarks", "boxes", "squares"), np.zeros(0)),
    images=[],
    parsing=[],
  )
  return ClipLabels(clip, counts, reasons)


def read_clip(
  source: ClipSource,
  preparation: Preparation,
  detector: FaceDetector,
  progress: bool = False,
) -> tuple[record_format.ClipFrames, Counter]:
  """`label_clip` for a clip that fits into memory, by the given detector.

  Args:
    source: the clip.
    preparation: settings.
    detector: of faces.
    progress: whether to show a bar over the frames.

  Returns:
    The usable frames, and how many were read and dropped by each gate.

  Raises:
    UserError: the source cannot be read.
  """
  labeller = Labeller(detector=detector, box_margin=preparation.box_margin)
  with (
    tempfile.TemporaryDirectory() as folder,
    Spool(os.path.join(folder, "frames")) as spool,
  ):
    labels = label_clip(source, preparation, labeller, spool, progress=progress)
    return spool.take(np.arange(len(spool)), labels.clip), labels.counts


class _FrameWorker:
  """Gates and crops the frames of one clip; holds the square from frame to frame."""

  def __init__(
    self,
    source: ClipSource,
    preparation: Preparation,
    labeller: Labeller,
    clock: StageClock,
  ):
    self._source, self._settings = source, preparation
    self._labeller, self._clock = labeller, clock
    self._square: crop.Square | None = None
    self.reason = ""  # of the last frame

  def label(self, labelled: LabelledFrame, index: int) -> SpooledFrame | str:
    """The frame as a record holds it, or the gate that it did not pass."""
    self.reason = labelled.reason
    with self._clock.stage("gates"):
      gate = self._gate(labelled)
    if gate:
      if gate in ("no_face", "other_face", "bad_landmarks"):
        self._square = None
      return gate
    size = self._settings.size
    landmarks = labelled.landmarks
    square = crop.follow_square(
      self._square, landmarks, self._settings.square_smoothing
    )
    self._square = square
    with self._clock.stage("crop"):
      image = crop.crop_image(labelled.frame.image, square, size)
    in_crop = crop.to_crop(landmarks, square, size).astype(np.float32)
    with self._clock.stage("gates"):
      sharpness = gates.sharpness(image, in_crop)
      if sharpness < self._settings.min_sharpness:
        return "blurred"
    try:
      with self._clock.stage("parsing"):
        parsing = self._labeller.parsing_map(self._source, labelled, square, size)
    except UserError as error:
      self.reason = str(error)
      return "no_parsing"
    with self._clock.stage("encode"):
      encoded = record_format.encode_image(image), record_format.encode_labels(parsing)
    return SpooledFrame(
      index,
      labelled.frame.number,
      labelled.frame.time,
      in_crop,
      crop.landmark_box(landmarks),
      tuple(square),
      labelled.confidence,
      sharpness,
      *encoded,
    )

  def _gate(self, labelled: LabelledFrame) -> str:
    """The gate that keeps a frame from being cropped; empty if none does."""
    if labelled.gate:
      return labelled.gate
    if gates.bad_landmarks(labelled.landmarks, *labelled.frame.image.shape[:2]):
      return "bad_landmarks"
    box = crop.landmark_box(labelled.landmarks)
    if gates.longer_side(box) < self._settings.min_face_pixels:
      return "too_small"
    if labelled.confidence < self._settings.min_confidence:
      return "occluded"
    return ""
