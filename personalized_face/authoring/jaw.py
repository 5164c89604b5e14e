"""Shapes of the jaw: it turns about its hinge near the ears; the skin follows by
weights."""

import numpy as np

from personalized_face.authoring.anatomy import MM, Rig
from personalized_face.core import mediapipe_regions as regions

HINGE = np.array([0.0, 0.10, -0.60])  # below and before the ear canal, dm
OPEN_ANGLE = 0.45  # radians at weight 1: 30 mm and more between the lips
# The condyle glides forward while the jaw opens, dm.
GLIDE = np.array([0.0, -0.02, 0.07])
# Share of the jaw's movement at control points of the person's right side.
_SKIN = {
  **{152: 1, 148: 1, 176: 1, 149: 1, 150: 1, 136: 0.95, 172: 0.8, 58: 0.55, 132: 0.3},
  **{93: 0.1, 234: 0, 127: 0, 175: 1, 171: 1, 199: 1, 208: 1, 200: 1, 201: 1, 140: 1},
  **{32: 1, 194: 1, 18: 1, 83: 1, 182: 1, 211: 1, 204: 1, 170: 1, 169: 0.95, 210: 0.9},
  **{135: 0.9, 138: 0.7, 215: 0.42, 177: 0.2, 213: 0.36, 192: 0.5, 214: 0.68},
  **{106: 0.98},
  **{202: 0.9, 43: 0.78, 57: 0.42, 212: 0.56, 216: 0.24, 207: 0.26, 187: 0.2},
  **{147: 0.16, 137: 0.06, 123: 0.04, 205: 0.1, 50: 0.02, 206: 0.07, 92: 0.06},
  **{186: 0.2},
  **{165: 0.01, 203: 0.01, 36: 0, 101: 0, 116: 0, 117: 0, 118: 0, 129: 0, 98: 0},
  **{167: 0, 164: 0, 2: 0, 97: 0, 4: 0, 1: 0, 227: 0, 34: 0, 116: 0},
}
_CORNER = 0.42


def jaw_weights(rig: Rig) -> np.ndarray:
  """How much of the jaw's movement each vertex follows, [V]."""
  keys = {}
  for control, share in _SKIN.items():
    keys[control] = keys[int(rig.points.mirror[control])] = share
  upper, lower = rig.lip_controls()
  reach = rig.position[291, 0]
  for control in upper:
    t = min(abs(rig.position[control, 0]) / reach, 1)
    keys[int(control)] = _CORNER * t**6
  for control in lower:
    t = min(abs(rig.position[control, 0]) / reach, 1)
    keys[int(control)] = 1 - (1 - _CORNER) * t**5
  for control in (61, 76, 62, 78, 291, 306, 292, 308):
    keys[control] = _CORNER
  oval = list(regions.FACE_OVAL)
  for row, share in zip(rig.points.rings, (0.9, 0.75), strict=True):
    for control, inner in zip(row, oval, strict=True):
      keys[int(control)] = share * keys.get(inner, 0.0)
  for control, y in enumerate(rig.position[:468, 1]):
    if y > 0:
      keys.setdefault(control, 0.0)
  weights = rig.interpolate({c: np.array([w]) for c, w in keys.items()})[:, 0]
  weights = (weights + weights[rig.mesh.mirror]) / 2
  return np.clip(weights, 0, 1)


def _opened(rig: Rig, weights: np.ndarray, angle: float) -> np.ndarray:
  """Displacement of a rotation by weight * angle about the hinge, with the glide."""
  arm = rig.vertices - HINGE
  c, s = np.cos(weights * angle), np.sin(weights * angle)
  turned = np.stack(
    [arm[:, 0], c * arm[:, 1] - s * arm[:, 2], s * arm[:, 1] + c * arm[:, 2]], -1
  )
  return turned - arm + weights[:, None] * GLIDE


def jaw_shapes(rig: Rig) -> dict[str, np.ndarray]:
  """jawOpen, jawForward and mouthClose, [V, 3] dm each.

  mouthClose is the corrective that ARKit and ICT-FaceKit mean by it: added to jawOpen,
  it brings the lips together again.
  """
  weights = jaw_weights(rig)
  opened = _opened(rig, weights, OPEN_ANGLE)
  _, lower = rig.lip_controls()
  keys = {int(c): np.array([1.0]) for c in lower}
  for control in (61, 76, 62, 78, 291, 306, 292, 308):
    keys[control] = np.array([1.0])
  around = {18: 0.75, 83: 0.75, 182: 0.75, 106: 0.75, 43: 0.85, 202: 0.6, 57: 0.8}
  around |= {204: 0.5, 194: 0.36, 201: 0.34, 200: 0.34, 212: 0.6, 214: 0.4, 211: 0.2}
  around |= {199: 0.1, 208: 0.1, 32: 0.1, 175: 0, 171: 0, 140: 0, 152: 0, 148: 0}
  around[170] = 0
  around |= {210: 0.16, 135: 0.04, 169: 0, 192: 0.12, 149: 0, 150: 0, 136: 0, 138: 0}
  for control, share in around.items():
    keys[control] = keys[int(rig.points.mirror[control])] = np.array([share])
  share = np.clip(rig.interpolate(keys)[:, 0], 0, 1)
  return {
    "jawOpen": opened,
    "jawForward": weights[:, None] * np.array([0, -1.4, 11.0]) * MM,
    "mouthClose": -share[:, None] * opened,
  }


def jaw_right(rig: Rig) -> np.ndarray:
  """The jaw shifts to the person's right, [V, 3] dm."""
  return jaw_weights(rig)[:, None] * np.array([-8.8, 0.3, -0.2]) * MM
