"""A small head as ICT-FaceKit publishes one: quads, two UV tiles, openings, landmarks.

A bulging grid is the face, with openings for eyes and mouth; a collar hangs at its
lower edge, in UV tile 1. The unit is the centimetre.
"""

import json
import pathlib

import numpy as np

from personalized_face.authoring import control_points
from personalized_face.core import mediapipe_regions

SIDE = 49  # vertices along each side of the face
COLLAR = 5  # rows below it
FACE_POLYGONS = (SIDE - 1) ** 2 - 3 * 12
ALL_POLYGONS = FACE_POLYGONS + COLLAR * (SIDE - 1)
# First row, first column, rows, columns of cells left open: eyes and mouth.
_OPENINGS = ((15, 12, 2, 6), (15, 30, 2, 6), (32, 21, 2, 6))


def _grid():
  x, y = np.meshgrid(np.linspace(-7, 7, SIDE), np.linspace(10, -9.5, SIDE))
  down = np.arange(1, COLLAR + 1)[:, None] * np.ones(SIDE)
  x = np.concatenate([x, np.tile(x[-1], (COLLAR, 1))])
  y = np.concatenate([y, y[-1] - 0.6 * down])
  z = 3 - 0.09 * x**2 - 0.02 * y**2
  return np.stack([x, y, z], -1).reshape(-1, 3)


def neutral() -> np.ndarray:
  """[V, 3] cm."""
  return _grid()


def shapes() -> dict[str, np.ndarray]:
  """Name -> [V, 3] cm; the last one moves nothing, the one before only the collar."""
  base = _grid()
  x, y = base[:, 0], base[:, 1]
  moves = {
    "jawOpen": np.stack([0 * x, -np.maximum(-4 - y, 0) * (y > -9.6), 0 * x], -1),
    "smile_L": np.stack([np.maximum(x - 1, 0), 0 * x, 0 * x], -1) * 0.2,
    "smile_R": np.stack([np.minimum(x + 1, 0), 0 * x, 0 * x], -1) * 0.2,
    "collarUp": np.stack([0 * x, 0 * x, np.where(y < -9.6, 0.5, 0)], -1),
    "pupil": np.zeros_like(base),
  }
  return {name: base + move for name, move in moves.items()}


def landmarks() -> np.ndarray:
  """[68] the face's vertices nearest to the measured points."""
  points, _ = control_points.read_measurement(control_points.default_path())
  marks = 10 * points[list(mediapipe_regions.IBUG68), :2]
  face = _grid()[: SIDE * SIDE, :2]
  on_mesh = np.array([not _inside_opening(i) for i in range(SIDE * SIDE)])
  distance = np.linalg.norm(marks[:, None] - face[None], axis=-1)
  return np.where(on_mesh, distance, np.inf).argmin(1)


def _inside_opening(vertex: int) -> bool:
  row, column = divmod(vertex, SIDE)
  return any(
    r < row < r + rows and c < column < c + columns for r, c, rows, columns in _OPENINGS
  )


def polygons() -> list[list[tuple[int, int]]]:
  """Quads of (vertex, texture coordinate), from 1; the collar has coordinates of its
  own along the seam."""
  found = []
  for row in range(SIDE - 1 + COLLAR):
    tile = row >= SIDE - 1
    for column in range(SIDE - 1):
      if any(
        r <= row < r + rows and c <= column < c + columns
        for r, c, rows, columns in _OPENINGS
      ):
        continue
      a = row * SIDE + column + 1
      quad = (a, a + SIDE, a + SIDE + 1, a + 1)
      # Rows of texture coordinates: SIDE of the face, then COLLAR + 1 of the collar.
      found.append([(v, v + SIDE * tile) for v in quad])
  return found


def texture_coordinates() -> np.ndarray:
  """[X, 2] in OBJ's sense; the collar lies in tile 1."""
  u, v = np.meshgrid(np.linspace(0.1, 0.9, SIDE), np.linspace(0.9, 0.1, SIDE))
  cu, cv = np.meshgrid(np.linspace(1.1, 1.9, SIDE), np.linspace(0.6, 0.4, COLLAR + 1))
  return np.concatenate(
    [np.stack([u, v], -1).reshape(-1, 2), np.stack([cu, cv], -1).reshape(-1, 2)]
  )


def write_obj(path: pathlib.Path, vertices: np.ndarray, with_uv: bool = True) -> None:
  """Writes one shape."""
  lines = ["# a small head", *(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices)]
  if with_uv:
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in texture_coordinates()]
  pattern = "{}/{}" if with_uv else "{}"
  for quad in polygons():
    lines.append("f " + " ".join(pattern.format(v, t) for v, t in quad))
  path.write_text("\n".join(lines) + "\n")


def write_ict_folder(root: pathlib.Path) -> pathlib.Path:
  """Writes the whole folder; returns its root."""
  folder = root / "FaceXModel"
  folder.mkdir(parents=True)
  write_obj(folder / "generic_neutral_mesh.obj", neutral())
  for name, vertices in shapes().items():
    write_obj(folder / f"{name}.obj", vertices)
  write_obj(folder / "identity000.obj", neutral() * [1.1, 1, 1])
  indices = {"idx_to_landmark_verts": landmarks().tolist()}
  (folder / "vertex_indices.json").write_text(json.dumps(indices))
  return root
