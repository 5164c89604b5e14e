"""ARKit's 52 blendshape coefficients and a template's, by name.

Apps and capture tools speak ARKit's names (`eyeBlinkLeft`); templates have their own
(`eyeBlink_L`). The correspondence is data: `data_specs/blendshapes/arkit_52.yaml`.

Three spellings of one name are in use: ARKit's documentation writes eyeBlinkLeft, ARKit
on a device and ICT-FaceKit eyeBlink_L, Live Link Face EyeBlinkLeft. They are compared
without case and underscores, a trailing _L or _R read as Left or Right; by whole names
only, since a comparison of beginnings takes a left one for a right one.
Left and right are the person's own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data import specs

DEFAULT_SPEC = "arkit_52"


def _pairs(stem: str, parts: Sequence[str]) -> tuple[str, ...]:
  return tuple(f"{stem}{part}{side}" for part in parts for side in ("Left", "Right"))


_EYE_PARTS = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
# ARFaceAnchor.BlendShapeLocation, Apple developer documentation, in the order of Live
# Link's packets.
ARKIT_NAMES = (
  *(f"eye{part}{side}" for side in ("Left", "Right") for part in _EYE_PARTS),
  *("jawForward", "jawLeft", "jawRight", "jawOpen"),
  *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
  *_pairs("mouth", ("Smile", "Frown", "Dimple", "Stretch")),
  *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
  *_pairs("mouth", ("Press", "LowerDown", "UpperUp")),
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


class ArkitMap(NamedTuple):
  """Which of a template's blendshapes make up each of ARKit's.

  Attributes:
    weights: [52, K], in the order of ARKIT_NAMES; a row of zeros where the template
      has nothing of the kind.
    absent: ARKit's names with such rows.
  """

  weights: np.ndarray
  absent: tuple[str, ...]

  def from_arkit(self, coefficients: np.ndarray) -> np.ndarray:
    """ARKit's coefficients [..., 52] to the template's [..., K], in [0, 1]."""
    ours = np.clip(coefficients @ self.weights, 0, 1)
    return ours.astype(np.result_type(coefficients, np.float32))

  def to_arkit(self, expression: np.ndarray) -> np.ndarray:
    """The template's coefficients [..., K] to ARKit's [..., 52].

    Where several of the template's make up one of ARKit's, their weighted mean; 0 for
    what is absent.
    """
    shares = self.weights / np.maximum(self.weights.sum(1, keepdims=True), 1e-12)
    return (expression @ shares.T).astype(np.result_type(expression, np.float32))


def arkit_map(
  blendshape_names: Sequence[str], name_or_path: str = DEFAULT_SPEC
) -> ArkitMap:
  """Reads the correspondence for a template.

  Where a template has nothing of what the spec says, but a shape of ARKit's own name,
  it is that one: what ARKit has as one (browInnerUp, cheekPuff) need not be split, and
  a mesh may have a tongue.

  Args:
    blendshape_names: the template's K names, in any of the spellings.
    name_or_path: of a spec in data_specs/blendshapes.

  Raises:
    UserError: the spec leaves an ARKit name out, names one twice or one that there is
      not, or has a weight outside (0, 1].
  """
  spec = specs.load("blendshapes", name_or_path, ("source", "blendshapes", "absent"))
  rows, absent = spec["blendshapes"], spec["absent"]
  if not isinstance(rows, dict) or not isinstance(absent, list):
    raise UserError(
      f"The spec {name_or_path} needs a mapping `blendshapes` and a list `absent`."
    )
  said = [*rows, *absent]
  for problem, names in (
    ("leaves out", [name for name in ARKIT_NAMES if name not in said]),
    ("has the unknown name", [name for name in said if name not in ARKIT_NAMES]),
    ("says twice", [name for name in rows if name in absent]),
  ):
    if names:
      raise UserError(f"The spec {name_or_path} {problem} {names[0]!r}.")
  index = {spelling_key(name): i for i, name in enumerate(blendshape_names)}
  weights = np.zeros([len(ARKIT_NAMES), len(blendshape_names)])
  for i, name in enumerate(ARKIT_NAMES):
    for ours, weight in _weights(name_or_path, name, rows.get(name, {})):
      if spelling_key(ours) in index:
        weights[i, index[spelling_key(ours)]] = weight
    if spelling_key(name) in index and not weights[i].any():
      weights[i, index[spelling_key(name)]] = 1
  missing = tuple(
    n for n, row in zip(ARKIT_NAMES, weights, strict=True) if not row.any()
  )
  return ArkitMap(weights, missing)


def _weights(spec: str, name: str, row) -> list[tuple[str, float]]:
  """The checked entries of one line."""
  entries = list(row.items()) if isinstance(row, dict) else [(row, None)]
  for ours, weight in entries:
    if not isinstance(weight, int | float) or not 0 < weight <= 1:
      raise UserError(
        f"The spec {spec} gives {name} as {ours}: {weight}; give weights in (0, 1]."
      )
  return entries
