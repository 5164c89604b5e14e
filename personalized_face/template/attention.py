"""From vertices to UV maps, and the attention masks A_i of Section 3.2.

Texel (r, c) of a U x U map has its centre at ((c + .5) / U, (r + .5) / U). What is
smoothed in UV space never flows from one side of a slit (mouth, eyes) to the other.
"""

import numpy as np
import scipy.sparse
from scipy.ndimage import distance_transform_edt

from personalized_face.core import shapes, topology

# Explicit diffusion is stable, and close to a Gaussian, for steps of this size.
_DIFFUSION_STEP = 0.125


def attention_masks(
  deltas: np.ndarray,
  uv: np.ndarray,
  triangles: np.ndarray,
  size: int,
  threshold: float = 0.001,
  blur_texels: float = 1.0,
) -> np.ndarray:
  """Where each blendshape may be corrected: A_i of Section 3.2.

  Per vertex the distance |S_i - S_0|, zero below the threshold, divided by its maximum;
  then converted to UV space and blurred a little. A blendshape that moves nothing has a
  mask of zeros.

  Args:
    deltas: [K, V, 3] S_i - S_0, decimetres.
    uv: [V, 2] in [0, 1].
    triangles: [T, 3] int.
    size: U, texels.
    threshold: decimetres.
    blur_texels: standard deviation of the blur.

  Returns:
    [U, U, K] float32 in [0, 1].
  """
  shapes.check(deltas, "[K, V, 3]", "deltas")
  distance = np.linalg.norm(np.asarray(deltas, np.float64), axis=-1)  # [K, V]
  distance[distance < threshold] = 0
  largest = distance.max(1, keepdims=True)
  weights = np.divide(distance, largest, out=np.zeros_like(distance), where=largest > 0)
  operator, covered = texel_operator(uv, triangles, size)
  maps = (operator @ weights.T).reshape(size, size, -1)
  links = face_links(uv, triangles, covered)
  maps = diffuse(maps, links, blur_texels)
  return np.clip(_grow(maps, covered, size), 0, 1).astype(np.float32)


def bake_to_uv(
  values: np.ndarray,
  uv: np.ndarray,
  triangles: np.ndarray,
  size: int,
  dilate: int | None = None,
) -> np.ndarray:
  """Interpolates values at the vertices over the texels.

  Args:
    values: [V, C].
    uv: [V, 2] in [0, 1].
    triangles: [T, 3] int.
    size: U, texels.
    dilate: how many texels the values are carried on beyond the mesh, from the nearest
      texel on it; None: everywhere.

  Returns:
    [U, U, C] float64, 0 where neither the mesh nor the dilation reaches.
  """
  shapes.check(values, "[V, C]", "values")
  operator, covered = texel_operator(uv, triangles, size)
  maps = (operator @ np.asarray(values, np.float64)).reshape(size, size, -1)
  return _grow(maps, covered, size if dilate is None else dilate)


def texel_operator(
  uv: np.ndarray, triangles: np.ndarray, size: int
) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
  """The sparse matrix that takes vertices to texel centres.

  Args:
    uv: [V, 2].
    triangles: [T, 3] int, no foldovers in UV.
    size: U.

  Returns:
    ([U * U, V] barycentric weights, empty rows off the mesh; [U, U] bool, on the mesh).
  """
  corner = np.asarray(uv, np.float64)[triangles] * size - 0.5  # texel centres: integers
  low = np.maximum(np.ceil(corner.min(1)), 0).astype(int)
  high = np.minimum(np.floor(corner.max(1)), size - 1).astype(int)
  counts = np.maximum(high - low + 1, 0)
  owner = np.full(size * size, -1)
  weights = np.zeros([size * size, 3])
  a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
  area = _cross(b - a, c - a)
  for down in range(counts[:, 1].max(initial=0)):
    for right in range(counts[:, 0].max(initial=0)):
      index = np.flatnonzero((counts[:, 0] > right) & (counts[:, 1] > down))
      spot = (low[index] + [right, down]).astype(np.float64)
      w1 = _cross(spot - a[index], c[index] - a[index]) / area[index]
      w2 = _cross(b[index] - a[index], spot - a[index]) / area[index]
      share = np.stack([1 - w1 - w2, w1, w2], -1)
      inside = (share >= -1e-9).all(-1)
      texel = (spot[inside, 1] * size + spot[inside, 0]).astype(int)
      owner[texel] = index[inside]
      weights[texel] = share[inside]
  covered = owner >= 0
  rows = np.repeat(np.flatnonzero(covered), 3)
  columns = np.asarray(triangles)[owner[covered]].ravel()
  matrix = scipy.sparse.csr_matrix(
    (weights[covered].ravel(), (rows, columns)), shape=(size * size, len(uv))
  )
  return matrix, covered.reshape(size, size)


