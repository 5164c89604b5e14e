"""Lambertian skin under distant light: image = albedo * irradiance (Section 3.3).

Colours are linear: no clamp and no gamma, which would stop gradients.
"""

from personalized_face.core.spherical_harmonics import irradiance
from personalized_face.core.types import Tensor


def shade(albedo: Tensor, normals: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
  """Lights a surface.

  Args:
    albedo: [..., 3] linear RGB.
    normals: [..., 3] unit length, camera space.
    light: [..., 9, 3] spherical-harmonics coefficients; its leading dimensions are the
      first ones of `normals` (one light per image).

  Returns:
    image [..., 3], albedo times shading, and shading [..., 3], the irradiance.
  """
  shading = irradiance(normals, light)
  return albedo * shading, shading
