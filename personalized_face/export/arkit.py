"""ARKit's 52 blendshapes, and how they and a template's own name each other.

Three spellings of one name are in use: ARKit's documentation writes eyeBlinkLeft, ARKit
on a device and ICT-FaceKit eyeBlink_L, Live Link Face EyeBlinkLeft. They are compared
without case and underscores, a trailing _L or _R read as Left or Right; by whole names
only, since a comparison of beginnings takes a left one for a right one.

A template may split what ARKit has as one (browInnerUp, cheekPuff). Going out, ARKit's
is the mean of the two; coming in, both get its value. ARKit's tongueOut has no
counterpart and is 0; the template's cheekRaiser and noseDilator do not go out.
Left and right are the person's own.
Source: Apple, ARFaceAnchor.BlendShapeLocation; the order is that of Live Link's packet.
"""

from collections.abc import Sequence

import numpy as np

_SIDED_BEFORE_JAW = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint")
_EYES = tuple(
  f"eye{part}{side}"
  for side in ("Left", "Right")
  for part in (*_SIDED_BEFORE_JAW, "Wide")
)
_MOUTH_PAIRS = ("Smile", "Frown", "Dimple", "Stretch")
_LATE_MOUTH_PAIRS = ("Press", "LowerDown", "UpperUp")


def _pairs(stem: str, parts: Sequence[str]) -> tuple[str, ...]:
  return tuple(f"{stem}{part}{side}" for part in parts for side in ("Left", "Right"))


ARKIT_NAMES = (
  *_EYES,
  *("jawForward", "jawLeft", "jawRight", "jawOpen"),
  *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
  *_pairs("mouth", _MOUTH_PAIRS),
  *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
  *_pairs("mouth", _LATE_MOUTH_PAIRS),
  *("browDownLeft", "browDownRight", "browInnerUp"),
  *("browOuterUpLeft", "browOuterUpRight"),
  *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
  *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)


def spelling_key(name: str) -> str:
  """What the spellings of one name have in common, such as "eyeblinkleft"."""
  for ending, side in (("_L", "Left"), ("_R", "Right")):
    if name.upper().endswith(ending):
      name = name[: -len(ending)] + side
  return name.replace("_", "").lower()


def arkit_parts(blendshape_names: Sequence[str]) -> dict[str, tuple[int, ...]]:
  """For each of ARKit's 52 names the indices of a template's own that make it.

  Args:
    blendshape_names: K names in any of the spellings.

  Returns:
    One index, two where the template splits it, none where it has none.
  """
  index = {spelling_key(name): i for i, name in enumerate(blendshape_names)}
  parts = {}
  for name in ARKIT_NAMES:
    key = spelling_key(name)
    keys = (key,) if key in index else (f"{key}left", f"{key}right")
    parts[name] = tuple(index[k] for k in keys if k in index)
  return parts


def to_arkit(weights: np.ndarray, blendshape_names: Sequence[str]) -> np.ndarray:
  """A template's coefficients [F, K] as ARKit's [F, 52], in ARKIT_NAMES' order."""
  parts = arkit_parts(blendshape_names)
  weights = np.asarray(weights)
  columns = [
    weights[:, list(parts[name])].mean(axis=1) if parts[name] else 0 * weights[:, 0]
    for name in ARKIT_NAMES
  ]
  return np.stack(columns, axis=1)


def from_arkit(weights: np.ndarray, blendshape_names: Sequence[str]) -> np.ndarray:
  """ARKit's coefficients [F, 52] as a template's [F, K]; 0 where ARKit has none."""
  weights = np.asarray(weights)
  own = np.zeros([len(weights), len(blendshape_names)], weights.dtype)
  for column, indices in enumerate(arkit_parts(blendshape_names).values()):
    own[:, list(indices)] = weights[:, column : column + 1]
  return own
