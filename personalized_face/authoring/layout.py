"""Flattens the control points: the UV layout of the default template.

A cylinder about the head's axis gives a plane picture without folds; eyes and mouth
are spread open in it, so that upper and lower rims lie texels apart. The plane has x to
the person's left and y up, and fills about 2.4 x 2.2 units.
"""

import numpy as np

from personalized_face.authoring.control_points import ControlPoints
from personalized_face.core import mediapipe_regions as regions

AXIS_Z = -0.55  # of the cylinder, dm
RADIUS = 0.85  # plane units per radian at the front
SIDE_SQUEEZE = 0.08  # cubic: the sides get fewer texels
UNDERSIDE_TILT = 0.35  # the nose is unrolled as if seen from below: more under the tip
RING_SCALE = 0.75  # plane units per dm beyond the face oval
MOUTH_OPENING = 0.20  # between the lips' contours at the middle, plane units
EYE_OPENING = 0.14  # added to the eye's own
UV_MARGIN = 2.5 / 128  # of the square, free around the layout


def flatten(points: ControlPoints) -> np.ndarray:
  """The plane positions of the control points, [C, 2], exactly mirror-symmetric."""
  plane = _unrolled(points)
  for rim, contour, opening in _slits(points):
    plane = _spread(plane, rim, contour, opening)
  return (plane + plane[points.mirror] * [-1, 1]) / 2


def to_uv(plane: np.ndarray) -> np.ndarray:
  """Scales plane positions [V, 2] to the UV square: u to the right, v down.

  The person's left is on the right of the map, as in a picture of a facing person.
  """
  low, high = plane.min(0), plane.max(0)
  u = 0.5 + plane[:, 0] / (high[0] - low[0]) * (1 - 2 * UV_MARGIN)
  v = UV_MARGIN + (high[1] - plane[:, 1]) / (high[1] - low[1]) * (1 - 2 * UV_MARGIN)
  return np.stack([u, v], -1)


def inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
  """Whether points [P, 2] lie inside a closed polygon [E, 2] (even-odd rule). [P]"""
  order = np.argsort(points[:, 1], kind="stable")
  x, y = points[order].T
  odd = np.zeros(len(points), bool)
  for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
    # The edge counts for the points whose height it passes, [low, high).
    first, last = np.searchsorted(y, sorted((ay, by)))
    if last > first:
      rows = slice(first, last)
      odd[rows] ^= x[rows] < ax + (y[rows] - ay) / (by - ay) * (bx - ax)
  inside = np.empty_like(odd)
  inside[order] = odd
  return inside


def _unrolled(points: ControlPoints) -> np.ndarray:
  """Cylinder projection; the rings beyond the oval go on outwards. [C, 2]"""
  x, y, z = points.positions.T
  angle = np.arctan2(x, z - AXIS_Z)
  across = RADIUS * angle * (1 - SIDE_SQUEEZE * angle**2)
  tilt = UNDERSIDE_TILT * np.exp(-((x / 0.25) ** 2) - ((y / 0.35) ** 2))
  plane = np.stack([across, y + tilt * z], -1)
  before = np.array(regions.FACE_OVAL)
  outward = plane[before] - plane[before].mean(0)
  outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
  for row in points.rings:
    step = points.positions[row] - points.positions[before]
    length = RING_SCALE * np.linalg.norm(step, axis=-1, keepdims=True)
    plane[row] = plane[before] + length * outward
    before = row
  return plane


def _slits(points: ControlPoints):
  yield points.mouth_rim, regions.LIPS_INNER, MOUTH_OPENING
  yield points.left_eye_rim, regions.LEFT_EYE, EYE_OPENING
  yield points.right_eye_rim, regions.RIGHT_EYE, EYE_OPENING


def _spread(plane, rim, contour, opening) -> np.ndarray:
  """Opens one slit: what lies above its middle line moves up, the rest down."""
  half = len(contour) // 2
  contour = np.array(contour)
  upper = contour[: half + 1]
  lower = contour[np.arange(2 * half, half - 1, -1) % (2 * half)]
  order = np.argsort(plane[upper, 0])
  middle_x = plane[upper, 0][order]
  middle_y = ((plane[upper, 1] + plane[lower, 1]) / 2)[order]
  line = np.interp(plane[:, 0], middle_x, middle_y)
  reach = (plane[:, 0] - middle_x.mean()) / (np.ptp(middle_x) / 2)
  profile = np.sqrt(np.maximum(1 - reach**2, 0))
  side = np.sign(plane[:, 1] - line)
  side[upper], side[lower] = 1.0, -1.0
  side[rim[1:half]], side[rim[half + 1 :]] = 1.0, -1.0
  distance = np.abs(plane[:, 1] - line)
  gap = opening / 2 * profile * np.exp(-((distance / (2 * opening)) ** 2))
  result = plane.copy()
  result[:, 1] += side * gap
  # The rim runs inside its contour, at a quarter of the opening.
  inner = np.ones(len(rim), bool)
  inner[[0, half]] = False
  middle = np.interp(plane[contour, 0], middle_x, middle_y)
  offset = result[contour, 1] - middle
  across = plane[contour, 0] - middle_x.mean()
  result[rim[inner], 0] = middle_x.mean() + 0.97 * across[inner]
  result[rim[inner], 1] = (middle + 0.75 * offset)[inner]
  return result
