"""From polygons with texture coordinates to triangles with one UV a vertex.

A template has one texture coordinate a vertex: vertices on a UV seam are split, UV
tiles are packed side by side, and slits (eyes, mouth) are spread open in the layout, so
that what lies on either side of them shares no texel.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from personalized_face.authoring import obj_files
from personalized_face.core import topology
from personalized_face.core.errors import UserError

# Texels of the square left free around the layout, and between tiles.
MARGIN_TEXELS = 2.5
# Opening of a slit between its rims at the middle, texels.
SLIT_TEXELS = 6.0
# Texels per area, as a share of the median, under which surface counts as cramped, as
# the insides of nostrils are in published layouts: a correction of one texel would move
# all of it, and the skin round it.
CRAMPED_SHARE = 0.15


class Charts(NamedTuple):
  """A triangle mesh with one texture coordinate a vertex."""

  vertices: np.ndarray  # [V, 3] as in the source
  triangles: np.ndarray  # [T, 3] int32
  uv: np.ndarray  # [V, 2] as in the source, not packed
  source: np.ndarray  # [V] int, the source's vertex of each


def unweld(mesh: obj_files.ObjMesh) -> Charts:
  """Triangulates, and splits vertices that have several texture coordinates.

  Vertices keep their order; the copies of one follow each other. A vertex in no polygon
  is left out.

  Raises:
    UserError: a corner without texture coordinate.
  """
  if (mesh.corner_uv < 0).any():
    raise UserError(
      "The neutral mesh has polygons without texture coordinates; give it a UV layout."
    )
  pairs = np.stack([mesh.corners, mesh.corner_uv], -1)
  # Equal coordinates under two numbers are one vertex.
  _, same = np.unique(mesh.uv.round(7), axis=0, return_inverse=True)
  pairs[:, 1] = same.reshape(-1)[pairs[:, 1]]
  unique, first, inverse = np.unique(
    pairs, axis=0, return_index=True, return_inverse=True
  )
  vertices = mesh.vertices[unique[:, 0]]
  uv = mesh.uv[mesh.corner_uv[first]]
  triangles = _triangulate(inverse.reshape(-1), mesh.starts, vertices, uv)
  return Charts(vertices, triangles, uv, unique[:, 0])


def _triangulate(corners, starts, vertices, uv) -> np.ndarray:
  """Fans; a quad is cut along its shorter diagonal if that leaves no fold in UV."""
  corners, quads = corners.copy(), starts[:-1][np.diff(starts) == 4]
  quads = quads[:, np.newaxis] + np.arange(4)
  corners[quads] = _turn_quads(corners[quads], vertices, uv)
  return obj_files.fan_triangles(corners, starts).astype(np.int32)


def _turn_quads(quads, vertices, uv) -> np.ndarray:
  """Turns quads so that the fan's diagonal, 0-2, is the better one."""
  length = [
    np.linalg.norm(vertices[quads[:, i]] - vertices[quads[:, i + 2]], axis=-1)
    for i in (0, 1)
  ]
  folded = []
  for turn in (0, 1):
    q = np.roll(quads, -turn, axis=1)
    first, second = (signed_areas(uv, q[:, c]) for c in ([0, 1, 2], [0, 2, 3]))
    folded.append(first * second <= 0)
  turned = (length[1] < length[0]) & ~folded[1] | folded[0] & ~folded[1]
  return np.where(turned[:, None], np.roll(quads, -1, axis=1), quads)


