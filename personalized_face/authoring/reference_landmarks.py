"""Lays the measured face on the landmarks of a published reference face.

MediaPipe's depths are guesses of a network: the measured nose stands out too far, and
the sides of the face run too straight to the back. The 68 landmark positions of a
scanned average face (data_specs/default_template/reference_landmarks.csv names it)
correct that: the measured points follow a smooth warp of space that takes the places
of the landmarks to the reference's. Where a landmark lies along a line of the face (a
lip's edge, the jaw) is a convention in which sources differ; so most are only asked to
lie on the right line, or on the surface.
"""

import csv
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.interpolate import (
  LinearNDInterpolator,
  NearestNDInterpolator,
  RBFInterpolator,
)

from personalized_face import resources
from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.errors import UserError

# Landmarks on the person's right and on the midline: the measured point, or the line of
# measured points along which the landmark may slide.
_MIDLINE_NOSE = (8, 168, 6, 197, 195, 5, 4)
_UNDER_NOSE = (98, 97, 2)
_PLACES = {
  **{i: regions.RIGHT_BROW[4::-1] for i in range(17, 22)},
  **{27: _MIDLINE_NOSE, 28: _MIDLINE_NOSE, 29: _MIDLINE_NOSE, 30: (4,)},
  **{31: _UNDER_NOSE, 32: _UNDER_NOSE, 33: (2,)},
  **{36: (33,), 37: (160,), 38: (158,), 39: (133,), 40: (153,), 41: (144,)},
  **{48: (61,), 49: regions.UPPER_LIP_OUTER, 50: regions.UPPER_LIP_OUTER, 51: (0,)},
  **{57: (17,), 58: regions.LOWER_LIP_OUTER, 59: regions.LOWER_LIP_OUTER, 60: (78,)},
  **{61: regions.UPPER_LIP_INNER, 62: (13,), 66: (14,), 67: regions.LOWER_LIP_INNER},
}
_JAW = tuple(range(9))
_BROWS = tuple(range(17, 22))
# Points whose places mean the same in both sources: they align the two.
_ALIGNING = (27, 30, 33, 36, 39, 37, 38, 40, 41, 48, 51, 57, 60)
# iBUG order: each landmark's mirror image.
MIRROR68 = (
  *range(16, -1, -1),
  *range(26, 16, -1),
  *(27, 28, 29, 30, 35, 34, 33, 32, 31),
  *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
  *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
  *(64, 63, 62, 61, 60, 67, 66, 65),
)
_CENTRE = np.array([0.0, 0.0, -0.6])  # of the head; where "outward" starts
_SMOOTHING = 1e-3  # of the warp; dm


class Fitted(NamedTuple):
  """The measured points on the reference."""

  points: np.ndarray  # [P, 3] dm
  landmarks: np.ndarray  # [68, 3] dm, where the anatomical landmarks lie on them


def default_path() -> str:
  """The reference positions that ship with the package."""
  return resources.default_template_file("reference_landmarks.csv")


def read_landmarks(path: str) -> np.ndarray:
  """Reads 68 positions, [68, 3] in decimetres.

  Raises:
    UserError: missing or not such a file.
  """
  return read_rows(path) / 10


def read_rows(path: str) -> np.ndarray:
  """Reads the columns x, y and z of 68 rows, [68, 3].

  Raises:
    UserError: missing or not such a file.
  """
  try:
    with open(path, newline="") as file:
      rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    points = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
  except (OSError, KeyError, ValueError) as error:
    raise UserError(
      f"{path} is not a readable landmark file ({error}); install the package again."
    ) from error
  if points.shape != (68, 3):
    raise UserError(
      f"{path} holds {len(points)} landmarks instead of 68; install the package again."
    )
  return points


