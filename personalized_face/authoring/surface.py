"""From the flattened mesh to the face: positions of the vertices, and the hole strips.

A thin-plate spline in the plane of layout.py through the control points gives a first
surface; a second one, bent as little as possible in space, replaces it: the
squared mean curvature normal is minimised (Botsch and Kobbelt 2004) while the control
points attract their vertices and the rims of lids and lips stay on smooth curves.
"""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy.interpolate import CubicSpline, RBFInterpolator
from scipy.spatial import cKDTree

from personalized_face.authoring.control_points import ControlPoints
from personalized_face.authoring.meshing import PlaneMesh
from personalized_face.core import mediapipe_regions as regions

SPLINE_SMOOTHING = 2e-6
# Pull of a control point against bending, per dm^2: a point that stands 1 mm out of a
# smooth surface with points 5 mm apart is kept to about three quarters.
ATTRACTION = 8000.0
ATTRACTION_RIMS = 1e6
SOFT_CORNER = 0.02  # dm, of the mouth
# Control points closer together than this share one pull: the detector's noise between
# neighbours would crease the corners of the mouth.
LONE_SPACING = 0.05  # dm
# The floor of the nostrils, which the detector's points bridge; up and back, as the
# airway runs.
NOSTRIL_DEPTH = 0.06
NOSTRIL_REACH = 1.2  # of the dent, in radii of the opening
NOSTRIL_DIRECTION = np.array([0.0, 0.82, -0.57])
FAIRING_PASSES = 2  # the curvature is measured on the surface of the pass before


def lift(points: ControlPoints, plane: np.ndarray, mesh: PlaneMesh) -> np.ndarray:
  """Vertex positions.

  Args:
    points: C control points.
    plane: [C, 2], where they lie in the plane.
    mesh: the triangulation of the plane.

  Returns:
    [V, 3] dm, exactly mirror-symmetric.
  """
  spline = RBFInterpolator(
    plane, points.positions, kernel="thin_plate_spline", smoothing=SPLINE_SMOOTHING
  )
  vertices = symmetric(spline(mesh.plane), mesh.mirror)
  weight = np.zeros(len(vertices))
  spacing = cKDTree(points.positions).query(points.positions, k=2)[0][:, 1]
  weight[mesh.control_vertices] = (
    ATTRACTION * np.minimum(spacing / LONE_SPACING, 1) ** 2
  )
  target = vertices.copy()
  target[mesh.control_vertices] = points.positions
  for name, curve in _rim_curves(points, plane, mesh).items():
    target[mesh.rims[name]] = curve
    loop = mesh.rims[name]
    weight[loop] = ATTRACTION_RIMS
    if name in ("mouth", "lips"):
      # Pinned corners would dent the cheek: they may give way to the skin around.
      x = np.abs(target[loop, 0])
      weight[loop[x > x.max() - SOFT_CORNER]] = ATTRACTION
  for _ in range(FAIRING_PASSES):
    vertices = symmetric(_fair(vertices, mesh.triangles, target, weight), mesh.mirror)
  right = _nostril(mesh)
  depth = NOSTRIL_DEPTH * (right + right[mesh.mirror])
  return vertices + depth[:, None] * NOSTRIL_DIRECTION


def _nostril(mesh: PlaneMesh) -> np.ndarray:
  """How deep each vertex lies in the right nostril, 0 to 1. [V]"""
  corner = mesh.plane[mesh.control_vertices[list(regions.RIGHT_NOSTRIL)]]
  offset = mesh.plane - corner.mean(0)
  # The ellipse through four corners spread evenly about it.
  shape = np.linalg.inv(2 * np.cov(corner.T, bias=True))
  square = np.einsum("vi,ij,vj->v", offset, shape, offset)
  return np.clip(1 - square / NOSTRIL_REACH**2, 0, 1) ** 2


def _rim_curves(points: ControlPoints, plane, mesh: PlaneMesh) -> dict[str, np.ndarray]:
  """Smooth curves through the control points of each line of vertices. [S, 3] each"""
  lines = {
    "border": points.rings[-1],
    "mouth": points.mouth_rim,
    "lips": np.array(regions.LIPS_INNER),
    "left_eye": points.left_eye_rim,
    "left_lids": np.array(regions.LEFT_EYE),
  }
  curves = {name: _curve(points, mesh, name, line) for name, line in lines.items()}
  for side in ("eye", "lids"):
    curves[f"right_{side}"] = curves[f"left_{side}"] * [-1, 1, 1]
  return curves


