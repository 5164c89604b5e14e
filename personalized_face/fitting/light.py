"""Light in closed form: the picture is linear in the 27 coefficients.

    image(q) = albedo(q) * sum_b gamma_b H_b(n(q))

Iteratively reweighted least squares makes of it the l_{2,1} of the photometric loss, so
that a hand or a strand of hair counts little.
"""

import numpy as np

from personalized_face.core.spherical_harmonics import ambient_light, basis
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS, Rendering

_ROUNDS = 5
_LEAST_ERROR = 0.02  # grey levels below 5 weigh alike
# Ridge on the coefficients beyond the ambient one, as a share of the data: the normals
# of a frontal face cover less than half of the sphere, and what they do not determine
# must not become a lamp behind the head.
_RIDGE = 0.01


def solve_light(
  images: np.ndarray, rendering: Rendering, monochrome: bool = False
) -> tuple[np.ndarray, np.ndarray]:
  """The light under which rendered albedo and normals best explain the pictures.

  Args:
    images: [..., H, W, 3] RGB in [0, 1].
    rendering: with the same leading dimensions; its light is not looked at.
    monochrome: whether the light is to be white, of mean level between the template's
      own and what the pictures show, and the rest is returned as the albedo's colour.

  Returns:
    The light [9, 3], and the colour [3] that the albedo is to be multiplied by; ones
    unless monochrome. Ambient light of 1 where the rendering covers nothing.
  """
  mask = np.asarray(rendering.mask).ravel() > 0.5
  pixels = np.flatnonzero(mask)
  colour = np.ones(3, np.float32)
  if len(pixels) < 10 * NUM_LIGHT_COEFFICIENTS:
    return ambient_light(1.0), colour
  pixels = pixels[:: max(len(pixels) // 20000, 1)]  # plenty for 27 numbers

  def picked(values):
    return np.asarray(values).reshape(-1, 3)[pixels].astype(np.float64)

  image, albedo = picked(images), picked(rendering.albedo)
  functions = np.asarray(basis(picked(rendering.normals)))  # [P, 9]
  light = _reweighted(image, albedo, functions)
  if monochrome:
    level = light[0] / ambient_light(1.0)[0]  # [3] irradiance on the template's skin
    # Bright skin in dim light or dark skin in bright light: half of it each.
    gain = np.sqrt(np.maximum(level.mean(), 1e-3))
    colour = np.clip(level / gain, 0.1, 1.6).astype(np.float32)
    light = np.repeat((light / colour).mean(axis=1, keepdims=True), 3, axis=1)
  return light.astype(np.float32), colour


def _reweighted(
  image: np.ndarray, albedo: np.ndarray, functions: np.ndarray
) -> np.ndarray:
  """[9, 3] by iteratively reweighted ridge regression."""
  weights = np.ones(len(image))
  ridge = np.full(NUM_LIGHT_COEFFICIENTS, _RIDGE)
  ridge[0] = 1e-6
  for _ in range(_ROUNDS):
    light = np.zeros([NUM_LIGHT_COEFFICIENTS, 3])
    for channel in range(3):
      design = functions * albedo[:, channel : channel + 1]
      weighted = design * weights[:, np.newaxis]
      normal = weighted.T @ design
      normal += np.diag(ridge) * weights.sum() * np.square(albedo).mean()
      light[:, channel] = np.linalg.solve(normal, weighted.T @ image[:, channel])
    error = np.linalg.norm(image - albedo * (functions @ light), axis=-1)
    weights = 1 / np.maximum(error, _LEAST_ERROR)
    weights /= weights.mean()
  return light
