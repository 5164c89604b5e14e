"""What a live tracker shows of a frame: an overlay on it, or a driven face beside it.

frame, TrackedFace, Tracking --Overlay---> the tracked face on the frame
                             --DrivenBeside--> frame | driven face
"""

from typing import Protocol

import cv2
import numpy as np

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.export.driven_face import DrivenFace
from personalized_face.inference.reconstruct import model_person
from personalized_face.inference.render import PersonRenderer
from personalized_face.inference.sheets import into_source
from personalized_face.inference.track import TrackedFace
from personalized_face.systems.personalized_face import PersonalizedFace

_GROUND = 89  # of 255, where no face was driven yet; the grey of `pictures.on_grey`


class Painter(Protocol):
  """Makes the picture of a frame."""

  def __call__(
    self, image: np.ndarray, face: TrackedFace | None, tracking: Tracking | None
  ) -> np.ndarray:
    """Returns [H, W', 3] uint8 RGB, of one size for frames of one size.

    Args:
      image: [H, W, 3] uint8 RGB, the frame.
      face: what was found in it.
      tracking: [1, ...] numpy, what is to be shown; None where the face was lost.
    """
    ...


class Overlay:
  """The tracked face on its frame; a frame without one stays as it is."""

  def __init__(self, system: PersonalizedFace, person: PersonModel | None):
    """Takes the person, without B; None lets ModelNet see the first crop."""
    self._system = system
    self._renderer = None if person is None else PersonRenderer(system, person)

  def __call__(
    self, image: np.ndarray, face: TrackedFace | None, tracking: Tracking | None
  ) -> np.ndarray:
    """See `Painter`."""
    if face is None or tracking is None:
      return image
    if self._renderer is None:
      person = model_person(self._system, face.crop[np.newaxis])
      self._renderer = PersonRenderer(self._system, person)
    return into_source(image, self._renderer(tracking), face.square)


class DrivenBeside:
  """The frame, and beside it the face that it drives, as high as the frame.

  While the driver is lost, the driven face waits as it was.
  """

  def __init__(self, driven: DrivenFace):
    """Takes the face that is driven."""
    self._draw = driven
    self._last = np.full([1, 1, 3], _GROUND, np.uint8)

  def __call__(
    self, image: np.ndarray, face: TrackedFace | None, tracking: Tracking | None
  ) -> np.ndarray:
    """See `Painter`."""
    del face
    if tracking is not None:
      self._last = self._draw(tracking)
    side = image.shape[0]
    shown = cv2.resize(self._last, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.concatenate([image, shown], axis=1)
