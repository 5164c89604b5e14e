"""Left and right exchanged: landmarks in a mirror, blendshapes' sides."""

from collections.abc import Sequence

# For each of the 68 iBUG landmarks the one on the other side.
MIRRORED_68 = (
  *range(16, -1, -1),  # jaw
  *range(26, 16, -1),  # brows
  *range(27, 31),  # nose bridge
  *range(35, 30, -1),  # nose wings
  *(45, 44, 43, 42, 47, 46),  # eye in the image's left
  *(39, 38, 37, 36, 41, 40),  # eye in the image's right
  *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # lips, outside
  *(64, 63, 62, 61, 60, 67, 66, 65),  # lips, inside
)
_SIDES = (("_L", "_R"), ("Left", "Right"))
# These end like a side, and are directions.
ONE_SIDED = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
# Both eyes look the same way: one towards the nose, the other away from it.
_OTHER_EYE = {"eyeLookIn": "eyeLookOut", "eyeLookOut": "eyeLookIn"}


def alike_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
  """What the two sides of a face mostly do together.

  Args:
    names: of a template, such as mouthSmile_L, mouthSmileLeft or jawOpen.

  Returns:
    Indices of left and right; a shape without the other side has no pair.
  """
  index = {name: i for i, name in enumerate(names)}
  pairs = []
  for left, right in _SIDES:
    for name in names:
      if name in ONE_SIDED or not name.endswith(left):
        continue
      stem = name.removesuffix(left)
      other = _OTHER_EYE.get(stem, stem) + right
      if other in index:
        pairs.append((index[name], index[other]))
  return pairs
