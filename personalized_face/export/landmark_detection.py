"""Landmarks of a foreign mesh, found by running the detector on renders of it."""

import dataclasses

import numpy as np

from personalized_face.authoring import placement
from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_PARSING_CLASSES
from personalized_face.data.detector import FaceDetector, landmarks_68
from personalized_face.export.characters import Character
from personalized_face.template.face_template import FaceTemplate

_HEIGHT_DM = 2.0  # what the viewer's camera frames
_TEXELS = 8


def detect_landmarks(
  character: Character, template: FaceTemplate, detector: FaceDetector
) -> np.ndarray:
  """The 68 vertices that a detector's landmarks fall on, iBUG order.

  Args:
    character: faces +z, y up; a head without much of a body.
    template: any; a draft is made of it.
    detector: such as MediaPipe's.

  Raises:
    UserError: no face is seen in any render.
  """
  low, high = character.vertices.min(axis=0), character.vertices.max(axis=0)
  scaled = (character.vertices - (low + high) / 2) * _HEIGHT_DM / (high - low)[1]
  count = len(scaled)
  draft = dataclasses.replace(
    template,
    name=character.name,
    vertices=scaled.astype(np.float32),
    triangles=character.triangles.astype(np.int32),
    hole_triangles=np.zeros([0, 3], np.int32),
    uv=np.full([count, 2], 0.5, np.float32),
    blendshape_names=("none",),
    blendshape_deltas=np.zeros([1, count, 3], np.float32),
    attention_masks=np.zeros([_TEXELS, _TEXELS, 1], np.float32),
    mean_albedo=np.full([_TEXELS, _TEXELS, 3], 0.7, np.float32),
    parsing_map=np.eye(NUM_PARSING_CLASSES, dtype=np.float32)[
      np.ones([_TEXELS, _TEXELS], int)
    ],
    landmark_vertices=np.zeros_like(template.landmark_vertices),
    anatomical_landmarks=np.zeros_like(template.anatomical_landmarks),
    # Its own mirror image: an unknown mesh is not averaged with one.
    mirror_vertices=np.arange(count, dtype=np.int32),
  )
  points = placement.detect_points(draft, detector.detect)
  if points is None:
    raise UserError(
      f"No face was found in renders of {character.name}; turn it towards +z, y up, or "
      "give its 68 landmarks with --landmarks."
    )
  return placement.nearest_vertices(landmarks_68(points), draft.vertices)
