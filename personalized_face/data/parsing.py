"""Parsing maps: one class of core.types.PARSING_CLASSES for each pixel of a crop.

By default from the polygons of the dense face mesh; or read from the label PNGs of any
parser, whose classes a file in data_specs/labels maps to ours. A mesh's polygons do not
see hair, hands or glasses in front of the face: those pixels count as skin.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.errors import UserError
from personalized_face.core.types import PARSING_CLASSES
from personalized_face.data import specs
from personalized_face.data.video import decode_picture, file_bytes

# Painted in this order, each over the ones before: where regions of a turned head
# overlap in the picture, the nose is in front.
_POLYGONS = (
  ("brows", regions.LEFT_BROW),
  ("brows", regions.RIGHT_BROW),
  ("eyes", regions.LEFT_EYE),
  ("eyes", regions.RIGHT_EYE),
  ("upper_lip", regions.UPPER_LIP),
  ("lower_lip", regions.LOWER_LIP),
  ("inner_mouth", regions.LIPS_INNER),
  ("nose", regions.NOSE),
)


def parse_mesh(points: np.ndarray, height: int, width: int) -> np.ndarray:
  """The parsing map of a face mesh.

  Args:
    points: [478, 2 or 3] pixels of the picture, x right, y down.
    height, width: of the picture.

  Returns:
    [height, width] uint8, index into PARSING_CLASSES.
  """
  labels = np.zeros([height, width], np.uint8)
  # Not the face oval: a turned head shows nose, lips and cheek beyond its points. Skin
  # is all that any triangle of the mesh covers.
  surface = union_mask(points[mesh_triangles(), :2], height, width)
  labels[surface] = PARSING_CLASSES.index("skin")
  for name, indices in _POLYGONS:
    inside = polygon_mask(points[list(indices), :2], height, width)
    labels[inside] = PARSING_CLASSES.index(name)
  return labels


def polygon_mask(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
  """The pixels whose centres lie inside a polygon, by the non-zero winding rule.

  Unlike `cv2.fillPoly`, which adds the outline to the inside, a polygon without area
  (a shut mouth) covers nothing. Non-zero: a region that a turned head folds over
  itself stays filled.

  Args:
    polygon: [P, 2] corners, pixels, either direction; the last joins the first.
    height, width: of the mask.

  Returns:
    [height, width] bool.
  """
  return _winding(polygon, np.roll(polygon, -1, axis=0), height, width) != 0


def union_mask(triangles: np.ndarray, height: int, width: int) -> np.ndarray:
  """The pixels whose centres lie in any of some triangles.

  Args:
    triangles: [T, 3, 2] corners, pixels, in either direction.
    height, width: of the mask.

  Returns:
    [height, width] bool.
  """
  a, b, c = np.moveaxis(triangles, 1, 0)
  area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
  # All in one direction, so that windings add up and never cancel.
  turned = np.where((area < 0)[:, None, None], triangles[:, ::-1], triangles)
  start, end = turned.reshape(-1, 2), np.roll(turned, -1, axis=1).reshape(-1, 2)
  return _winding(start, end, height, width) != 0


def _winding(start: np.ndarray, end: np.ndarray, height: int, width: int) -> np.ndarray:
  """Winding number of closed lines, edges [E, 2] to [E, 2], round each pixel centre."""
  start, end = start.astype(np.float64), end.astype(np.float64)
  # The rows whose centre line an edge crosses, each with each edge that does.
  low = np.minimum(start[:, 1], end[:, 1])
  high = np.maximum(start[:, 1], end[:, 1])
  first = np.clip(np.ceil(low - 0.5), 0, height).astype(int)
  count = np.clip(np.ceil(high - 0.5), 0, height).astype(int) - first
  edge = np.repeat(np.arange(len(start)), count)
  row = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
  share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
  x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
  # The first pixel whose centre is right of the crossing.
  column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
  winding = np.zeros([height, width + 1], np.int32)
  np.add.at(winding, (row, column), np.where(start[edge, 1] < end[edge, 1], 1, -1))
  return np.cumsum(winding, axis=1)[:, :width]


@functools.cache
def mesh_triangles() -> np.ndarray:
  """The triangles of the dense mesh, [T, 3] indices: all 3-cycles of its edges."""
  from mediapipe.python.solutions import face_mesh_connections

  neighbours: dict[int, set[int]] = {}
  for a, b in face_mesh_connections.FACEMESH_TESSELATION:
    neighbours.setdefault(a, set()).add(b)
    neighbours.setdefault(b, set()).add(a)
  return np.array(
    [
      (a, b, c)
      for a in sorted(neighbours)
      for b in sorted(n for n in neighbours[a] if n > a)
      for c in sorted(neighbours[a] & neighbours[b])
      if c > b
    ]
  )


def read_label_png(path: str, order: str) -> np.ndarray:
  """Reads another parser's label image as a parsing map.

  Args:
    path: single-channel PNG, one class number a pixel.
    order: which numbering it uses, the name of a file in data_specs/labels, such as
      "celebamask_hq" or "face_parsing_pytorch". There are two in the wild, and mixing
      them goes unnoticed; so it has no default.

  Returns:
    [H, W] uint8, index into PARSING_CLASSES.

  Raises:
    UserError: not a readable single-channel image, unknown order, unknown numbers.
  """
  table = label_table(order)
  image = decode_picture(file_bytes(path), cv2.IMREAD_UNCHANGED)
  if image is None or image.ndim != 2 or image.dtype.kind != "u":
    raise UserError(f"{path} is not a single-channel label image; give a grey PNG.")
  if image.max() >= len(table):
    raise UserError(
      f"{path} has the label {image.max()}, but the order {order!r} ends at "
      f"{len(table) - 1}; name the order that this parser uses."
    )
  return table[image]


def label_table(order: str) -> np.ndarray:
  """For each class number of another parser ours, [classes] uint8."""
  spec = specs.load("labels", order, required=("source", "licence", "classes"))
  if not isinstance(spec["classes"], list):
    raise UserError(f"data_specs/labels/{order}.yaml needs a list under classes.")
  return np.array([_our_class(order, entry) for entry in spec["classes"]], np.uint8)


def _our_class(order: str, entry: Sequence[str]) -> int:
  is_pair = isinstance(entry, list) and len(entry) == 2
  if not is_pair or entry[1] not in PARSING_CLASSES:
    raise UserError(
      f"data_specs/labels/{order}.yaml maps {entry!r}; write [their name, our name], "
      f"ours one of {', '.join(PARSING_CLASSES)}."
    )
  return PARSING_CLASSES.index(entry[1])
