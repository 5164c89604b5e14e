"""Reading Wavefront OBJ: vertices, texture coordinates and polygons.

What an importer reads first. Positions stay in the file's own unit; texture coordinates
keep OBJ's origin at the bottom left. Indices count from 0 here, from 1 in the file.
"""

import os
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError


class ObjMesh(NamedTuple):
  """The shape in one OBJ file; polygon i has the corners starts[i]:starts[i + 1]."""

  vertices: np.ndarray  # [V, 3] float64
  uv: np.ndarray  # [X, 2] float64, (0, 0) at the bottom left; may exceed 1 (tiles)
  corners: np.ndarray  # [C] int, index into vertices
  corner_uv: np.ndarray  # [C] int, index into uv, -1 where the file gives none
  starts: np.ndarray  # [F + 1] int

  def first_polygons(self, count: int) -> "ObjMesh":
    """The mesh with its first `count` polygons only; vertices are kept."""
    end = self.starts[count]
    return self._replace(
      corners=self.corners[:end],
      corner_uv=self.corner_uv[:end],
      starts=self.starts[: count + 1],
    )


def read_vertices(path: str) -> np.ndarray:
  """Only the positions, [V, 3] float64; fast, for the shapes beside a neutral.

  Raises:
    UserError: the file cannot be read, or has a line that is no position.
  """
  return _table(_lines(path).get(b"v", []), 3, path)


def read_obj(path: str) -> ObjMesh:
  """Reads a whole file.

  Raises:
    UserError: the file cannot be read, is damaged, or has no polygon.
  """
  lines = _lines(path)
  vertices = _table(lines.get(b"v", []), 3, path)
  uv = _table(lines.get(b"vt", []), 2, path)
  faces = lines.get(b"f", [])
  if not len(faces):
    raise UserError(f"{path} has no polygons; give an OBJ file with a mesh.")
  words = [line.split() for line in faces]
  starts = np.concatenate([[0], np.cumsum([len(w) for w in words])])
  try:
    indices = [_corner(word) for row in words for word in row]
    corners, corner_uv = np.array(indices, np.int64).T
  except ValueError as error:
    raise UserError(f"{path} has a polygon that cannot be read ({error}).") from error
  # Negative indices count backwards from the last one read; -1 marks "none" below.
  corners = np.where(corners < 0, corners + len(vertices), corners - 1)
  corner_uv = np.where(corner_uv < 0, corner_uv + len(uv), corner_uv - 1)
  if corners.min() < 0 or corners.max() >= len(vertices) or corner_uv.max() >= len(uv):
    raise UserError(f"{path} has a polygon that points beyond its vertices.")
  if (np.diff(starts) < 3).any():
    raise UserError(f"{path} has a polygon of fewer than three corners.")
  return ObjMesh(vertices, uv, corners, corner_uv, starts)


def _corner(word: bytes) -> tuple[int, int]:
  """b"3/7/1" -> (3, 7); without a texture coordinate (3, 0)."""
  parts = word.split(b"/")
  return int(parts[0]), int(parts[1]) if len(parts) > 1 and parts[1] else 0


def _lines(path: str) -> dict[bytes, list[bytes]]:
  """The rests of a file's lines by their keyword, in order."""
  if not os.path.isfile(path):
    raise UserError(f"There is no file {path}.")
  with open(path, "rb") as file:
    text = file.read()
  found = {b"v": [], b"vt": [], b"f": []}
  for line in text.splitlines():
    keyword, _, rest = line.partition(b" ")
    if keyword in found:
      found[keyword].append(rest)
  return found


def _table(rows: list[bytes], columns: int, path: str) -> np.ndarray:
  """The first `columns` numbers of each row."""
  if not rows:
    return np.zeros([0, columns])
  try:
    values = np.array(b" ".join(rows).split(), np.float64)
    return values.reshape(len(rows), -1)[:, :columns].reshape(len(rows), columns)
  except ValueError as error:
    raise UserError(f"{path} has a line that cannot be read ({error}).") from error
