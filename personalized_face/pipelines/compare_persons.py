"""How far two fits of one person are apart: halves of a clip, two lights, two cameras.

person.npz, person.npz -> neutral in millimetres, albedo, meaning of the blendshapes
"""

import numpy as np

from personalized_face.core.types import PersonModel
from personalized_face.evaluation.synthetic import MM_PER_DM
from personalized_face.inference.track import person_geometry
from personalized_face.metrics.alignment import align
from personalized_face.metrics.appearance import albedo_error_255
from personalized_face.metrics.motion import blendshape_cosines
from personalized_face.metrics.surface_distance import vertex_rmse
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.attention import texel_operator


def compare_persons(
  system: PersonalizedFace, person: PersonModel, reference: PersonModel
) -> dict[str, float]:
  """A person against another.

  Args:
    system: whose template both are corrections of; its networks are not used.
    person, reference: without B.

  Returns:
    neutral_mm: RMSE of the neutral faces' vertices after a rigid fit; neutral_scaled_mm
    after a similarity, since one camera cannot see a head's size; scale: that the
    person needs for it; albedo_255: mean absolute difference of the static albedo
    up to a factor per channel, which is the light's; blendshape_cosine_mean, _least: of
    the blendshapes' displacements.
  """
  shapes = [person_geometry(system, p) for p in (person, reference)]
  neutral = [MM_PER_DM * np.asarray(s.neutral)[0].astype(np.float64) for s in shapes]
  rigid = align(*neutral, with_scale=False)
  similar = align(*neutral, with_scale=True)
  moves = [np.moveaxis(np.asarray(s.displacements)[0], 1, 0) for s in shapes]
  cosines = blendshape_cosines(*moves)
  template = system.template
  _, texels = texel_operator(template.uv, template.triangles, template.uv_size)
  albedos = (person.static_albedo, reference.static_albedo)
  return {
    "neutral_mm": vertex_rmse(rigid(neutral[0]), neutral[1]),
    "neutral_scaled_mm": vertex_rmse(similar(neutral[0]), neutral[1]),
    "scale": similar.scale,
    "albedo_255": albedo_error_255(*albedos, texels),
    "blendshape_cosine_mean": float(np.nanmean(cosines)),
    "blendshape_cosine_least": float(np.nanmin(cosines)),
  }