def face_links(
  uv: np.ndarray, triangles: np.ndarray, covered: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Which neighbouring texels lie on one piece of skin.

  Args:
    uv: [V, 2].
    triangles: [T, 3] int.
    covered: [U, U] bool, texels on the mesh.

  Returns:
    right [U, U - 1] and down [U - 1, U], bool: both texels are on the mesh, and the
    line between their centres crosses no hole of it.
  """
  right = covered[:, 1:] & covered[:, :-1]
  down = covered[1:] & covered[:-1]
  # Also across the outline, or outlines where the layout has several islands.
  for loop in topology.boundary_loops(triangles):
    line = np.asarray(uv)[np.append(loop, loop[0])]
    cut_right, cut_down = crossings(line, len(covered))
    right &= ~cut_right
    down &= ~cut_down
  return right, down


def crossings(line: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Which lines between neighbouring texel centres a polyline in UV crosses.

  Args:
    line: [S, 2] in [0, 1].
    size: U.

  Returns:
    right [U, U - 1] and down [U - 1, U], bool.
  """
  right = np.zeros([size, size - 1], bool)
  down = np.zeros([size - 1, size], bool)
  spots = np.asarray(line, np.float64) * size - 0.5
  for start, end in zip(spots[:-1], spots[1:], strict=True):
    for axis, cut in ((0, down), (1, right.T)):
      # Walk over the centre lines, of columns for `down`, of rows for `right`.
      first, last = sorted((start[axis], end[axis]))
      for place in range(max(int(np.ceil(first)), 0), min(int(last), size - 1) + 1):
        share = (place - start[axis]) / (end[axis] - start[axis] or 1.0)
        other = int(np.floor(start[1 - axis] + share * (end - start)[1 - axis]))
        if 0 <= other < size - 1:
          cut[other, place] = True
  return right, down


def diffuse(
  maps: np.ndarray, links: tuple[np.ndarray, np.ndarray], texels: float
) -> np.ndarray:
  """Gaussian blur as heat flow along the links only; constants stay constant.

  Args:
    maps: [U, U, C].
    links: right [U, U - 1] and down [U - 1, U], bool.
    texels: standard deviation.

  Returns:
    [U, U, C] float64.
  """
  maps = np.array(maps, np.float64)
  right, down = (link[..., None].astype(np.float64) for link in links)
  steps = int(np.ceil(texels**2 / (2 * _DIFFUSION_STEP)))
  rate = texels**2 / (2 * max(steps, 1))
  for _ in range(steps):
    flow_right = rate * right * (maps[:, 1:] - maps[:, :-1])
    flow_down = rate * down * (maps[1:] - maps[:-1])
    maps[:, :-1] += flow_right
    maps[:, 1:] -= flow_right
    maps[:-1] += flow_down
    maps[1:] -= flow_down
  return maps


def _grow(maps: np.ndarray, covered: np.ndarray, texels: int) -> np.ndarray:
  """Carries each map on beyond the mesh, from the nearest covered texel."""
  distance, (row, column) = distance_transform_edt(~covered, return_indices=True)
  grown = maps[row, column]
  grown[distance > texels] = 0
  return grown


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