def signed_areas(uv: np.ndarray, triangles: np.ndarray) -> np.ndarray:
  """[T] signed area of each triangle in UV; positive is counter-clockwise, v up."""
  a, b, c = (uv[triangles[:, i]] for i in range(3))
  ab, ac = b - a, c - a
  return (ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2


def pack(charts: Charts, size: int) -> np.ndarray:
  """Lays the UV tiles into one square without overlap.

  One tile fills the square. Of several, each gets a column whose width is in proportion
  to the square root of its surface area, and keeps what it looked like inside.

  Args:
    charts: with texture coordinates as in the source; the integer part is the tile.
    size: U, texels.

  Returns:
    [V, 2] in [0, 1], (0, 0) at the top left.

  Raises:
    UserError: an island of the layout lies over two tiles.
  """
  tile_of, units = tile_places(charts)
  tiles = np.unique(tile_of)
  area = _surface_areas(charts.vertices, charts.triangles)
  owner = tile_of[charts.triangles[:, 0]]
  share = np.sqrt([area[owner == tile].sum() for tile in tiles])
  margin = MARGIN_TEXELS / size
  free = 1 - margin * (len(tiles) + 1)
  widths = share / share.sum() * free
  packed = np.empty_like(charts.uv)
  left = margin
  for tile, width in zip(tiles, widths, strict=True):
    inside = tile_of == tile
    packed[inside, 0] = left + width * units[inside, 0]
    packed[inside, 1] = margin + (1 - 2 * margin) * (1 - units[inside, 1])
    left += width + margin
  return packed


def tile_places(charts: Charts) -> tuple[np.ndarray, np.ndarray]:
  """Each vertex's tile, [V] int, and its place in what the tile holds, [V, 2] in
  [0, 1], v up.

  Raises:
    UserError: an island of the layout lies over two tiles.
  """
  tile_of = _tiles(charts)
  units = np.empty_like(charts.uv)
  for tile in np.unique(tile_of):
    inside = tile_of == tile
    low, high = charts.uv[inside].min(0), charts.uv[inside].max(0)
    units[inside] = (charts.uv[inside] - low) / np.maximum(high - low, 1e-12)
  return tile_of, units


def _tiles(charts: Charts) -> np.ndarray:
  """[V] number of the tile of each vertex: of its whole island's middle."""
  count = len(charts.uv)
  graph = topology.adjacency(charts.triangles, count)
  islands, island_of = connected_components(graph, directed=False)
  tile_of = np.empty(count, int)
  for island in range(islands):
    inside = island_of == island
    low, high = charts.uv[inside].min(0), charts.uv[inside].max(0)
    column, row = np.floor((low + high) / 2).astype(int)
    if (low < [column - 1e-6, row - 1e-6]).any() or (
      high > [column + 1 + 1e-6, row + 1 + 1e-6]
    ).any():
      raise UserError(
        f"An island of the UV layout reaches over the border of tile ({column}, "
        f"{row}); lay each island into one tile."
      )
    tile_of[inside] = 1000 * row + column
  return tile_of


def open_slit(
  uv: np.ndarray, upper: np.ndarray, lower: np.ndarray, size: int
) -> np.ndarray:
  """Spreads a slit open where its rims lie closer than SLIT_TEXELS at the middle.

  Vertices above its middle line move up, those below down, less with the distance: a
  map that is monotone along each column, so that nothing folds.

  Args:
    uv: [V, 2], v down.
    upper, lower: [S] vertices of the two rims, corner to corner, by increasing u.
    size: U, texels.

  Returns:
    [V, 2].
  """
  low = max(uv[upper, 0].min(), uv[lower, 0].min())
  high = min(uv[upper, 0].max(), uv[lower, 0].max())
  across = np.linspace(low, high, 65)
  top = np.interp(across, *uv[upper][np.argsort(uv[upper, 0])].T)
  bottom = np.interp(across, *uv[lower][np.argsort(uv[lower, 0])].T)
  wanted = SLIT_TEXELS / size - (bottom - top)[24:41].mean()
  if wanted <= 0:
    return uv
  middle = np.interp(uv[:, 0], across, (top + bottom) / 2)
  reach = (uv[:, 0] - (low + high) / 2) / ((high - low) / 2)
  profile = np.maximum(1 - reach**2, 0) ** 0.75  # smooth at the corners
  offset = uv[:, 1] - middle
  side = np.sign(offset)
  side[upper[1:-1]], side[lower[1:-1]] = -1.0, 1.0
  # Falls off over twice the opening: the slope stays above 0.78, so columns keep order.
  falloff = np.exp(-((offset / (2 * wanted)) ** 2))
  opened = uv.copy()
  opened[:, 1] += side * wanted / 2 * profile * falloff
  return opened


def unfolded(
  uv: np.ndarray, triangles: np.ndarray, fixed: np.ndarray, rounds: int = 60
) -> np.ndarray:
  """Relaxes the layout where triangles fold over, as next to the corners of a slit.

  The vertices of a folded triangle and their neighbours move to the mean of theirs;
  repeated until nothing folds.

  Args:
    uv: [V, 2], v down: triangles that do not fold are clockwise.
    triangles: [T, 3] int.
    fixed: vertices that keep their place, such as the borders.
    rounds: at most.

  Returns:
    [V, 2]; folds may be left where the source had them.
  """
  count = len(uv)
  links = topology.adjacency(triangles, count)
  degree = np.maximum(links.sum(axis=1), 1)[:, np.newaxis]
  free = np.ones(count, bool)
  free[fixed] = False
  relaxed = uv.copy()
  for _ in range(rounds):
    folded = signed_areas(relaxed, triangles) >= 0
    if not folded.any():
      break
    near = np.zeros(count)
    near[triangles[folded]] = 1
    moved = ((links @ near + near) > 0) & free
    relaxed[moved] = (links @ relaxed / degree)[moved]
  return relaxed


def with_room(
  uv: np.ndarray,
  vertices: np.ndarray,
  triangles: np.ndarray,
  fixed: np.ndarray,
  rounds: int = 6,
) -> np.ndarray:
  """Spreads what is cramped in the layout: less than CRAMPED_SHARE of the median room.

  Each free vertex stands at a convex combination of its neighbours; the weights at
  which the layout reproduces itself are lowered towards the neighbours whose triangles
  are stretched most (Yoshizawa et al. 2004, "A fast and simple stretch-minimizing mesh
  parameterization"), here only as far as they are cramped, so that the rest gives way
  and otherwise keeps its shape.

  Args:
    uv: [V, 2].
    vertices: [V, 3], the surface.
    triangles: [T, 3] int.
    fixed: vertices that keep their place, such as the borders.
    rounds: at most; stops before anything folds.

  Returns:
    [V, 2]; `uv` itself where nothing is cramped.
  """
  count = len(uv)
  free = np.ones(count, bool)
  free[fixed] = False
  free[np.setdiff1d(np.arange(count), triangles)] = False
  area = _surface_areas(vertices, triangles)
  around = sparse.csr_array(
    (np.ones(triangles.size), (triangles.ravel(), np.repeat(np.arange(len(area)), 3))),
    shape=(count, len(area)),
  )
  area_around = np.maximum(around @ area, 1e-30)
  weights = _mean_value_weights(uv, triangles)
  folded = _folds(uv, triangles)
  for _ in range(rounds):
    room = np.abs(signed_areas(uv, triangles)) / np.maximum(area, 1e-30)
    share = (around @ (room * area)) / area_around / np.median(room)
    if share[free].min() >= CRAMPED_SHARE:
      break
    lowered = np.sqrt(np.minimum(np.maximum(share, 1e-6) / CRAMPED_SHARE, 1))
    weights = weights @ sparse.diags_array(lowered)
    spread = _at_weighted_means(uv, weights, free)
    if _folds(spread, triangles) > folded:
      break
    uv = spread
  return uv


def _surface_areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
  """[T] area of each triangle in space, in the square of the vertices' unit."""
  corners = vertices[triangles]
  sides = corners[:, 1:] - corners[:, :1]
  return np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1) / 2


