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
  return _table(_lines(path)[b"v"], 3, path)


def read_triangles(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Positions [V, 3] and polygons as fans of triangles [T, 3]; no texture.

  A file without polygons is a cloud of points.

  Raises:
    UserError: the file cannot be read or is damaged.
  """
  lines = _lines(path)
  vertices = _table(lines[b"v"], 3, path)
  if not lines[b"f"]:
    return vertices, np.zeros([0, 3], np.int64)
  corners, starts = _polygons(lines, 0, path)
  return vertices, fan_triangles(corners, starts)


def read_obj(path: str) -> ObjMesh:
  """Reads a whole file.

  Raises:
    UserError: the file cannot be read, is damaged, or has no polygon.
  """
  lines = _lines(path)
  if not lines[b"f"]:
    raise UserError(f"{path} has no polygons; give an OBJ file with a mesh.")
  vertices, uv = _table(lines[b"v"], 3, path), _table(lines[b"vt"], 2, path)
  corners, starts = _polygons(lines, 0, path)
  corner_uv, _ = _polygons(lines, 1, path)
  if (np.diff(starts) < 3).any():
    raise UserError(f"{path} has a polygon of fewer than three corners.")
  return ObjMesh(vertices, uv, corners, corner_uv, starts)


def fan_triangles(corners: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Polygons as triangles 0 1 2, 0 2 3, ... of their corners, in their order.

  Args:
    corners: [C], one polygon after the other.
    starts: [F + 1] where each begins; one of fewer than three corners gives none.

  Returns:
    [T, 3].
  """
  counts = np.maximum(np.diff(starts) - 2, 0)
  first = np.repeat(starts[:-1], counts)
  within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
  return corners[np.stack([first, first + within + 1, first + within + 2], axis=-1)]


def _polygons(
  lines: dict[bytes, list], part: int, path: str
) -> tuple[np.ndarray, np.ndarray]:
  """One of the numbers of the corners a/b/c, from 0, and where the polygons begin.

  Args:
    lines: of the file.
    part: 0 for positions, 1 for texture coordinates.
    path: named in errors.

  Returns:
    [C], -1 where a corner has no such number, and [F + 1].
  """
  words = [rest.split() for rest, _ in lines[b"f"]]
  sizes = [len(row) for row in words]
  try:
    numbers = [_number(word, part) for row in words for word in row]
    numbers = np.array(numbers, np.int64)
  except (ValueError, OverflowError) as error:
    reason = str(error)[:200]  # which quotes the word, of any length
    raise UserError(f"{path} has a polygon that cannot be read ({reason}).") from error
  # Negative ones count back from the last one read before the polygon.
  back = numbers + np.repeat([read[part] for _, read in lines[b"f"]], sizes)
  indices = np.select([numbers >= 0, back >= 0], [numbers - 1, back], -2)
  count = len(lines[(b"v", b"vt")[part]])
  least = 0 if part == 0 else -1
  if indices.size and not least <= indices.min() <= indices.max() < count:
    what = ("vertices", "texture coordinates")[part]
    raise UserError(f"{path} has a polygon that points outside its {count} {what}.")
  return indices, np.concatenate([[0], np.cumsum(sizes)])


def _number(word: bytes, part: int) -> int:
  """b"3/7/1" -> 3 or 7; 0 where there is none."""
  parts = word.split(b"/")
  return int(parts[part] or 0) if part < len(parts) else 0


def _lines(path: str) -> dict[bytes, list]:
  """The rests of a file's lines by their keyword, in order.

  A polygon's with how many positions and texture coordinates were read before it.
  """
  if not os.path.isfile(path):
    raise UserError(f"There is no file {path}.")
  with open(path, "rb") as file:
    text = file.read()
  positions, uv, polygons = [], [], []
  for line in text.splitlines():
    keyword, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
    if keyword == b"v":
      positions.append(rest)
    elif keyword == b"vt":
      uv.append(rest)
    elif keyword == b"f":
      polygons.append((rest, (len(positions), len(uv))))
  return {b"v": positions, b"vt": uv, b"f": polygons}


def _table(rows: list[bytes], columns: int, path: str) -> np.ndarray:
  """The first `columns` numbers of each row."""
  if not rows:
    return np.zeros([0, columns])
  try:
    values = np.array(b" ".join(rows).split(), np.float64)
    values = values.reshape(len(rows), -1)[:, :columns].reshape(len(rows), columns)
    if not np.isfinite(values).all():
      raise ValueError("a number is not finite")
    return values
  except ValueError as error:
    reason = str(error)[:200]
    raise UserError(
      f"{path} is not a readable mesh: a line of it cannot be read ({reason})."
    ) from error
