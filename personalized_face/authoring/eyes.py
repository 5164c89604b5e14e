"""Shapes of the lids: they slide over the eyeball and close on one line."""

import numpy as np
from scipy.spatial import cKDTree

from personalized_face.authoring.anatomy import MM, Keys, Rig
from personalized_face.authoring.control_points import EYEBALL_RADIUS
from personalized_face.core import mediapipe_regions as regions

CONTOURS = (*regions.RIGHT_EYE, *regions.LEFT_EYE)
# Where the lids meet, from the lower lid's edge (0) to the upper's (1).
CLOSURE_LINE = 0.14
EDGE_REACH = 0.03  # of corrections at the lids' edges, plane units of layout.py
# dm: finer things are ribs between keys; more would fold the lids at their edges.
_FINEST = 0.012
# Of the lid's own movement, what the skin above and below follows (person's right).
_ABOVE = {247: 0.5, 30: 0.55, 29: 0.6, 27: 0.6, 28: 0.6, 56: 0.5, 190: 0.4}
_ABOVE_FAR = {225: 0.1, 224: 0.12, 223: 0.14, 222: 0.14, 221: 0.06, 113: 0.12}
_BELOW = {25: 0.4, 110: 0.5, 24: 0.55, 23: 0.6, 22: 0.55, 26: 0.5, 112: 0.3}
_BELOW_FAR = {228: 0.15, 229: 0.2, 230: 0.2, 231: 0.18, 232: 0.1}
# The fold under the eye that the ring muscle draws up and towards the nose.
_FOLD = {25: 0.2, 110: 0.45, 24: 0.7, 23: 0.9, 22: 1.0, 26: 0.8, 112: 0.2}
_FOLD |= {228: 0.5, 229: 0.7, 230: 0.9, 231: 0.9, 232: 0.6, 118: 0.2, 119: 0.3}
_FOLD |= {120: 0.35, 121: 0.35, 128: 0.1}


def lid_shapes(rig: Rig) -> dict[str, np.ndarray]:
  """The person's right eye's shapes without their suffix, [V, 3] dm each."""
  shapes = {
    "eyeBlink": _lids(rig, 1.0, 1.0),
    "eyeLookDown": _lids(rig, 0.84, -0.6, below=(0, -1.2, 0)),
    "eyeLookUp": _lids(rig, -0.38, 0.5),
    "eyeWide": _lids(rig, -0.38, -0.35),
    "eyeSquint": _lids(rig, 0.2, 0.7, below=(-2.6, 2.6, 0.3)),
    "eyeLookIn": _lids(rig, 0, 0, sideways=-2.7),
    "eyeLookOut": _lids(rig, 0, 0, sideways=2.7),
  }
  return {name: _clear_of_eyeball(rig, field) for name, field in shapes.items()}


def _lids(rig: Rig, upper, lower, below=(0, 0, 0), sideways=0.0) -> np.ndarray:
  """Moves both lids.

  Args:
    rig: the face.
    upper, lower: share of each lid's way to the line where they meet; negative opens
      wider. The lower lid's way is CLOSURE_LINE of the opening.
    below: (outward, up, forward) in mm, added to the fold below the eye.
    sideways: outward drag of the lids by the turning eyeball, mm.
  """
  ball = rig.points.left_eyeball * [-1, 1, 1]
  keys: Keys = {}
  rim = rig.points.right_eye_rim
  contour = np.array(regions.RIGHT_EYE)
  half = len(contour) // 2
  top, bottom = np.arange(1, half), np.arange(len(contour) - 1, half, -1)
  for row in (contour, rim):
    above, under = rig.position[row[top]] - ball, rig.position[row[bottom]] - ball
    for here, there, amount, line, ids in (
      (above, under, upper, 1 - CLOSURE_LINE, row[top]),
      (under, above, lower, CLOSURE_LINE, row[bottom]),
    ):
      target = _slide(here, there, amount * line)
      for control, move in zip(ids, target - here, strict=True):
        keys[int(control)] = move
    for corner in (row[0], row[half]):
      keys[int(corner)] = np.zeros(3)
  if sideways:
    _drag(rig, keys, [*contour, *rim], ball, sideways)
  mean_up = np.mean([keys[int(c)] for c in contour[top[2:-2]]], axis=0)
  mean_down = np.mean([keys[int(c)] for c in contour[bottom[2:-2]]], axis=0)
  for group, move in (
    ({**_ABOVE, **_ABOVE_FAR}, mean_up),
    ({**_BELOW, **_BELOW_FAR}, mean_down),
  ):
    for control, share in group.items():
      keys[control] = share * move
  added = np.array([-below[0], below[1], below[2]]) * MM
  for control, share in _FOLD.items():
    keys[control] = keys.get(control, 0) + added * share
  hold = [*regions.RIGHT_BROW, 117, 143, 168, 6, 122]
  field = rig.smoothed(rig.displace(keys, hold=hold, reach=0.22), _FINEST)
  return _edges_exact(rig, field, upper, lower) if not sideways else field


