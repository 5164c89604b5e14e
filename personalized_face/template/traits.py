"""How adult faces differ from their mean: smooth, mirror-symmetric fields.

Each trait is a Gaussian bump of displacements around some landmarks (a jaw's width, a
nose's length, ...), two more stretch the whole face. Synthetic people are drawn from
them, and a fit expects a person to differ from the template along them.
"""

import numpy as np

from personalized_face.template.face_template import FaceTemplate

# Landmarks (iBUG), direction (x outwards from the middle, y up, z to the front), reach
# and standard deviation in decimetres. Spreads are a few millimetres, as between adult
# faces; Farkas 1994 gives 3-6 mm for most widths and heights.
_BUMPS = (
  ((4, 12), (1, 0, 0), 0.40, 0.045),  # jaw, width
  ((8,), (0, 1, 0), 0.35, 0.040),  # chin, length
  ((8,), (0, 0, 1), 0.35, 0.035),  # chin, forwards
  ((1, 15), (1, 0, 0), 0.45, 0.045),  # cheekbones, width
  ((30, 33), (0, 1, 0), 0.20, 0.030),  # nose, length
  ((30,), (0, 0, 1), 0.16, 0.030),  # nose, tip
  ((31, 35), (1, 0, 0), 0.13, 0.020),  # nose, wings
  ((28,), (0, 0, 1), 0.16, 0.025),  # nose, bridge
  ((19, 24), (0, 0, 1), 0.22, 0.020),  # brows, forwards
  ((19, 24), (0, 1, 0), 0.20, 0.020),  # brows, height
  ((48, 54), (1, 0, 0), 0.20, 0.025),  # mouth, width
  ((51, 57), (0, 0, 1), 0.14, 0.015),  # lips, forwards
  ((3, 13), (0, 0, 1), 0.40, 0.030),  # cheeks, fullness
)
_STRETCH_SPREAD = 0.025  # of the width and of the height, as a share
NUM_BUMPS = len(_BUMPS)
NUM_STRETCHES = 2


def trait_fields(template: FaceTemplate, positions: np.ndarray) -> np.ndarray:
  """The displacement of each trait at one standard deviation.

  Args:
    template: whose landmarks say where a trait is.
    positions: [..., 3], decimetres, in the template's neutral face.

  Returns:
    [NUM_BUMPS + NUM_STRETCHES, ..., 3], decimetres: the bumps, then the stretch of the
    width and of the height.
  """
  fields = []
  for indices, direction, reach, spread in _BUMPS:
    field = np.zeros(positions.shape)
    for centre in template.vertices[template.landmark_vertices[list(indices)]]:
      outwards = np.array([np.sign(centre[0]), 1.0, 1.0])
      weight = gauss(np.linalg.norm(positions - centre, axis=-1), reach)
      field += spread * weight[..., None] * direction * outwards
    fields.append(field)
  for axis in np.eye(3)[:NUM_STRETCHES]:
    fields.append(_STRETCH_SPREAD * positions * axis)
  return np.stack(fields)


def gauss(distance: np.ndarray, width: float) -> np.ndarray:
  """exp(-d^2 / 2 w^2)."""
  return np.exp(-0.5 * (distance / width) ** 2)
