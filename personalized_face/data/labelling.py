"""Landmarks and parsing maps of the frames of a clip, from MediaPipe or from files.

    frame -> MediaPipe's mesh, tracked ----> 68 landmarks, polygons of the mesh
          -> landmark files of the corpus -> 68 landmarks
          -> label PNGs of the corpus -----> parsing map

A Labeller is built once in each process; the models that no clip needs are not loaded.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data import crop, gates
from personalized_face.data.corpora import ClipSource
from personalized_face.data.corpus_spec import LabelFiles, LandmarkFiles
from personalized_face.data.detector import (
  FaceDetector,
  MediaPipeDetector,
  TrackedFrame,
  landmarks_68,
  look_in_box,
  look_with,
  track_faces,
)
from personalized_face.data.landmark_files import LandmarkReader
from personalized_face.data.parsing import parse_mesh, read_label_png
from personalized_face.data.video import Frame

_MEDIAPIPE_LANDMARKS = "MediaPipe FaceMesh, 478 points, mapped to iBUG 68"
_MEDIAPIPE_PARSING = "polygons of the MediaPipe mesh"


class LabelledFrame(NamedTuple):
  """A frame and whose face is where in it."""

  frame: Frame
  landmarks: np.ndarray | None  # [68, 2] float32 pixels of the frame
  mesh: np.ndarray | None = None  # [478, 3] the same, where the parsing needs it
  confidence: float = 0.0
  faces: int = 0
  gate: str = ""  # why there are no landmarks: "no_face", "other_face", "bad_landmarks"
  reason: str = ""  # one sentence where a file is at fault


class Labeller:
  """Landmarks and parsing maps of clips.

  Args:
    landmarks, parsing: the corpus's files; None takes MediaPipe.
    detector: of faces; None takes MediaPipe's, loaded when first needed.
    box_margin: see data/detector.py.
  """

  def __init__(
    self,
    landmarks: LandmarkFiles | None = None,
    parsing: LabelFiles | None = None,
    detector: FaceDetector | None = None,
    box_margin: float = 0.5,
  ):
    self._landmarks, self._parsing = landmarks, parsing
    self._detector = detector
    self._box_margin = box_margin

  @property
  def landmark_source(self) -> str:
    """What the landmarks come from, for the records."""
    return f"files {self._landmarks.files}" if self._landmarks else _MEDIAPIPE_LANDMARKS

  @property
  def parsing_source(self) -> str:
    """What the parsing maps come from, for the records; the labels' order is named."""
    if not self._parsing:
      return _MEDIAPIPE_PARSING
    return f"files {self._parsing.files}, labels in the order of {self._parsing.order}"

  def frames(
    self, source: ClipSource, frames: Iterable[Frame]
  ) -> Iterator[LabelledFrame]:
    """The frames of a clip, in order, with their landmarks."""
    if self._landmarks is None:
      for tracked in track_faces(frames, self._face_detector(), self._box_margin):
        yield _of_tracked(tracked)
      return
    readers: dict[str, LandmarkReader] = {}
    for frame in frames:
      yield self._from_files(frame, readers, _image_of(source, frame))

  def _face_detector(self) -> FaceDetector:
    if self._detector is None:
      self._detector = MediaPipeDetector()
    return self._detector

  def _from_files(
    self, frame: Frame, readers: dict[str, LandmarkReader], path: str
  ) -> LabelledFrame:
    """A frame with the corpus's landmarks, and a mesh in their box if needed."""
    spec = self._landmarks
    template = beside(path, spec.files)
    if template not in readers:
      readers[template] = LandmarkReader(template, spec.first_frame, spec.pixel_base)
    try:
      landmarks = readers[template].read(frame.number)
    except UserError as error:
      return LabelledFrame(frame, None, gate="bad_landmarks", reason=str(error))
    if landmarks is None:
      return LabelledFrame(frame, None, gate="no_face")
    if self._parsing is not None:
      return LabelledFrame(frame, landmarks, confidence=1.0, faces=1)
    # Before anything is cut out round them: numbers out of range would make it huge.
    if gates.bad_landmarks(landmarks, *frame.image.shape[:2]):
      return LabelledFrame(frame, None, gate="bad_landmarks")
    box = crop.landmark_box(landmarks)
    look = look_with(self._face_detector())
    found = look_in_box(look, frame.image, box, self._box_margin)
    if found is None:
      return LabelledFrame(frame, None, gate="no_face")
    return LabelledFrame(frame, landmarks, found.points, found.confidence, found.faces)

  def parsing_map(
    self, source: ClipSource, labelled: LabelledFrame, square: crop.Square, size: int
  ) -> np.ndarray:
    """The parsing map of a crop, [size, size] uint8.

    Raises:
      UserError: the corpus's label image is missing or not one.
    """
    if self._parsing is None:
      return parse_mesh(crop.to_crop(labelled.mesh[:, :2], square, size), size, size)
    path = beside(_image_of(source, labelled.frame), self._parsing.files)
    path = path.format(frame=labelled.frame.number + self._parsing.first_frame)
    labels = read_label_png(path, self._parsing.order)
    # Parsers often work at another size than the picture's.
    scale = labels.shape[1] / labelled.frame.image.shape[1]
    scaled = crop.Square(*(value * scale for value in square))
    return crop.crop_image(labels, scaled, size, cv2.INTER_NEAREST)


def beside(path: str, template: str) -> str:
  """A file named relative to an input's folder; `{stem}` is the input's name.

  `{frame}` stays for later; braces in the path itself stay braces.
  """
  folder, name = os.path.split(path)
  stem = os.path.splitext(name)[0]
  return os.path.join(_escaped(folder), template.replace("{stem}", _escaped(stem)))


def _escaped(text: str) -> str:
  return text.replace("{", "{{").replace("}", "}}")


def _image_of(source: ClipSource, frame: Frame) -> str:
  """The file that a frame comes from."""
  return source.files[frame.number] if source.files else source.path


def _of_tracked(tracked: TrackedFrame) -> LabelledFrame:
  if tracked.points is None:
    gate = "other_face" if tracked.stranger else "no_face"
    return LabelledFrame(tracked.frame, None, gate=gate, faces=tracked.faces)
  return LabelledFrame(
    tracked.frame,
    landmarks_68(tracked.points),
    tracked.points,
    tracked.confidence,
    tracked.faces,
  )