def _folds(uv: np.ndarray, triangles: np.ndarray) -> int:
  """How many triangles lie the other way round than most."""
  areas = signed_areas(uv, triangles)
  return int(min((areas >= 0).sum(), (areas <= 0).sum()))


def _mean_value_weights(uv: np.ndarray, triangles: np.ndarray) -> sparse.csr_array:
  """[V, V] weights of neighbours whose weighted mean each vertex is (Floater 2003)."""
  rows, columns, values = [], [], []
  for turn in range(3):
    center, first, second = np.roll(triangles, -turn, axis=1).T
    sides = uv[first] - uv[center], uv[second] - uv[center]
    lengths = [np.maximum(np.linalg.norm(side, axis=-1), 1e-12) for side in sides]
    cosine = np.clip((sides[0] * sides[1]).sum(-1) / (lengths[0] * lengths[1]), -1, 1)
    half_tangent = np.sqrt((1 - cosine) / (1 + cosine + 1e-9))
    rows += [center, center]
    columns += [first, second]
    values += [half_tangent / length for length in lengths]
  count = len(uv)
  places = (np.concatenate(rows), np.concatenate(columns))
  return sparse.csr_array((np.concatenate(values), places), shape=(count, count))


def _at_weighted_means(
  uv: np.ndarray, weights: sparse.csr_array, free: np.ndarray
) -> np.ndarray:
  """The layout whose free vertices are the weighted means of their neighbours."""
  total = weights.sum(axis=1)
  total[total == 0] = 1
  system = sparse.eye_array(len(uv)) - sparse.diags_array(1 / total) @ weights
  inner = system.tocsr()[free]
  moved = uv.copy()
  moved[free] = splu(inner[:, free].tocsc()).solve(-(inner[:, ~free] @ uv[~free]))
  return moved
