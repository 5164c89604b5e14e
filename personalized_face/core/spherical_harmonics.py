"""Lighting by spherical harmonics of orders 0 to 2 (Section 3.3: gamma, 27 numbers).

Follows the illumination model of the paper's reference [44] (Tewari et al., FML,
CVPR 2019): distant light, Lambertian skin, irradiance = sum_b gamma_b H_b(n). As there,
the cosine lobe's attenuation (Ramamoorthi and Hanrahan 2001: pi, 2 pi / 3, pi / 4) is
part of the coefficients gamma, not of the basis.

Order of the nine functions, here and wherever light is stored:

  (l, m) = (0, 0), (1, -1), (1, 0), (1, 1), (2, -2), (2, -1), (2, 0), (2, 1), (2, 2)

real, orthonormal over the sphere, without the Condon-Shortley phase; the axes are the
camera's (x right, y up, z towards the viewer), so (1, 1) lights from image right,
(1, -1) from above and (1, 0) from the camera.
"""

import math

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS, Tensor

_C0 = math.sqrt(1 / (4 * math.pi))
_C1 = math.sqrt(3 / (4 * math.pi))
_C2 = math.sqrt(15 / (4 * math.pi))
_C20 = math.sqrt(5 / (16 * math.pi))
_C22 = math.sqrt(15 / (16 * math.pi))


def basis(normals: Tensor) -> Tensor:
  """H_b(n), the nine real spherical harmonics.

  Args:
    normals: [..., 3] unit vectors, camera space.

  Returns:
    [..., 9] in the order of the module's docstring.
  """
  shapes.check(normals, "[..., 3]", "normals")
  return tf.stack(_harmonics(normals), axis=-1)


def _harmonics(normals: Tensor) -> list[Tensor]:
  """The nine functions, [...] each."""
  x, y, z = tf.unstack(normals, axis=-1)
  return [
    tf.fill(tf.shape(x), tf.constant(_C0, x.dtype)),
    _C1 * y,
    _C1 * z,
    _C1 * x,
    _C2 * x * y,
    _C2 * y * z,
    _C20 * (3.0 * z * z - 1.0),
    _C2 * x * z,
    _C22 * (x * x - y * y),
  ]


def irradiance(normals: Tensor, light: Tensor) -> Tensor:
  """The light that reaches a surface: sum_b gamma_b H_b(n), per colour channel.

  Args:
    normals: [..., 3] unit vectors, camera space. Leading dimensions beyond those of
      the light (pixels, vertices) share one light, as [B, N, H, W, 3] under [B, N].
    light: [..., 9, 3] coefficients gamma; leading dimensions equal to the first ones
      of `normals`.

  Returns:
    [..., 3] irradiance, the shape of `normals`. May be negative: not clamped, so that
    the gradient lives on (DESIGN section 3).
  """
  shapes.check(light, f"[..., {NUM_LIGHT_COEFFICIENTS}, 3]", "light")
  shapes.check(normals, "[..., 3]", "normals")
  lead = tf.shape(light)[:-2]
  points = tf.reshape(normals, tf.concat([lead, [-1, 3]], axis=0))
  # [..., 9, P]: contiguous along the points, for the products of both directions.
  values = tf.stack(_harmonics(points), axis=-2)
  result = tf.reshape(tf.matmul(values, light, transpose_a=True), tf.shape(normals))
  return tf.ensure_shape(result, normals.shape)


def rotated_light(light: Tensor, rotation: Tensor) -> Tensor:
  """The same light in other axes: of a camera that turned under it.

  Rotations mix the functions of each order among themselves only, so the turned light
  is exactly one of nine functions again; it is read off at more directions than nine.

  Args:
    light: [..., 9, 3].
    rotation: [..., 3, 3], new axes from old: n' = R n.

  Returns:
    [..., 9, 3] with irradiance(R n, result) = irradiance(n, light).
  """
  rotation = tf.convert_to_tensor(rotation)
  shapes.check(rotation, "[..., 3, 3]", "rotation")
  directions = tf.constant(_DIRECTIONS, rotation.dtype)
  # Rows n': R^T n' is n' R.
  turned = tf.einsum("ni,...ij->...nj", directions, rotation)
  seen = tf.linalg.matmul(basis(turned), light)
  return tf.linalg.matmul(tf.linalg.pinv(basis(directions)), seen)


def _spread_directions(count: int) -> np.ndarray:
  """[count, 3] unit vectors evenly over the sphere (a Fibonacci lattice)."""
  index = np.arange(count) + 0.5
  z, angle = 1 - 2 * index / count, index * math.pi * (3 - math.sqrt(5))
  radius = np.sqrt(1 - z * z)
  return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)


_DIRECTIONS = _spread_directions(16)


def ambient_light(level: float) -> np.ndarray:
  """Coefficients of a white light of the same irradiance from everywhere.

  Args:
    level: irradiance; 1 renders the albedo as it is.

  Returns:
    [9, 3] float32.
  """
  light = np.zeros((NUM_LIGHT_COEFFICIENTS, 3), np.float32)
  light[0] = level / _C0
  return light