def _edges_exact(rig: Rig, field: np.ndarray, upper: float, lower: float) -> np.ndarray:
  """Corrects a field so that all vertices of the lids' edges slide as told, not only
  the control points: shut lids then meet all along. [V, 3]"""
  ball = rig.points.left_eyeball * [-1, 1, 1]
  vertices, residual = [], []
  for name in ("right_lids", "right_eye"):
    loop = rig.mesh.rims[name]
    offset = rig.vertices[loop] - ball
    turn = int(np.abs(offset[:, 0] - offset[0, 0]).argmax())  # the other corner
    top, bottom = np.arange(1, turn), np.arange(turn + 1, len(loop))
    for here, there, amount, line in (
      (top, bottom, upper, 1 - CLOSURE_LINE),
      (bottom, top, lower, CLOSURE_LINE),
    ):
      opposite = offset[np.r_[0, there, turn]]
      opposite = opposite[np.argsort(opposite[:, 0])]
      x = offset[here, 0]
      across = np.stack([np.interp(x, opposite[:, 0], o) for o in opposite.T], -1)
      target = _slide(offset[here], across, amount * line)
      vertices.append(loop[here])
      residual.append(target - offset[here] - field[loop[here]])
  return field + _spread(rig, np.concatenate(vertices), np.concatenate(residual))


def _spread(rig: Rig, vertices: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Carries small corrections at vertices on to the skin close by, [V, 3]."""
  distance, nearest = cKDTree(rig.mesh.plane[vertices]).query(rig.mesh.plane)
  spread = values[nearest] * np.exp(-((distance / EDGE_REACH) ** 2))[:, None]
  spread[vertices] = values
  return spread


def _slide(here: np.ndarray, there: np.ndarray, share: float) -> np.ndarray:
  """Moves points towards others on the ball, distance to its centre in proportion."""
  radius = np.linalg.norm(here, axis=-1, keepdims=True)
  other = np.linalg.norm(there, axis=-1, keepdims=True)
  target = here + share * (there - here)
  target /= np.linalg.norm(target, axis=-1, keepdims=True)
  return target * (radius + share * (other - radius))


def _drag(rig: Rig, keys: Keys, controls, ball, sideways: float) -> None:
  """The cornea's bulge pulls the lids along, most in the middle of the opening."""
  for control in controls:
    offset = rig.position[control] - ball
    share = np.exp(-((offset[0] / 0.1) ** 2))
    turn = -sideways * MM * share / np.linalg.norm(offset)
    c, s = np.cos(turn), np.sin(turn)
    turned = offset @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    keys[int(control)] = turned - offset


def _clear_of_eyeball(rig: Rig, field: np.ndarray) -> np.ndarray:
  """Pushes what would enter the eyeball back out to its surface."""
  ball = rig.points.left_eyeball * [-1, 1, 1]
  moved = rig.vertices + field
  offset = moved - ball
  length = np.linalg.norm(offset, axis=-1)
  before = np.linalg.norm(rig.vertices - ball, axis=-1)
  inside = length < np.minimum(EYEBALL_RADIUS, before)
  wanted = np.minimum(EYEBALL_RADIUS, before)[inside]
  result = field.copy()
  result[inside] += offset[inside] * (wanted / length[inside] - 1)[:, None]
  return result