def _curve(points: ControlPoints, mesh: PlaneMesh, name: str, controls) -> np.ndarray:
  loop = mesh.rims[name]
  spots = mesh.plane[np.append(loop, loop[0])]
  length = np.append(0, np.cumsum(np.linalg.norm(np.diff(spots, axis=0), axis=-1)))
  rank = [int(np.flatnonzero(loop == v)[0]) for v in mesh.control_vertices[controls]]
  knots = np.append(length[rank], length[-1])
  through = points.positions[np.append(controls, controls[0])]
  place = length[:-1]
  if name == "border":
    return CubicSpline(knots, through, bc_type="periodic")(place)
  half = len(controls) // 2
  first = CubicSpline(knots[: half + 1], through[: half + 1])
  second = CubicSpline(knots[half:], through[half:])
  return np.where((place <= knots[half])[:, None], first(place), second(place))


def _fair(vertices, triangles, target, weight) -> np.ndarray:
  """Minimises the integral of |Laplacian|^2 plus weight |x - target|^2. [V, 3]"""
  laplacian, mass = cotangent_laplacian(vertices, triangles)
  bending = laplacian @ scipy.sparse.diags(1 / mass) @ laplacian
  matrix = (bending + scipy.sparse.diags(weight)).tocsc()
  factor = scipy.sparse.linalg.splu(
    matrix,
    permc_spec="MMD_AT_PLUS_A",
    diag_pivot_thresh=0.0,
    options={"SymmetricMode": True},
  )
  return factor.solve(weight[:, None] * target)


def cotangent_laplacian(vertices: np.ndarray, triangles: np.ndarray):
  """Positive semi-definite cotangent Laplacian, lumped mass (Pinkall, Polthier 1993).

  Args:
    vertices: [V, 3].
    triangles: [T, 3].

  Returns:
    (laplacian [V, V] sparse, mass [V]).
  """
  count = len(vertices)
  rows, columns, values = [], [], []
  mass = np.zeros(count)
  corner = vertices[triangles]
  area = np.linalg.norm(
    np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1
  )
  for i in range(3):
    j, k = (i + 1) % 3, (i + 2) % 3
    a, b = corner[:, j] - corner[:, i], corner[:, k] - corner[:, i]
    # Clamped: very flat triangles would make the kernel lose its positivity.
    weight = np.clip((a * b).sum(-1) / np.maximum(area, 1e-12), 0.02, 20) / 2
    rows += [triangles[:, j], triangles[:, k]]
    columns += [triangles[:, k], triangles[:, j]]
    values += [weight, weight]
    mass += np.bincount(triangles[:, i], area / 6, count)
  off = scipy.sparse.csr_matrix(
    (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
    shape=(count, count),
  )
  return scipy.sparse.diags(np.asarray(off.sum(1)).ravel()) - off, mass


def symmetric(vectors: np.ndarray, mirror: np.ndarray) -> np.ndarray:
  """Averages vectors [..., V, 3] with their mirror image; x = 0 on the midline."""
  left = vectors[..., mirror, :] * np.array([-1.0, 1.0, 1.0])
  return (vectors + left) / 2


def hole_strips(mesh: PlaneMesh) -> np.ndarray:
  """Triangles that close mouth and eyes, zipped between the upper and the lower rim.

  Returns:
    [E, 3] int32, counter-clockwise like the face's own.
  """
  strips = [_zip(mesh.plane, mesh.rims[name]) for name in ("mouth", "left_eye")]
  strips.append(mesh.mirror[strips[1]][:, ::-1])
  return np.concatenate(strips).astype(np.int32)


def _zip(plane: np.ndarray, loop: np.ndarray) -> np.ndarray:
  """Zips a loop whose first vertex is one corner and whose other corner is opposite."""
  x = plane[loop, 0]
  first, last = 0, int(np.argmax(np.abs(x - x[0])))
  upper = loop[first : last + 1]
  lower = np.concatenate([loop[:1], loop[: last - 1 : -1]])
  triangles, i, j = [], 0, 0
  while i < len(upper) - 1 or j < len(lower) - 1:
    more_upper = i < len(upper) - 1
    more_lower = j < len(lower) - 1
    ahead = abs(plane[upper[min(i + 1, len(upper) - 1)], 0] - x[0])
    below = abs(plane[lower[min(j + 1, len(lower) - 1)], 0] - x[0])
    if more_upper and (not more_lower or ahead <= below):
      triangles.append((upper[i], upper[i + 1], lower[j]))
      i += 1
    else:
      triangles.append((upper[i], lower[j + 1], lower[j]))
      j += 1
  triangles = np.array([t for t in triangles if len(set(t)) == 3])
  a, b, c = (plane[triangles[:, k]] for k in range(3))
  area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
  triangles[area < 0] = triangles[area < 0][:, ::-1]
  return triangles
