"""The left-right map of a mesh: for each vertex, the one that mirrors it."""

import numpy as np
from scipy.spatial import cKDTree


def mirror_map(
  vertices: np.ndarray, tile_of: np.ndarray, units: np.ndarray
) -> np.ndarray:
  """Finds mirror partners about x = 0.

  The nearest vertex to the mirror image; where several share a position (the copies
  along a UV seam), the one at the mirrored place in the layout. On a lopsided mesh two
  vertices may have the same partner.

  Args:
    vertices: [V, 3], x = 0 in the middle of the face.
    tile_of, units: [V] and [V, 2], each vertex's tile and place in it; see
      `charts.tile_places`.

  Returns:
    [V] int32.
  """
  # A whole UV tile counts as a hundredth of the face's size: it decides ties only.
  scale = 0.01 * np.ptp(vertices, axis=0).max()
  here = np.concatenate([vertices, scale * tile_of[:, None], scale * units], 1)
  there = here * [-1, 1, 1, 1, -1, 1] + [0, 0, 0, 0, scale, 0]
  _, partner = cKDTree(here).query(there)
  return partner.astype(np.int32)


def asymmetry(vertices: np.ndarray, mirror: np.ndarray) -> float:
  """Mean distance between the vertices and their partners' mirror images, unit of V."""
  return float(np.linalg.norm(vertices - vertices[mirror] * [-1, 1, 1], axis=-1).mean())
