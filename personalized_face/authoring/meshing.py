"""A graded, exactly mirror-symmetric triangulation of the flattened face.

Vertices: the control points, samples along the rims, the outer border and the midline,
and free points that Lloyd's algorithm spreads by a density (Du, Faber and Gunzburger
1999); half the face is made and mirrored. All in the plane of layout.py.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import Delaunay, cKDTree

from personalized_face.authoring.control_points import ControlPoints
from personalized_face.authoring.layout import inside_polygon
from personalized_face.core import mediapipe_regions as regions

NUM_VERTICES = 12264  # Section 3.2 of the paper
# Wanted edge length at a feature, plane units (a texel is 0.02); it grows by GRADE per
# unit of distance, to LARGEST. All are scaled together to give NUM_VERTICES.
EDGE_LENGTHS = {"eyes": 0.0105, "lips": 0.0115, "nose": 0.014, "brows": 0.017}
GRADE, LARGEST = 0.055, 0.034
GRID = 0.004  # spacing of the density samples
LLOYD_ITERATIONS = 30
CLEARANCE = 0.65  # of free points from the samples of a line, in edge lengths
CREASE_CLEARANCE = 0.7  # of a crease's samples from the rim, in edge lengths


class PlaneMesh(NamedTuple):
  """A triangulation in the plane; V vertices."""

  plane: np.ndarray  # [V, 2]
  triangles: np.ndarray  # [T, 3] int32, counter-clockwise (x left of the face, y up)
  mirror: np.ndarray  # [V] int32
  control_vertices: np.ndarray  # [C] int32, the vertex of each control point
  # Closed lines of vertices, from a corner over the upper arc: the borders "mouth",
  # "left_eye", "right_eye", and "border"; the edges "lips", "left_lids", "right_lids".
  rims: dict[str, np.ndarray]


def triangulate(points: ControlPoints, plane: np.ndarray) -> PlaneMesh:
  """Triangulates the layout `plane` [C, 2] of the control points."""
  lines = _Lines(points, plane)
  scale = _edge_scale(lines, points, plane)
  lines.sample(lambda p: 0.92 * scale * _edge_length(p, points, plane))
  fixed, controls = lines.fixed_points(points, plane)
  on_midline = fixed[:, 0] == 0
  free_count = (NUM_VERTICES - on_midline.sum()) // 2 - (~on_midline).sum()
  free = _lloyd(lines, fixed, free_count, points, plane)
  half = np.concatenate([fixed, free])
  triangles = Delaunay(half).simplices
  triangles = triangles[lines.inside(half[triangles].mean(1))]
  corners = half[triangles]
  a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  clockwise = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
  triangles[clockwise] = triangles[clockwise][:, ::-1]
  return _mirrored(half, triangles, controls, points, lines)


def _edge_length(spots: np.ndarray, points: ControlPoints, plane: np.ndarray):
  """The wanted edge length at spots [P, 2], before scaling. [P]"""
  length = np.full(len(spots), LARGEST)
  for name, size in EDGE_LENGTHS.items():
    distance = cKDTree(_outline(name, plane)).query(spots)[0]
    length = np.minimum(length, size + GRADE * distance)
  return length


def _outline(name: str, plane: np.ndarray) -> np.ndarray:
  """Dense samples of a feature's lines. [S, 2]"""
  polygons = {
    "eyes": (regions.LEFT_EYE, regions.RIGHT_EYE),
    "lips": (regions.LIPS_OUTER, regions.LIPS_INNER),
    "nose": (regions.NOSE[6:12], (4, 64, 2, 294)),
    "brows": (regions.LEFT_BROW, regions.RIGHT_BROW),
  }[name]
  share = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
  lines = []
  for polygon in polygons:
    corner = plane[list(polygon)]
    lines.append(((1 - share) * corner + share * np.roll(corner, -1, 0)).reshape(-1, 2))
  return np.concatenate(lines)


def _edge_scale(lines: "_Lines", points: ControlPoints, plane: np.ndarray) -> float:
  """Factor on the edge lengths that gives NUM_VERTICES (hexagonal packing)."""
  grid = lines.grid(GRID * 2)
  vertices_wanted = NUM_VERTICES / 2
  density = (_edge_length(grid, points, plane) ** -2).sum() * (GRID * 2) ** 2
  return float(np.sqrt(density / (np.sqrt(3) / 2) / vertices_wanted))


