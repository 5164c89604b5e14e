"""A face that somebody else's motion moves, a frame at a time.

    Tracking of a frame --a person: Eq. 1, Eq. 2, renderer----> its picture
                        --a character: its own shapes, clay---^

The pictures are those of `pface_retarget`'s driven.mp4.
"""

from collections.abc import Callable, Mapping

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.detector import FaceDetector
from personalized_face.export.characters import (
  Character,
  is_character,
  read_character,
)
from personalized_face.export.drive_character import clay_renderer
from personalized_face.export.retarget import target_person
from personalized_face.export.shape_mapping import map_shapes
from personalized_face.inference import pictures
from personalized_face.inference.render import PersonRenderer
from personalized_face.systems.personalized_face import PersonalizedFace

# A frame's Tracking [1, ...] numpy to a square picture [S, S, 3] uint8 RGB.
DrivenFace = Callable[[Tracking], np.ndarray]


def open_driven_face(
  system: PersonalizedFace,
  path: str,
  detector: FaceDetector,
  overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> DrivenFace:
  """The face that a path names.

  Args:
    system: of the run that tracks; the person is of its template.
    path: a person.npz, a folder that has one, a video or image of a person, whom
      ModelNet then models, or a character with blendshapes, see `characters`.
    detector: finds the face in a video or image.
    overrides: of a character's shapes, see `shape_mapping.read_mapping`.

  Raises:
    UserError: it cannot be read, is of another template, or has no blendshapes that
      could be driven.
  """
  if is_character(path):
    return driven_character(
      read_character(path), system.template.blendshape_names, overrides
    )
  return driven_person(system, target_person(system, path, detector, 8))


def driven_person(system: PersonalizedFace, person: PersonModel) -> DrivenFace:
  """A person, on a grey ground, in the pose and the light of who drives them.

  Args:
    system: decode and renderer.
    person: without the leading dimension B.
  """
  render = PersonRenderer(system, person)

  def draw(tracking: Tracking) -> np.ndarray:
    return pictures.to_uint8(pictures.on_grey(render(tracking)))

  return draw


def driven_character(
  character: Character,
  names: tuple[str, ...],
  overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> DrivenFace:
  """A character in grey clay, its head turned as the driver's.

  Args:
    character: with blendshapes.
    names: K, of the driver's coefficients.
    overrides: see `shape_mapping.map_shapes`.

  Raises:
    UserError: it has no blendshapes, or none of ours.
  """
  if not character.names:
    raise UserError(
      f"{character.name} has no blendshapes that could be driven; let `pface_retarget` "
      "make some, and give its driven.glb."
    )
  mapping = map_shapes(names, character.names, overrides)
  render = clay_renderer(character)

  def draw(tracking: Tracking) -> np.ndarray:
    weights = (np.asarray(tracking.expression[0]) @ mapping.matrix).clip(0, 1)
    return render(weights.astype(np.float32), tracking.rotation[0])

  return draw
