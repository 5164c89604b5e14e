"""What several test modules share: a face template small enough for every test.

Used as `from helpers import toy_template`; tests/conftest.py puts this folder on the
path.
"""

import functools

import numpy as np

from personalized_face.core.types import NUM_LANDMARKS, NUM_PARSING_CLASSES
from personalized_face.template.face_template import FaceTemplate

_SIDE = 8  # vertices along each side of the grid
_HOLES = ((2, 1), (2, 5), (5, 3))  # (row, column) of the cells left open: eyes, mouth
_MARGIN = 0.08  # of the UV square, kept free around the chart
_LANDMARK_STEP = 7  # coprime to 64: the 68 landmarks visit every vertex


@functools.lru_cache(maxsize=8)
def toy_template(uv_size: int = 16, name: str = "toy") -> FaceTemplate:
  """An 8 x 8 grid, 2 dm wide, that bulges towards the viewer; 3 blendshapes.

  Vertex (row r, column c) has index 8 r + c; row 0 is the top, column 0 the person's
  right, the image's left. 92 triangles and 3 square holes of 2 triangles each. The
  blendshapes are local: "jawOpen" moves the lowest three rows down, "smile_L" and
  "smile_R" move one half each, and mirror each other.

  Args:
    uv_size: U, texels.
    name: of the template; it is no part of the hash.
  """
  rows, columns = np.mgrid[0:_SIDE, 0:_SIDE]
  x = columns.ravel() / (_SIDE - 1) * 2 - 1
  y = 1 - rows.ravel() / (_SIDE - 1) * 2
  vertices = np.stack([x, y, 0.8 * np.cos(1.2 * x) * np.cos(1.2 * y)], -1)
  triangles, hole_triangles = _grid_triangles()
  uv = np.stack([(x + 1) / 2, (1 - y) / 2], -1) * (1 - 2 * _MARGIN) + _MARGIN
  return FaceTemplate(
    name=name,
    source="tests/helpers.py",
    licence="Apache-2.0",
    vertices=vertices.astype(np.float32),
    triangles=triangles,
    hole_triangles=hole_triangles,
    uv=uv.astype(np.float32),
    blendshape_names=("jawOpen", "smile_L", "smile_R"),
    blendshape_deltas=_blendshape_deltas(x, y),
    attention_masks=_attention_masks(uv_size),
    mean_albedo=_mean_albedo(uv_size),
    parsing_map=_parsing_map(uv_size),
    landmark_vertices=(
      np.arange(NUM_LANDMARKS) * _LANDMARK_STEP % len(vertices)
    ).astype(np.int32),
    mirror_vertices=(rows * _SIDE + _SIDE - 1 - columns).ravel().astype(np.int32),
  )


def _grid_triangles() -> tuple[np.ndarray, np.ndarray]:
  """Two counter-clockwise triangles a cell: the surface's, and those of the holes."""
  surface, holes = [], []
  for row in range(_SIDE - 1):
    for column in range(_SIDE - 1):
      a = row * _SIDE + column  # a b   top
      b, c, d = a + 1, a + _SIDE, a + _SIDE + 1  # c d   bottom
      cell = holes if (row, column) in _HOLES else surface
      cell += [[a, c, b], [b, c, d]]
  return np.array(surface, np.int32), np.array(holes, np.int32)


def _blendshape_deltas(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """[3, 64, 3] decimetres."""
  zeros = np.zeros_like(x)
  jaw = np.where(y < -0.4, 0.3 * (-0.4 - y), 0)
  left, right = 0.2 * np.maximum(x - 0.1, 0), 0.2 * np.maximum(-x - 0.1, 0)
  deltas = [
    np.stack([zeros, -jaw, zeros], -1),
    np.stack([left, 0.5 * left, zeros], -1),
    np.stack([-right, 0.5 * right, zeros], -1),
  ]
  return np.stack(deltas).astype(np.float32)


def _texel_centres(uv_size: int) -> tuple[np.ndarray, np.ndarray]:
  """[U, U] v (down) and u (right) of each texel's centre."""
  centres = (np.arange(uv_size) + 0.5) / uv_size
  return np.meshgrid(centres, centres, indexing="ij")


def _attention_masks(uv_size: int) -> np.ndarray:
  """[U, U, 3] ramps in [0, 1] where the blendshapes move something."""
  v, u = _texel_centres(uv_size)
  ramps = [v * 2 - 1, u * 2 - 1, 1 - u * 2]
  return np.clip(np.stack(ramps, -1) * 1.3, 0, 1).astype(np.float32)


def _mean_albedo(uv_size: int) -> np.ndarray:
  """[U, U, 3] a skin tone with a gradient, so that a mirrored lookup shows."""
  v, u = _texel_centres(uv_size)
  shade = 0.8 + 0.2 * u[..., None] - 0.2 * v[..., None]
  return (shade * np.array([0.7, 0.5, 0.4])).astype(np.float32)


def _parsing_map(uv_size: int) -> np.ndarray:
  """[U, U, P] one-hot: vertical bands of the classes other than background."""
  _, u = _texel_centres(uv_size)
  classes = 1 + np.floor(u * (NUM_PARSING_CLASSES - 1)).astype(int)
  return np.eye(NUM_PARSING_CLASSES, dtype=np.float32)[classes]
