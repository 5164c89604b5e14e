"""Left and right exchanged: landmarks and blendshapes of a face seen in a mirror."""

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


def mirrored_blendshapes(names: Sequence[str]) -> list[int]:
  """For each blendshape the one that moves the other side alike.

  Args:
    names: such as mouthSmile_L, mouthSmileLeft or jawOpen, which is its own mirror
      image. jawLeft and jawRight, mouthLeft and mouthRight are each other's too.

  Returns:
    K indices; taken twice they are the identity.

  Raises:
    ValueError: a side without the other one.
  """
  index = {name: i for i, name in enumerate(names)}
  mirrored = []
  for i, name in enumerate(names):
    other = name
    for pair in _SIDES:
      for here, there in (pair, pair[::-1]):
        if name.endswith(here):
          other = name.removesuffix(here) + there
    if other not in index:
      raise ValueError(f"there is no blendshape {other!r} to mirror {name!r}")
    mirrored.append(index.get(other, i))
  return mirrored
