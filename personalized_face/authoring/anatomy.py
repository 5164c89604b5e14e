"""Smooth displacement fields on the face, interpolated from keyed control points.

A blendshape is keyed like a rig: some control points get a displacement, others are
held, and the surface between follows. The interpolation is Gaussian-process regression
with a Matern kernel that lives on the surface, (1 - l^2 Laplacian)^-2 (Lindgren, Rue
and Lindstroem 2011), discretised by cotangents; it does not see across the slits of
mouth and eyes, so that upper and lower lip part freely.
"""

from collections.abc import Mapping

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from personalized_face.authoring.control_points import ControlPoints
from personalized_face.authoring.meshing import PlaneMesh
from personalized_face.authoring.surface import cotangent_laplacian
from personalized_face.core import mediapipe_regions as regions

LENGTH_SCALE = 0.13  # dm: how far a lone key reaches
REACH = 0.36  # dm: control points farther than this from every key are held
# Relative variance of the keys: close pairs of keys may differ from the surface by a
# few hundredths of a millimetre instead of bending it.
NUGGET = 1e-4
MM = 0.01  # decimetres
_SOLVE_CHUNK = 32  # right sides at a time: they stay in the cache

Keys = dict[int, np.ndarray]  # control point -> displacement, dm


class Rig:
  """The face with its control points as handles."""

  def __init__(self, points: ControlPoints, mesh: PlaneMesh, vertices: np.ndarray):
    self.points, self.mesh, self.vertices = points, mesh, vertices
    self.position = vertices[mesh.control_vertices]  # [C, 3]
    laplacian, mass = cotangent_laplacian(vertices, mesh.triangles)
    self._laplacian, self._mass = laplacian / mass.mean(), mass / mass.mean()
    self._smoothers = {}  # by length
    factor = self._factor(LENGTH_SCALE)
    # The kernel is as symmetric as the face: one side's columns give the other's.
    own = np.flatnonzero(np.arange(len(points.mirror)) <= points.mirror)
    kernel = np.empty([len(vertices), len(points.mirror)])
    for chunk in np.array_split(own, max(1, len(own) // _SOLVE_CHUNK)):
      unit = np.zeros([len(vertices), len(chunk)])
      unit[mesh.control_vertices[chunk], np.arange(len(chunk))] = 1
      once = factor.solve(unit)
      kernel[:, chunk] = factor.solve(once * self._mass[:, None])
    kernel[:, points.mirror[own]] = kernel[mesh.mirror][:, own]
    self._kernel = kernel / np.median(np.diag(kernel[mesh.control_vertices]))
    gram = self._kernel[mesh.control_vertices]
    self._gram = (gram + gram.T) / 2  # [C, C]

  def interpolate(self, keys: Mapping[int, np.ndarray]) -> np.ndarray:
    """The field [V, D] that takes the keys' values at their control points."""
    handles = np.array(sorted(keys))
    values = np.array([np.atleast_1d(keys[h]) for h in handles], np.float64)
    gram = self._gram[np.ix_(handles, handles)]
    gram = gram + NUGGET * np.diag(np.diag(gram))
    weights = np.zeros([len(self.position), values.shape[1]])
    weights[handles] = np.linalg.solve(gram, values)
    return self._kernel @ weights

  def displace(self, keys: Keys, hold=(), reach: float = REACH) -> np.ndarray:
    """A displacement field [V, 3]: keys, `hold` at zero, everything far held too."""
    keys = dict(keys)
    centres = self.position[[c for c, d in keys.items() if np.any(d)]]
    distance = np.linalg.norm(self.position[:, None] - centres[None], axis=-1).min(1)
    for control in (*hold, *np.flatnonzero(distance > reach)):
      keys.setdefault(int(control), np.zeros(3))
    return self.interpolate(keys)

  def smoothed(self, field: np.ndarray, length: float) -> np.ndarray:
    """A field [V, D] without what is finer than a length (dm): ripples between keys.

    (1 - l^2 Laplacian)^-1 field; it does not see across the slits either. Keys lie 4 to
    5 mm apart.
    """
    if length not in self._smoothers:
      self._smoothers[length] = self._factor(length)
    return self._smoothers[length].solve(field * self._mass[:, None])

  def _factor(self, length: float) -> scipy.sparse.linalg.SuperLU:
    """Of 1 - l^2 Laplacian, which is symmetric and positive definite."""
    matrix = scipy.sparse.diags(self._mass) + length**2 * self._laplacian
    return scipy.sparse.linalg.splu(
      matrix.tocsc(),
      permc_spec="MMD_AT_PLUS_A",
      diag_pivot_thresh=0.0,
      options={"SymmetricMode": True},
    )

  def right(self, moves: Mapping[int, tuple[float, float, float]]) -> Keys:
    """Keys of the person's right side: (outward, up, forward) in millimetres."""
    return {c: np.array([-o, u, f]) * MM for c, (o, u, f) in moves.items()}

  def both(self, moves: Mapping[int, tuple[float, float, float]]) -> Keys:
    """Keys of the right side and their mirror images."""
    keys = self.right(moves)
    image = {int(self.points.mirror[c]): d * [-1, 1, 1] for c, d in keys.items()}
    return {**image, **keys}

  def lip_controls(self) -> tuple[np.ndarray, np.ndarray]:
    """Control points of the upper and of the lower lip, corners in neither."""
    rim = self.points.mouth_rim
    half = len(rim) // 2
    rows_up = (*_UPPER_LIP_ROWS, *regions.UPPER_LIP_OUTER, *regions.UPPER_LIP_INNER)
    rows_low = (*_LOWER_LIP_ROWS, *regions.LOWER_LIP_OUTER, *regions.LOWER_LIP_INNER)
    corners = {*MOUTH_CORNER_RIGHT, *MOUTH_CORNER_LEFT}
    upper = {*rows_up, *rim[1:half]} - corners
    lower = {*rows_low, *rim[half + 1 :]} - corners
    return np.array(sorted(upper)), np.array(sorted(lower))

  def lips(self, profile, rows: str = "both", taper: bool = False) -> Keys:
    """Keys of the lips from a profile.

    Args:
      profile: (t, inner) -> (x, up, forward) in millimetres: t from -1 at the person's
        right corner to 1 at the left one; inner from 0 at the lip's outer edge to 1
        where the lips meet.
      rows: "upper", "lower" or "both"; the corners belong to both.
      taper: fade the profile to nothing in the corners.
    """
    upper, lower = self.lip_controls()
    corners = np.array([*MOUTH_CORNER_RIGHT, *MOUTH_CORNER_LEFT])
    chosen = {"upper": [upper], "lower": [lower], "both": [upper, lower]}[rows]
    keys = {}
    for control in np.concatenate([*chosen, corners]):
      x = self.position[control, 0] / self.position[291, 0]
      x = np.clip(x, -1, 1)
      move = np.array(profile(x, self._inner(control, control in upper)), np.float64)
      keys[int(control)] = move * MM * (bump(x) if taper else 1)
    return keys

  def _inner(self, control: int, upper: bool) -> float:
    """0 at the lip's outer edge, 1 at the line where the lips meet, by height."""
    outer = regions.UPPER_LIP_OUTER if upper else regions.LOWER_LIP_OUTER
    meet = regions.UPPER_LIP_INNER if upper else regions.LOWER_LIP_INNER
    p = self.position
    x = p[control, 0]
    edge = np.interp(x, p[list(outer), 0], p[list(outer), 1])
    line = np.interp(x, p[list(meet), 0], p[list(meet), 1])
    if abs(edge - line) < 0.01:
      return 0.5
    return float(np.clip((p[control, 1] - edge) / (line - edge), 0, 1))


# Rows of the measured points between the outer and the inner contour of each lip.
_UPPER_LIP_ROWS = (
  *(184, 74, 73, 72, 11, 302, 303, 304, 408),
  *(183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_LOWER_LIP_ROWS = (
  *(77, 90, 180, 85, 16, 315, 404, 320, 307),
  *(96, 89, 179, 86, 15, 316, 403, 319, 325),
)
MOUTH_CORNER_RIGHT = (61, 76, 62, 78)
MOUTH_CORNER_LEFT = (291, 306, 292, 308)


def bump(t: float) -> float:
  """Along the lips, t from -1 to 1: 1 in the middle, 0 in the corners."""
  return float(1 - t**4)
