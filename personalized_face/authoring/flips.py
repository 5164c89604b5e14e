"""Mends a triangulation in space: edges are flipped until no sliver is left.

meshing.py makes triangles that are good in the plane of the layout; where the surface
is compressed against it (corners of lids and lips, the border below the jaw) some come
out flat. Flipping an edge to the other diagonal of its two triangles moves no vertex.
"""

from collections.abc import Sequence

import numpy as np

POOR_ANGLE = np.radians(20.0)  # triangles with a smaller angle are looked at
SLIVER_ANGLE = np.radians(5.0)  # triangles with a smaller angle lose a vertex's place
_MARGIN = np.radians(0.1)  # by which a flip must be better, so that none is undone
_PASSES = 6
_LEAST_PLANE_ANGLE = np.radians(6.0)  # that a flip may leave in the layout


def mend(
  triangles: np.ndarray,
  vertices: np.ndarray,
  plane: np.ndarray,
  mirror: np.ndarray,
  creases: Sequence[np.ndarray] = (),
) -> np.ndarray:
  """Flips edges where that makes the smallest angle of two triangles larger.

  Args:
    triangles: [T, 3], mirror-symmetric, none across the midline.
    vertices: [V, 3].
    plane: [V, 2], the layout; no triangle is turned over in it.
    mirror: [V], index of each vertex's mirror image.
    creases: closed lines of vertices whose edges stay, [S] each.

  Returns:
    [T, 3] int32, mirror-symmetric.
  """
  right = (plane[triangles, 0] <= 0).all(1)
  half = [tuple(int(v) for v in t) for t in triangles[right]]
  owner = {(t[i], t[(i + 1) % 3]): n for n, t in enumerate(half) for i in range(3)}
  kept = {
    pair
    for line in creases
    for a, b in zip(line.tolist(), np.roll(line, -1).tolist(), strict=True)
    for pair in ((a, b), (b, a))
  }
  for _ in range(_PASSES):
    poor = np.flatnonzero(smallest_angles(vertices[np.array(half)]) < POOR_ANGLE)
    flipped = [_flip_best(int(n), half, owner, kept, vertices, plane) for n in poor]
    if not any(flipped):
      break
  half = np.array(half, np.int32)
  return np.concatenate([half, mirror[half][:, ::-1]]).astype(np.int32)


def relax(
  vertices: np.ndarray, triangles: np.ndarray, free: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
  """Moves free vertices of slivers half-way to the middle of their neighbours.

  Args:
    vertices: [V, 3], mirror-symmetric.
    triangles: [T, 3].
    free: [V] bool, which may move.
    mirror: [V].

  Returns:
    [V, 3], mirror-symmetric. A move that does not help is not made.
  """
  vertices = vertices.copy()
  slivers = triangles[smallest_angles(vertices[triangles]) < SLIVER_ANGLE]
  for vertex in np.unique(slivers):
    if not free[vertex] or vertices[vertex, 0] >= 0:
      continue
    ring = triangles[(triangles == vertex).any(1)]
    moved = vertices.copy()
    moved[vertex] = (
      vertices[vertex] + vertices[np.setdiff1d(ring, vertex)].mean(0)
    ) / 2
    before, after = (smallest_angles(v[ring]).min() for v in (vertices, moved))
    if after > before:
      vertices[vertex] = moved[vertex]
      vertices[mirror[vertex]] = moved[vertex] * [-1, 1, 1]
  return vertices


def smallest_angles(corners: np.ndarray) -> np.ndarray:
  """Smallest angles of triangles [..., 3 corners, D], radians."""
  angles = []
  for i in range(3):
    a = corners[..., (i + 1) % 3, :] - corners[..., i, :]
    b = corners[..., (i + 2) % 3, :] - corners[..., i, :]
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(-1) / np.maximum(lengths, 1e-30)
    angles.append(np.arccos(np.clip(cosine, -1, 1)))
  return np.min(angles, axis=0)


def _flip_best(number, half, owner, kept, vertices, plane) -> bool:
  """Flips the edge of one triangle that gains most, if any gains. Edits the lists."""
  best, gain = None, _MARGIN
  for i in range(3):
    a, b, c = np.roll(half[number], -i).tolist()
    other = owner.get((b, a))
    if other is None or (a, b) in kept:
      continue  # an edge of the border, of the midline or of a crease
    d = next(v for v in half[other] if v not in (a, b))
    if (c, d) in owner or (d, c) in owner:
      continue
    before = np.array([(a, b, c), (b, a, d)])
    after = np.array([(a, d, c), (d, b, c)])
    if not _sound_in_plane(plane[after]):
      continue
    better = smallest_angles(vertices[after]).min()
    better -= smallest_angles(vertices[before]).min()
    if better > gain:
      best, gain = (other, after, before), better
  if best is None:
    return False
  other, after, before = best
  for t in before.tolist():
    for i in range(3):
      owner.pop((t[i], t[(i + 1) % 3]))
  for index, t in zip((number, other), after.tolist(), strict=True):
    half[index] = tuple(t)
    for i in range(3):
      owner[t[i], t[(i + 1) % 3]] = index
  return True


def _sound_in_plane(corners: np.ndarray) -> bool:
  """Whether triangles [N, 3, 2] are counter-clockwise and no slivers."""
  a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  upright = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0).all()
  return bool(upright and smallest_angles(corners).min() > _LEAST_PLANE_ANGLE)
