"""Distances between vertices and to a surface.

The distance to a surface is to the nearest place on any triangle, not to the nearest
vertex: at a vertex spacing of 2 mm the latter is up to 1 mm too large.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from personalized_face.core import shapes
from personalized_face.core.types import Tensor

_CANDIDATES = 16  # triangles looked at first, by the distance of their centres
_PAIRS = 320_000  # of point and triangle at a time: keeps their corners below 100 MB
_SIZE_CLASSES = 16  # by halves of the largest radius; smaller ones share the last


class _SizeClass(NamedTuple):
  """The triangles of a mesh that are about as large as each other."""

  index: np.ndarray  # [S] int, into the mesh's triangles
  tree: cKDTree  # of their centres
  radius: float  # no corner is farther from its triangle's centre


def vertex_rmse(
  predicted: Tensor, reference: Tensor, mask: Tensor | None = None
) -> float:
  """sqrt(mean_v ||p_v - q_v||^2): the 3D error of the paper's Table 2a.

  Args:
    predicted: [V, 3].
    reference: [V, 3] the corresponding points, in the same unit; already aligned.
    mask: [V], the vertices that count; None: all.

  Returns:
    In the unit of the points; NaN where the mask is empty.
  """
  predicted = np.asarray(predicted, np.float64)
  reference = np.asarray(reference, np.float64)
  shapes.check(predicted, "[V, 3]", "predicted")
  shapes.check(reference, f"[{len(predicted)}, 3]", "reference")
  squared = np.sum((predicted - reference) ** 2, axis=-1)
  if mask is not None:
    squared = squared[np.asarray(mask) != 0]
  return float(np.sqrt(squared.mean())) if squared.size else float("nan")


class MeshDistance:
  """The surface of a mesh, asked for the place nearest to a point."""

  def __init__(self, vertices: Tensor, triangles: Tensor):
    """Builds trees over the triangles' centres, one a class of size.

    One tree alone would do; but then one large triangle, such as a torn one, lets all
    the small ones within its radius count as candidates of every point.

    Args:
      vertices: [V, 3].
      triangles: [T, 3] int.
    """
    vertices = np.asarray(vertices, np.float64)
    shapes.check(vertices, "[V, 3]", "vertices")
    self.triangles = np.asarray(triangles, np.int64)
    shapes.check(self.triangles, "[T, 3]", "triangles")
    if not len(self.triangles):
      raise ValueError("a mesh without triangles has no surface")
    self._corners = vertices[self.triangles]  # [T, 3, 3]
    centres = self._corners.mean(axis=1)
    radii = np.linalg.norm(self._corners - centres[:, np.newaxis], axis=-1).max(axis=1)
    radii = np.maximum(radii, 1e-300)  # a triangle may be a point
    halvings = np.log2(radii.max() / radii).astype(np.int64)
    sizes = np.minimum(halvings, _SIZE_CLASSES - 1)
    groups = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
    self._classes = [
      _SizeClass(index, cKDTree(centres[index]), radii[index].max())
      for index in sorted(groups, key=len, reverse=True)
    ]

  def __call__(self, points: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Distances [P] and the nearest places [P, 3] of points [P, 3]."""
    distances, places, _, _ = self.locate(points)
    return distances, places

  def locate(
    self, points: Tensor
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Also says where on the mesh the nearest places are.

    Exact: a triangle whose centre is farther than the nearest place found so far plus
    the largest radius of its class cannot hold a nearer one, and all others are looked
    at.

    Args:
      points: [P, 3].

    Returns:
      Distances [P], places [P, 3], triangles [P] and barycentric coordinates [P, 3].
    """
    points = np.asarray(points, np.float64)
    shapes.check(points, "[P, 3]", "points")
    count = len(points)
    found = _Nearest(
      np.full(count, np.inf),
      np.zeros([count, 3]),
      np.zeros(count, np.int64),
      np.zeros([count, 3]),
    )
    for size in self._classes:
      first = size.tree.query(points)[0] if count else np.zeros(0)
      left = np.flatnonzero(first < found.distances + size.radius)
      candidates = min(_CANDIDATES, len(size.index))
      while len(left):
        parts = np.array_split(left, -(-len(left) * candidates // _PAIRS))
        unsure = [self._look(points, part, size, candidates, found) for part in parts]
        if candidates == len(size.index):
          break
        left = np.concatenate(unsure)
        candidates = min(4 * candidates, len(size.index))
    return tuple(found)

  def _look(
    self,
    points: np.ndarray,
    part: np.ndarray,
    size: _SizeClass,
    candidates: int,
    found: "_Nearest",
  ) -> np.ndarray:
    """Tries the triangles of a class that are nearest by their centres.

    Args:
      points: [P, 3].
      part: [Q] the points to try.
      size: the class.
      candidates: how many triangles.
      found: written to where one is nearer.

    Returns:
      [R] the points of the part that a triangle not tried could be nearer to.
    """
    here = points[part][:, np.newaxis]
    reach, index = size.tree.query(points[part], k=candidates)
    reach, index = reach.reshape(len(part), -1), index.reshape(len(part), -1)
    index = size.index[index]
    weights = closest_barycentrics(here, self._corners[index])  # [Q, candidates, 3]
    on_mesh = np.einsum("pkc,pkcd->pkd", weights, self._corners[index])
    away = np.linalg.norm(on_mesh - here, axis=-1)
    best = away.argmin(axis=1)
    rows = np.flatnonzero(away.min(axis=1) < found.distances[part])
    best, nearer = best[rows], part[rows]
    found.distances[nearer] = away[rows, best]
    found.triangles[nearer] = index[rows, best]
    found.places[nearer] = on_mesh[rows, best]
    found.barycentrics[nearer] = weights[rows, best]
    return part[reach[:, -1] < found.distances[part] + size.radius]


class _Nearest(NamedTuple):
  """The nearest places found so far of P points."""

  distances: np.ndarray  # [P]
  places: np.ndarray  # [P, 3]
  triangles: np.ndarray  # [P] int
  barycentrics: np.ndarray  # [P, 3]


def closest_barycentrics(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
  """The place on a triangle nearest to a point, by the region that the point lies in.

  Ericson, Real-Time Collision Detection, 2005, section 5.1.5.

  Args:
    points: [..., 3].
    corners: [..., 3, 3] of one triangle each; one without area is a line or a point.

  Returns:
    [..., 3] barycentric coordinates, at least 0, sum 1.
  """
  a, b, c = (corners[..., i, :] for i in range(3))
  ab, ac, ap, bp, cp = b - a, c - a, points - a, points - b, points - c
  d1, d2 = _dot(ab, ap), _dot(ac, ap)
  d3, d4 = _dot(ab, bp), _dot(ac, bp)
  d5, d6 = _dot(ab, cp), _dot(ac, cp)
  va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
  one, zero = np.ones_like(d1), np.zeros_like(d1)
  on_ab, on_ac = _share(d1, d1 - d3), _share(d2, d2 - d6)
  on_bc = _share(d4 - d3, (d4 - d3) + (d5 - d6))
  total = va + vb + vc
  inside_b, inside_c = _share(vb, total), _share(vc, total)
  regions = [
    ((d1 <= 0) & (d2 <= 0), (one, zero, zero)),
    ((d3 >= 0) & (d4 <= d3), (zero, one, zero)),
    ((d6 >= 0) & (d5 <= d6), (zero, zero, one)),
    ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
    ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
    ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
  ]
  conditions = [region[..., np.newaxis] for region, _ in regions]
  choices = [np.stack(weights, axis=-1) for _, weights in regions]
  inside = np.stack([1 - inside_b - inside_c, inside_b, inside_c], axis=-1)
  return np.select(conditions, choices, inside)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  return np.sum(first * second, axis=-1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  """part / whole; 0 where the whole is 0."""
  return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