class _Lines:
  """Border, rims and midline: smooth through their control points, then sampled."""

  def __init__(self, points: ControlPoints, plane: np.ndarray):
    self._points, self._plane = points, plane
    self._loops = {
      "border": points.rings[-1],
      "mouth": points.mouth_rim,
      "left_eye": points.left_eye_rim,
    }
    # Edges of the surface, not of its border: where lips and lids turn inwards.
    creases = {
      "lips": np.array(regions.LIPS_INNER),
      "left_lids": np.array(regions.LEFT_EYE),
    }
    self.samples: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    fine = 0.008  # of the outlines that say what is inside
    self._polygons = {
      name: self._loop(name, lambda p: np.full(len(p), fine))[0] for name in self._loops
    }
    self._loops |= creases

  def inside(self, spots: np.ndarray) -> np.ndarray:
    """Whether spots of the half x >= 0 lie on the face."""
    keep = inside_polygon(spots, self._polygons["border"]) & (spots[:, 0] > 0)
    for name in ("mouth", "left_eye"):
      keep &= ~inside_polygon(spots, self._polygons[name])
    return keep

  def grid(self, spacing: float) -> np.ndarray:
    """Regular samples of the half face. [G, 2]"""
    high = self._polygons["border"].max(0)
    low = self._polygons["border"].min(0)
    x = np.arange(spacing / 2, high[0], spacing)
    y = np.arange(low[1], high[1], spacing)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    return grid[self.inside(grid)]

  def sample(self, edge_length) -> None:
    """Samples each loop at the wanted edge length; triangles are cut along them."""
    for name in self._loops:
      self.samples[name] = self._loop(name, edge_length)
      if name in self._polygons:
        self._polygons[name] = self.samples[name][0]
    # In the corners the creases run into the rims: no samples close together there.
    for crease, rim in (("lips", "mouth"), ("left_lids", "left_eye")):
      spots, controls = self.samples[crease]
      distance = cKDTree(self.samples[rim][0]).query(spots)[0]
      keep = (controls >= 0) | (distance > CREASE_CLEARANCE * edge_length(spots))
      self.samples[crease] = spots[keep], controls[keep]
    self.samples["midline"] = self._midline(edge_length)

  def fixed_points(self, points: ControlPoints, plane: np.ndarray):
    """All unmoving points of the half x >= 0: [F, 2], and their control or -1, [F]."""
    spots = [spot for spot, _ in self.samples.values()]
    controls = [control for _, control in self.samples.values()]
    others = np.flatnonzero(plane[:, 0] > 0)
    spots.append(plane[others])
    controls.append(others)
    spots, controls = np.concatenate(spots), np.concatenate(controls)
    keep = spots[:, 0] >= 0
    spots, controls = spots[keep], controls[keep]
    # A control point may be on several lists; the loops' copies come first.
    _, first = np.unique(np.round(spots, 9), axis=0, return_index=True)
    order = np.sort(first)
    return spots[order], controls[order]

  def _loop(self, name: str, edge_length) -> tuple[np.ndarray, np.ndarray]:
    """Positions [S, 2] and control points (-1: none) [S] along a closed line."""
    loop = self._loops[name]
    corner = self._plane[loop]
    closed = np.concatenate([corner, corner[:1]])
    chord = np.append(0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=-1)))
    if name == "border":
      pieces = [(0, len(loop), CubicSpline(chord, closed, bc_type="periodic"))]
    else:  # two arcs that meet in the corners
      half = len(loop) // 2
      ends = ((0, half), (half, len(loop)))
      pieces = [
        (a, b, CubicSpline(chord[a : b + 1], closed[a : b + 1])) for a, b in ends
      ]
    spots, controls = [], []
    for start, stop, curve in pieces:
      for i in range(start, stop):
        middle = curve((chord[i] + chord[i + 1]) / 2)[None]
        wanted = edge_length(np.abs(middle))[0]
        count = max(1, round((chord[i + 1] - chord[i]) / wanted))
        spots.append(curve(np.linspace(chord[i], chord[i + 1], count, endpoint=False)))
        controls.append(np.append(loop[i], np.full(count - 1, -1)))
    spots, controls = np.concatenate(spots), np.concatenate(controls)
    known = controls >= 0
    spots[known] = self._plane[controls[known]]
    if not name.startswith("left"):
      spots = _symmetric_loop(spots)
    return spots, controls

  def _midline(self, edge_length) -> tuple[np.ndarray, np.ndarray]:
    """Samples between the control points of the midline, an even number in all."""
    plane = self._plane
    own = np.flatnonzero(self._points.mirror == np.arange(len(plane)))
    own = own[np.argsort(-plane[own, 1])]
    upper = self._points.mouth_rim[len(self._points.mouth_rim) // 4]
    counts = []
    for a, b in zip(own[:-1], own[1:], strict=True):
      middle = np.array([[0, (plane[a, 1] + plane[b, 1]) / 2]])
      length = plane[a, 1] - plane[b, 1]
      counts.append(max(1, round(length / edge_length(middle)[0])))
      if a == upper:
        counts[-1] = 1  # across the open mouth there is nothing
    if (sum(counts) + 1) % 2:
      counts[0] += 1
    spots, controls = [], []
    for a, b, count in zip(own[:-1], own[1:], counts, strict=True):
      y = np.linspace(plane[a, 1], plane[b, 1], count, endpoint=False)
      spots.append(np.stack([np.zeros(count), y], -1))
      controls.append(np.append(a, np.full(count - 1, -1)))
    spots.append(plane[own[-1:]])
    controls.append(own[-1:])
    return np.concatenate(spots), np.concatenate(controls)


def _symmetric_loop(spots: np.ndarray) -> np.ndarray:
  """Averages a loop with its mirror image; samples on the midline get x = 0 exactly."""
  flipped = spots * [-1, 1]
  partner = cKDTree(spots).query(flipped)[1]
  spots = (spots + flipped[partner]) / 2
  spots[partner == np.arange(len(spots)), 0] = 0
  return spots


def _lloyd(lines, fixed, count, points, plane) -> np.ndarray:
  """Spreads `count` free points between the fixed ones. [count, 2]"""
  grid = lines.grid(GRID)
  length = _edge_length(grid, points, plane)
  # No free point close to a line: its edges then stay in the triangulation.
  border = np.concatenate([spots for spots, _ in lines.samples.values()])
  clear = cKDTree(border).query(grid)[0] > CLEARANCE * length
  grid, length = grid[clear], length[clear]
  # Start: evenly along a Z-order curve, by the density of points wanted.
  cells = ((grid - grid.min(0)) / GRID).round().astype(np.int64)
  order = np.argsort(_interleave(cells), kind="stable")
  share = np.cumsum((length**-2)[order])
  picks = np.searchsorted(share, (np.arange(count) + 0.5) / count * share[-1])
  free = grid[order[picks]].copy()
  # In two dimensions a centroidal tessellation has cells of size density^(-1/4).
  weight = length**-4
  for _ in range(LLOYD_ITERATIONS):
    sites = np.concatenate([free, fixed])
    near = sites[:, 0] < 0.1
    image = sites[near & (sites[:, 0] > 0)] * [-1, 1]
    owner = cKDTree(np.concatenate([sites, image])).query(grid)[1]
    mine = owner < count
    mass = np.bincount(owner[mine], weight[mine], count)
    moved = np.stack(
      [np.bincount(owner[mine], (weight * grid[:, i])[mine], count) for i in (0, 1)], -1
    )
    has = mass > 0
    free[has] = moved[has] / mass[has, None]
  return free


def _interleave(cells: np.ndarray) -> np.ndarray:
  """Z-order rank of integer cells [G, 2]."""
  rank = np.zeros(len(cells), np.int64)
  for bit in range(12):
    for axis in (0, 1):
      rank |= ((cells[:, axis] >> bit) & 1) << (2 * bit + axis)
  return rank


def _mirrored(half, triangles, controls, points, lines) -> PlaneMesh:
  """The whole face from its half x >= 0; vertices sorted from the top down."""
  count = len(half)
  controls = np.append(controls, np.full(count - len(controls), -1))
  side = half[:, 0] > 0
  image = np.arange(count)
  image[side] = count + np.arange(side.sum())
  plane = np.concatenate([half, half[side] * [-1, 1]])
  whole = np.concatenate([triangles, image[triangles][:, ::-1]])
  mirror = np.concatenate([image, np.flatnonzero(side)])
  order = np.lexsort((plane[:, 0], -np.round(plane[:, 1], 9)))
  rank = np.empty(len(order), int)
  rank[order] = np.arange(len(order))
  of_control = np.full(len(points.positions), -1)
  known = np.flatnonzero(controls >= 0)
  of_control[controls[known]] = known
  missing = of_control < 0
  of_control[missing] = image[of_control[points.mirror[missing]]]
  rims = {}
  tree = cKDTree(plane[order])
  for name in ("border", "mouth", "lips", "left_eye", "left_lids"):
    rims[name] = tree.query(lines.samples[name][0])[1]
  mirror = rank[mirror[order]]
  rims["right_eye"] = mirror[rims["left_eye"]]
  rims["right_lids"] = mirror[rims["left_lids"]]
  return PlaneMesh(
    plane[order],
    rank[whole].astype(np.int32),
    mirror.astype(np.int32),
    rank[of_control].astype(np.int32),
    rims,
  )
