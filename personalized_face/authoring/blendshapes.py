"""The 56 expressions of the default template, as displacement fields.

Names and FACS meaning: ICT-FaceKit's 55 (the table of its README) plus `noseDilator`
(AU38). The fields are keyed at control points (anatomy.py): brows, cheeks and nose in
expression_keys.py, lids in eyes.py, lips in mouth.py, the jaw in jaw.py.
"""

import numpy as np

from personalized_face.authoring import expression_keys, eyes, jaw, mouth
from personalized_face.authoring.anatomy import Rig
from personalized_face.authoring.surface import symmetric


def build_blendshapes(rig: Rig) -> tuple[tuple[str, ...], np.ndarray]:
  """All expressions.

  Returns:
    56 names and [56, V, 3] displacements, dm; pairs `_L`, `_R` mirror images.
  """
  pairs = dict(eyes.lid_shapes(rig))
  for name, moves in expression_keys.ONE_SIDED.items():
    pairs[name] = rig.displace(rig.right(moves), hold=_held(rig, name))
  pairs.update(mouth.mouth_pairs(rig))
  whole = {**mouth.mouth_shapes(rig), **jaw.jaw_shapes(rig)}
  whole["noseDilator"] = _nose_dilator(rig)
  mirror = rig.mesh.mirror
  fields = {name: symmetric(field, mirror) for name, field in whole.items()}
  for name, field in pairs.items():
    fields[f"{name}_L"] = field[mirror] * [-1, 1, 1]
    fields[f"{name}_R"] = field
  sideways = {"mouth": mouth.mouth_right(rig), "jaw": jaw.jaw_right(rig)}
  for name, field in sideways.items():
    fields[f"{name}Right"] = field
    fields[f"{name}Left"] = field[mirror] * [-1, 1, 1]
  names = tuple(sorted(fields, key=str.lower))
  return names, np.stack([fields[name] for name in names])


def _held(rig: Rig, name: str) -> list[int]:
  """Control points that a shape keeps still although they are near its keys."""
  upper, lower = rig.lip_controls()
  lids = [*rig.points.right_eye_rim, *rig.points.left_eye_rim, *eyes.CONTOURS]
  return {
    "cheekPuff": [4, 1, 2, 97, 98, 0, 13, 14, 17, 152, *lids],
    "noseSneer": [*lower, 291, *eyes.CONTOURS, 5, 1],
    "cheekRaiser": [*upper, *lower, 61, 4],
    "cheekSquint": [*upper, *lower, 61, 4],
  }.get(name, lids)


def _nose_dilator(rig: Rig) -> np.ndarray:
  upper, _ = rig.lip_controls()
  keys = rig.both(expression_keys.NOSE_DILATOR)
  return rig.displace(keys, hold=[2, 4, 1, 19, 94, 164, 0, *upper], reach=0.2)
