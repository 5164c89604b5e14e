"""Whether the mesh is still a face: triangles that turned away from the template's.

A torn mesh can have a better NME than a whole one (DESIGN section 6), so this share
stands beside every NME.
"""

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.types import Tensor

# Twice an area, dm^2: that of a triangle with sides of 0.01 mm is 1e-8, and what
# float32 coordinates leave of a collapsed one 2 mm long is 1e-9.
_NO_AREA = 5e-9


def turned_triangles_percent(
  vertices: Tensor, template_vertices: Tensor, triangles: Tensor, degrees: float = 60.0
) -> np.ndarray:
  """The share of triangles whose normal differs by more than 60 degrees.

  Both meshes in model space (before the head's pose) and with the same expression w.
  A triangle that has collapsed, and so has no normal, counts as turned; one that has
  no area in the template already (a shut lid) does not.

  Args:
    vertices: [..., V, 3] decimetres, the person's.
    template_vertices: [..., V, 3] decimetres, S_0 + sum_i w_i (S_i - S_0).
    triangles: [T, 3] int.
    degrees: the limit, in (0, 180).

  Returns:
    [...] percent of all T.
  """
  normals = _area_vectors(vertices, triangles)
  template_normals = _area_vectors(template_vertices, triangles)
  lengths = np.linalg.norm(normals, axis=-1)
  template_lengths = np.linalg.norm(template_normals, axis=-1)
  cosine_lengths = np.sum(normals * template_normals, axis=-1)
  limit = np.cos(np.radians(degrees)) * lengths * template_lengths
  turned = (cosine_lengths < limit) | (lengths <= _NO_AREA)
  return 100 * np.mean(turned & (template_lengths > _NO_AREA), axis=-1)


def _area_vectors(vertices: Tensor, triangles: Tensor) -> np.ndarray:
  """[..., T, 3] twice the area along the outward normal."""
  vertices = np.asarray(vertices, np.float64)
  shapes.check(vertices, "[..., V, 3]", "vertices")
  a, b, c = (vertices[..., corner, :] for corner in np.asarray(triangles).T)
  return np.cross(b - a, c - a)
