"""The openings of a face mesh: which border is which, and strips that close them."""

from typing import NamedTuple

import numpy as np

from personalized_face.core import topology
from personalized_face.core.errors import UserError

# iBUG landmarks round each opening.
_AROUND = {
  "mouth": slice(48, 68),
  "left_eye": slice(42, 48),
  "right_eye": slice(36, 42),
}
# A border counts as an opening if its middle is nearer to the landmarks' middle than
# this share of their width, and if it is not much larger than they are.
_NEAR = 0.6
_LARGEST = 1.8


class Rims(NamedTuple):
  """The two rims of an opening, each from the smaller u to the larger, ends shared."""

  upper: np.ndarray  # [S] vertices
  lower: np.ndarray  # [S'] vertices


def find_openings(
  vertices: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray
) -> dict[str, np.ndarray]:
  """Finds the borders of mouth and eyes by the landmarks round them.

  Args:
    vertices: [V, 3].
    triangles: [T, 3] int, welded: seams are no borders.
    landmarks: [68] vertices, iBUG order.

  Returns:
    "mouth", "left_eye", "right_eye" -> [S] vertices in the border's order; without
    those that the mesh keeps closed.

  Raises:
    UserError: borders meet in one vertex.
  """
  try:
    loops = topology.boundary_loops(triangles)
  except ValueError as error:
    raise UserError(
      f"The mesh is not a clean surface: {error}; repair it in a modelling program."
    ) from error
  found = {}
  for name, around in _AROUND.items():
    marks = vertices[landmarks[around]]
    width = np.ptp(marks, axis=0).max()
    near = []
    for loop in loops:
      distance = np.linalg.norm(vertices[loop].mean(0) - marks.mean(0))
      if (
        distance < _NEAR * width and np.ptp(vertices[loop], 0).max() < _LARGEST * width
      ):
        near.append((distance, loop))
    if near:
      found[name] = min(near, key=lambda pair: pair[0])[1]
  return found


def split_rims(loop: np.ndarray, uv: np.ndarray) -> Rims:
  """Cuts a border into an upper and a lower rim at its outermost vertices in u.

  Args:
    loop: [S] vertices in order.
    uv: [V, 2], v down.
  """
  loop = np.roll(loop, -int(np.argmin(uv[loop, 0])))
  end = int(np.argmax(uv[loop, 0]))
  one = loop[: end + 1]
  other = np.concatenate([loop[:1], loop[: end - 1 : -1]])
  if uv[one, 1].mean() > uv[other, 1].mean():
    one, other = other, one
  return Rims(one, other)


def closing_strip(rims: Rims, uv: np.ndarray) -> np.ndarray:
  """Zips the rims together, [E, 3] int32, counter-clockwise seen from outside.

  Args:
    rims: of one opening.
    uv: [V, 2], v down and u to the person's left, so outside is clockwise in (u, v).
  """
  upper, lower = rims
  triangles, i, j = [], 0, 0
  while i < len(upper) - 1 or j < len(lower) - 1:
    above = uv[upper[i + 1], 0] if i < len(upper) - 1 else np.inf
    below = uv[lower[j + 1], 0] if j < len(lower) - 1 else np.inf
    if above <= below:
      triangles.append((upper[i], lower[j], upper[i + 1]))
      i += 1
    else:
      triangles.append((upper[i], lower[j], lower[j + 1]))
      j += 1
  return np.array([t for t in triangles if len(set(t)) == 3], np.int32).reshape(-1, 3)
