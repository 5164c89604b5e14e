"""Contact sheets of a reconstruction, and the face put back into the source picture."""

import cv2
import numpy as np

from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.types import PersonModel, Rendering, Tracking
from personalized_face.data.crop import Square
from personalized_face.inference import pictures
from personalized_face.inference.render import ClipRenderer, FacePicture
from personalized_face.inference.track import to_float

# A sheet's novel views, degrees of yaw: 2D figures cannot tell a torn mesh from a good
# one, the view from the side can (DESIGN section 6, point 1).
NOVEL_YAWS_DEG = (-40.0, 40.0)
_NOVEL_LABELS = tuple(f"shape {yaw:+.0f} deg" for yaw in NOVEL_YAWS_DEG)


def contact_sheet(
  renderer: ClipRenderer,
  person: PersonModel,
  tracking: Tracking,
  crops: np.ndarray,
  names: list[str],
  num_rows: int = 7,
) -> np.ndarray:
  """Frames spread over a motion: Supp. Fig. 1's columns and two novel views.

  Args:
    renderer: of the system.
    person: without B.
    tracking: [F, ...].
    crops: [F, S, S, 3] uint8.
    names: F row labels.
    num_rows: at most so many frames.

  Returns:
    [height, width, 3] uint8.
  """
  picked = pictures.spread(len(crops), num_rows)
  tracking = Tracking(*(np.asarray(value)[picked] for value in tracking))
  frames = renderer.all(person, tracking)
  parts = [pictures.columns(to_float(crops[picked]), frames.rendering)]
  for yaw in NOVEL_YAWS_DEG:
    novel = renderer.all(person, _turned(tracking, frames.vertices, np.radians(yaw)))
    parts.append(pictures.shape_picture(novel.rendering))
  return pictures.sheet(
    np.concatenate(parts, axis=2),
    pictures.COLUMN_LABELS + _NOVEL_LABELS,
    [names[i] for i in picked],
  )


def _turned(tracking: Tracking, vertices: np.ndarray, yaw: float) -> Tracking:
  """The same faces upright in the middle of the picture, turned by yaw (radians)."""

  def place(rotation):  # of the middle of each mesh
    return np.einsum("fij,fj->fi", rotation_matrix(rotation), vertices.mean(axis=1))

  depth = (place(tracking.rotation) + tracking.translation)[:, 2]
  rotation = np.zeros_like(tracking.rotation)
  rotation[:, 1] = yaw
  on_axis = np.stack([np.zeros_like(depth), np.zeros_like(depth), depth], axis=-1)
  return tracking._replace(rotation=rotation, translation=on_axis - place(rotation))


def into_source(
  picture: np.ndarray, rendering: Rendering | FacePicture, square: Square
) -> np.ndarray:
  """Composites a face rendered in its crop onto the whole source picture.

  Args:
    picture: [H, W, 3] uint8 RGB, the source.
    rendering: of one frame, [S, S, ...], numpy.
    square: of the crop in the source.

  Returns:
    [H, W, 3] uint8.
  """
  result = picture.copy()
  scale = square.side / rendering.mask.shape[0]
  # Beyond a pixel of the crop round its square there is nothing to draw.
  x0, y0, x1, y1 = square.box
  columns = _whole(x0 - scale, x1 + scale, picture.shape[1])
  rows = _whole(y0 - scale, y1 + scale, picture.shape[0])
  part = result[rows, columns]
  if not part.size:
    return result
  # OpenCV's coordinates have pixel centres at integers, ours at .5.
  offset = np.array(square[:2]) + 0.5 * scale - 0.5 - (columns.start, rows.start)
  matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
  face = np.clip(rendering.image, 0.0, 1.0) * rendering.mask[..., np.newaxis]
  layers = np.concatenate([face, rendering.mask[..., np.newaxis]], axis=-1)
  # Colour times mask and mask are warped alike, so the border blends without a fringe.
  size = part.shape[1], part.shape[0]
  layers = cv2.warpAffine(layers, matrix, size, flags=cv2.INTER_LINEAR)
  face, mask = layers[..., :3], layers[..., 3:]
  part[...] = pictures.to_uint8(face + (1.0 - mask) * (part / np.float32(255)))
  return result


def _whole(low: float, high: float, size: int) -> slice:
  """The whole pixels from `low` to `high` that a side of `size` pixels has."""
  start, stop = (int(np.clip(edge, 0, size)) for edge in (low // 1, -(-high // 1)))
  return slice(start, stop)