def fit_to_landmarks(points: np.ndarray, reference: np.ndarray) -> Fitted:
  """Warps the measured points so that they agree with the reference's landmarks.

  Args:
    points: [P, 3] MediaPipe's points (478), mirror-symmetric, dm.
    reference: [68, 3] in any pose and size.
  """
  flip = np.array([-1.0, 1.0, 1.0])
  reference = (reference + reference[list(MIRROR68)] * flip) / 2
  own = np.array([points[_PLACES[i][0]] for i in _ALIGNING])
  theirs = reference[list(_ALIGNING)]
  target = reference @ _alignment(theirs, own)[0] + _alignment(theirs, own)[1]
  source = np.zeros([68, 3])
  for i, line in _PLACES.items():
    source[i] = _nearest_on_line(points[list(line)], target[i])
  jaw = list(_JAW)
  source[jaw] = _outward(points[: regions.RIGHT_IRIS_CENTRE], target[jaw])
  moved = target.copy()
  # A brow is a colour, not a form: its landmarks say how far out the surface lies.
  brows = list(_BROWS)
  direction = source[brows] - _CENTRE
  direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
  out = ((target[brows] - source[brows]) * direction).sum(-1, keepdims=True)
  moved[brows] = source[brows] + out * direction
  for i in (*_JAW, *_PLACES):
    source[MIRROR68[i]], moved[MIRROR68[i]] = source[i] * flip, moved[i] * flip
  # Points that coincide would make the system singular: one of each midline pair.
  warp = RBFInterpolator(
    source, moved - source, kernel="linear", smoothing=_SMOOTHING, degree=1
  )
  return Fitted(points + warp(points), source + warp(source))


def _alignment(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Similarity of points of the right half and the midline: turn about x, scale, shift.

  Returns:
    (matrix [3, 3], shift [3]); points @ matrix + shift fits.
  """
  flip = np.array([-1.0, 1.0, 1.0])
  points = np.concatenate([points, points * flip])
  target = np.concatenate([target, target * flip])
  p, q = points - points.mean(0), target - target.mean(0)
  u, s, vt = np.linalg.svd(p.T @ q)
  matrix = s.sum() / (p**2).sum() * u @ vt
  return matrix, target.mean(0) - points.mean(0) @ matrix


def _nearest_on_line(line: np.ndarray, point: np.ndarray) -> np.ndarray:
  """The point of a polyline [N, 3] nearest to a point [3]."""
  if len(line) == 1:
    return line[0]
  start, along = line[:-1], np.diff(line, axis=0)
  share = ((point - start) * along).sum(-1) / (along**2).sum(-1)
  spots = start + np.clip(share, 0, 1)[:, None] * along
  return spots[np.linalg.norm(spots - point, axis=-1).argmin()]


def _outward(points: np.ndarray, spots: np.ndarray) -> np.ndarray:
  """Where the rays from the head's centre through spots [S, 3] meet the surface."""

  def split(p):
    offset = p - _CENTRE
    radius = np.linalg.norm(offset, axis=-1)
    x, y, z = (offset / radius[:, None]).T
    # Equidistant azimuthal map about the forward direction.
    angle = np.arccos(np.clip(z, -1, 1))
    across = angle[:, None] * np.stack([x, y], -1)
    return across / np.maximum(np.hypot(x, y), 1e-9)[:, None], radius

  plane, radius = split(points)
  where, own = split(spots)
  found = LinearNDInterpolator(plane, radius)(where)
  beyond = np.isnan(found)
  found[beyond] = NearestNDInterpolator(plane, radius)(where[beyond])
  return _CENTRE + (spots - _CENTRE) * (found / own)[:, None]


def landmark_vertices(
  landmarks: np.ndarray,
  vertices: np.ndarray,
  mirror: np.ndarray,
  rims: Mapping[str, np.ndarray],
) -> np.ndarray:
  """The vertices nearest to the landmarks; on lids and lips of the right edge only.

  Args:
    landmarks: [68, 3] dm.
    vertices: [V, 3] dm.
    mirror: [V], index of each vertex's mirror image.
    rims: the lines "right_lids" and "lips" of meshing.PlaneMesh.

  Returns:
    [68] int32, in mirror pairs.
  """
  everywhere = np.arange(len(vertices))
  edges = {}
  upper, lower = _arcs(vertices, rims["right_lids"])
  edges |= {37: upper, 38: upper, 40: lower, 41: lower}
  upper, lower = _arcs(vertices, rims["lips"])
  edges |= {61: upper, 62: upper, 66: lower, 67: lower}
  chosen = np.zeros(68, np.int32)
  for i in (*_JAW, *_PLACES):
    candidates = edges.get(i, everywhere)
    if MIRROR68[i] == i:
      candidates = candidates[mirror[candidates] == candidates]
    distance = np.linalg.norm(vertices[candidates] - landmarks[i], axis=-1)
    chosen[i] = candidates[distance.argmin()]
    chosen[MIRROR68[i]] = mirror[chosen[i]]
  return chosen


def _arcs(vertices: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The upper and the lower half of a rim that starts in one corner, without them."""
  turn = int(np.abs(vertices[loop, 0] - vertices[loop[0], 0]).argmax())
  return loop[1:turn], loop[turn + 1 :]
