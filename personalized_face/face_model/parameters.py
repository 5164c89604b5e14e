"""Raw network outputs to named, constrained parameters with units.

The scales say what one raw unit means. They matter because Adam moves every raw output
by about the same amount whatever its gradient: measured on TrackNet, a step moves a raw
output by 0.03 at the paper's learning rate of 1e-4 and by 0.2 to 0.4 at 1e-3. So a raw
unit of each quantity should change the picture about equally. At 10 dm and a focal
length of 1015 px, 1 dm across the view is 101.5 px of the crop:

  rotation      0.1 rad moves the nose, 1 dm in front of the centre, by 10 px
  translation   0.1 dm across the view 10 px; 1 dm along it, a tenth of the distance,
                changes the head's radius of about 100 px by 10 px
  expression    half of an open jaw (0.25 dm, 25 px) is 6 px per unit at w = .5, but
                0.2 px at w = .007, where an untrained tracker starts
  light         0.28 of the full level for the ambient coefficient, 0.49 for the others
  shape         0.1 dm, 10 px seen from the side
  albedo        0.1 of the range [0, 1]
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import (
  NUM_LIGHT_COEFFICIENTS,
  PersonModel,
  Tensor,
  Tracking,
)


def tracking_from_raw(
  raw: Tensor,
  num_blendshapes: int,
  *,
  expression_scale: float = 1.0,
  expression_bias: float = -5.0,
  rotation_scale: float = 0.1,
  translation_scale: tuple[float, float, float] = (0.1, 0.1, 1.0),
  head_distance: float = 10.0,
  light_scale: float = 1.0,
  ambient_level: float = 1.0,
) -> Tracking:
  """p_n = (w_n, R_n, t_n, gamma_n) of Section 3.3 from TrackNet's output.

  Zeros give a neutral, frontal head at head distance in white ambient light.

  Args:
    raw: [..., K + 3 + 3 + 27] unconstrained.
    num_blendshapes: K.
    expression_scale: w = sigmoid(scale * raw + bias).
    expression_bias: -5 makes the sum of 56 coefficients start at 0.37.
    rotation_scale: radians per raw unit.
    translation_scale: decimetres per raw unit along x, y and z.
    head_distance: decimetres in front of the camera (Deng et al. 2019: 10).
    light_scale: units of the spherical-harmonics coefficients per raw unit.
    ambient_level: irradiance of the light at raw 0; 1 shows the albedo as it is.

  Returns:
    Tracking with the leading dimensions of `raw`.

  Raises:
    ValueError: the last dimension does not fit `num_blendshapes`.
  """
  width = num_blendshapes + 3 + 3 + 3 * NUM_LIGHT_COEFFICIENTS
  shapes.check(raw, f"[..., {width}]", "raw")
  expression, rotation, translation, light = tf.split(
    raw, [num_blendshapes, 3, 3, 3 * NUM_LIGHT_COEFFICIENTS], axis=-1
  )
  lead = tf.shape(raw)[:-1]
  light = tf.reshape(light, tf.concat([lead, [NUM_LIGHT_COEFFICIENTS, 3]], axis=0))
  light = tf.ensure_shape(light, [*raw.shape[:-1], NUM_LIGHT_COEFFICIENTS, 3])
  head = tf.constant([0.0, 0.0, -head_distance], raw.dtype)
  return Tracking(
    expression=tf.sigmoid(expression_scale * expression + expression_bias),
    rotation=rotation_scale * rotation,
    translation=head + tf.constant(translation_scale, raw.dtype) * translation,
    light=tf.cast(ambient_light(ambient_level), raw.dtype) + light_scale * light,
  )


def person_from_raw(
  raw: Tensor,
  mean_albedo: Tensor,
  *,
  shape_scale: float = 0.1,
  albedo_scale: float = 0.1,
) -> PersonModel:
  """The corrections of Eq. 1 and 2 from ModelNet's output, attention not yet applied.

  Args:
    raw: a networks.model_net.ModelNetOutput (any container with its four fields):
      maps [B, U, U, 3] and [B, U, U, 3K], the latter blendshape-major: channel 3i + c
      is channel c of blendshape i.
    mean_albedo: [U, U, 3] R_0^t, linear RGB; a variable, and trained through here.
    shape_scale: decimetres per raw unit.
    albedo_scale: linear RGB per raw unit.

  Returns:
    PersonModel, static albedo R_0^t + Delta_0^R (first half of Eq. 2). Colours are
    not clamped.
  """
  return PersonModel(
    neutral_correction=shape_scale * raw.shape_neutral,
    blendshape_corrections=_split_blendshapes(shape_scale * raw.shape_blendshapes),
    static_albedo=tf.convert_to_tensor(mean_albedo) + albedo_scale * raw.albedo_neutral,
    dynamic_albedo=_split_blendshapes(albedo_scale * raw.albedo_blendshapes),
  )


def _split_blendshapes(maps: Tensor) -> Tensor:
  """[B, U, U, 3K] -> [B, U, U, K, 3]."""
  sizes = shapes.check(maps, "[B, U, U, C]", "blendshape maps")
  batch = sizes["B"] if sizes["B"] is not None else tf.shape(maps)[0]
  return tf.reshape(maps, [batch, sizes["U"], sizes["U"], sizes["C"] // 3, 3])
