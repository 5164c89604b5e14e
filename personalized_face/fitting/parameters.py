"""What is fitted: a person's raw maps and each frame's raw motion.

"Raw" is what ModelNet and TrackNet put out; `face_model.parameters` makes named
quantities of it, for the fit as for the networks, so one unit of each changes the
picture about equally and step sizes mean the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core.types import (
  NUM_LIGHT_COEFFICIENTS,
  PersonModel,
  Tensor,
  Tracking,
)
from personalized_face.face_model.parameters import person_from_raw, tracking_from_raw
from personalized_face.fitting.pyramid import UvPyramid
from personalized_face.template.face_template import FaceTemplate

_LIGHT = 3 * NUM_LIGHT_COEFFICIENTS
POSE = 6  # pitch, yaw, roll, x, y, z


class RawMaps(NamedTuple):
  """The four maps as ModelNet puts them out, B = 1 (networks.model_net)."""

  shape_neutral: Tensor
  shape_blendshapes: Tensor
  albedo_neutral: Tensor
  albedo_blendshapes: Tensor


@gin.configurable(module="fitting")
class PersonParameters:
  """The maps of one person as pyramids.

  Attributes:
    maps: the four UvPyramids, a RawMaps.
    colour: [3] variable, by which the template's albedo is multiplied throughout: how
      light or dark the skin is, before any map.
  """

  def __init__(
    self,
    template: FaceTemplate,
    neutral_sizes: Sequence[int] = (8, 16, 32, 64, 128),
    blendshape_sizes: Sequence[int] = (16, 128),
    static_albedo_sizes: Sequence[int] = (8, 16, 32, 64, 128),
    dynamic_albedo_sizes: Sequence[int] = (16, 128),
    shape_slowing: float = 0.5,
  ):
    """All corrections are zero.

    Args:
      template: gives the maps' side and the number of blendshapes.
      neutral_sizes, blendshape_sizes, static_albedo_sizes, dynamic_albedo_sizes: sides
        of the pyramids' levels, texels.
      shape_slowing: of the finer levels of the two shape maps, see UvPyramid.
    """
    side, count = template.uv_size, template.num_blendshapes
    self._mean_albedo = tf.constant(template.mean_albedo)
    self._zeros = tf.zeros([1, side, side, 3 * count])
    self.maps = RawMaps(
      UvPyramid(side, 3, neutral_sizes, shape_slowing),
      UvPyramid(side, 3 * count, blendshape_sizes, shape_slowing),
      UvPyramid(side, 3, static_albedo_sizes),
      UvPyramid(side, 3 * count, dynamic_albedo_sizes),
    )
    self.colour = tf.Variable(tf.ones([3]))

  def reset(self) -> None:
    """No corrections, the template's colour."""
    for pyramid in self.maps:
      for level in pyramid.levels:
        level.assign(tf.zeros_like(level))
    self.colour.assign(tf.ones_like(self.colour))

  def person(self, blendshapes: bool = True) -> PersonModel:
    """The person, B = 1.

    Args:
      blendshapes: False leaves out what depends on the expression; the two large maps
        are then constants.
    """
    raw = RawMaps(
      self.maps.shape_neutral()[tf.newaxis],
      self.maps.shape_blendshapes()[tf.newaxis] if blendshapes else self._zeros,
      self.maps.albedo_neutral()[tf.newaxis],
      self.maps.albedo_blendshapes()[tf.newaxis] if blendshapes else self._zeros,
    )
    return person_from_raw(raw, self._mean_albedo * self.colour)


class TrackingParameters:
  """The motion of F frames, as TrackNet would put it out for them.

  Attributes:
    rows: [F, K + 3 + 3 + 27] variable. Its light is a frame's difference from
    scene_light: [G, 27] variable, the light that the frames of a scene share.
  """

  def __init__(self, scenes: np.ndarray, num_blendshapes: int):
    """Neutral and frontal under white ambient light.

    Args:
      scenes: [F] int, the scene of each frame, see `Frames`.
      num_blendshapes: K.
    """
    self.num_blendshapes = num_blendshapes
    self._scenes = tf.constant(scenes, tf.int32)
    width = num_blendshapes + POSE + _LIGHT
    self.rows = tf.Variable(tf.zeros([len(scenes), width]))
    self.scene_light = tf.Variable(tf.zeros([int(np.max(scenes)) + 1, _LIGHT]))

  def reset(self) -> None:
    """Neutral and frontal under white ambient light."""
    self.rows.assign(tf.zeros_like(self.rows))
    self.scene_light.assign(tf.zeros_like(self.scene_light))

  def tracking(self, rows: Tensor, scene_light: Tensor, chosen: Tensor) -> Tracking:
    """The Tracking [n, ...] of some frames.

    Args:
      rows: [n, K + 33] as gathered from `rows`.
      scene_light: [G, 27].
      chosen: [n] int32, which frames they are.
    """
    light = tf.gather(scene_light, tf.gather(self._scenes, chosen))
    motion = self.num_blendshapes + POSE
    raw = tf.concat([rows[:, :motion], rows[:, motion:] + light], axis=-1)
    return tracking_from_raw(raw, self.num_blendshapes)

  def all(self) -> Tracking:
    """The Tracking [F, ...], numpy."""
    chosen = tf.range(self.rows.shape[0])
    tracking = self.tracking(
      tf.convert_to_tensor(self.rows), tf.convert_to_tensor(self.scene_light), chosen
    )
    return Tracking(*(value.numpy() for value in tracking))

  def light_change(self, rows: Tensor) -> Tensor:
    """[n, 27] how a frame's light differs from its scene's, raw units."""
    return rows[:, self.num_blendshapes + POSE :]

  def step_sizes(self, expression: float, pose: float, light: float) -> np.ndarray:
    """[K + 33] float32, a step for each column of `rows`, raw units."""
    counts = (self.num_blendshapes, POSE, _LIGHT)
    return np.repeat([expression, pose, light], counts).astype(np.float32)
