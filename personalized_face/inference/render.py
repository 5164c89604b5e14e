"""Renders a person's motion: a clip in chunks of a fixed size, or frames as they come.

    PersonModel, Tracking [F, ...] --system.reconstruct--> RenderedFrames ...

One traced graph of `ClipRenderer` serves every person and every clip of a system;
`PersonRenderer` does once what depends on the person alone, and draws an overlay only.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.core.types import PersonModel, Rendering, Tensor, Tracking
from personalized_face.inference.person_decode import decode_function, weighted_sum
from personalized_face.inference.track import person_geometry
from personalized_face.systems.personalized_face import PersonalizedFace

# Frames rendered at once: enough to keep the cores busy.
CHUNK = 8


class RenderedFrames(NamedTuple):
  """Some consecutive frames of one person, numpy; the letters of core/types.py."""

  rendering: Rendering  # [n, H, W, ...]
  landmarks: Tensor  # [n, L, 2] projected, pixels of the crop
  vertices: Tensor  # [n, V, 3] S of Eq. 1, decimetres, model space


class ClipRenderer:
  """Renders persons with a system; traces once."""

  def __init__(self, system: PersonalizedFace, chunk: int = CHUNK):
    self._system = system
    self._chunk = chunk
    self._graph = tf.function(self._reconstruct, autograph=False)

  def __call__(
    self, person: PersonModel, tracking: Tracking
  ) -> Iterator[RenderedFrames]:
    """Yields the frames of a motion in order, at most `chunk` at a time.

    Args:
      person: without the leading dimension B.
      tracking: [F, ...]; another person's is retargeting (Section 3.3).
    """
    person = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
    count = len(tracking.expression)
    for start in range(0, count, self._chunk):
      kept = min(self._chunk, count - start)
      # The last chunk is filled up with its last frame: one shape, one trace.
      picked = np.minimum(np.arange(start, start + self._chunk), count - 1)
      part = Tracking(*(np.asarray(v)[picked][np.newaxis] for v in tracking))
      yield tf.nest.map_structure(
        lambda value, kept=kept: value.numpy()[0, :kept], self._graph(person, part)
      )

  def all(self, person: PersonModel, tracking: Tracking) -> RenderedFrames:
    """The same for a few frames, in one piece."""
    chunks = list(self(person, tracking))
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *chunks)

  def _reconstruct(self, person: PersonModel, tracking: Tracking) -> RenderedFrames:
    outputs = self._system.reconstruct(person, tracking)
    return RenderedFrames(outputs.rendering, outputs.landmarks, outputs.mesh.vertices)


class FacePicture(NamedTuple):
  """What an overlay needs of a Rendering, numpy."""

  image: Tensor  # [S, S, 3]
  mask: Tensor  # [S, S]


class PersonRenderer:
  """Renders one person in a crop, a frame at a time."""

  def __init__(self, system: PersonalizedFace, person: PersonModel):
    """Samples the person's maps at the vertices, and masks those of the albedo.

    Args:
      system: decode and renderer; its networks are not used.
      person: without the leading dimension B.
    """
    batch = PersonModel(*(tf.constant(part)[tf.newaxis] for part in person))
    albedo = system.face_model.person_albedo(batch)
    self._renderer, self._static = system.renderer, albedo.static[:, tf.newaxis]
    self._changes = weighted_sum(albedo.dynamic)
    self._decode = decode_function(system, person_geometry(system, person))
    self._graph = tf.function(self._render, autograph=False)

  def __call__(self, tracking: Tracking) -> FacePicture:
    """The picture of one frame, whose Tracking is [1, ...] numpy."""
    return FacePicture(*(value.numpy()[0, 0] for value in self._graph(tracking)))

  def _render(self, tracking: Tracking) -> tuple[Tensor, Tensor]:
    expression, rotation, translation, light = tracking
    vertices = self._decode(expression, rotation, translation)
    changes = tf.reshape(self._changes(expression), self._static.shape)
    rendering = self._renderer(
      vertices[tf.newaxis], self._static + changes, light[tf.newaxis]
    )
    return rendering.image, rendering.mask
