"""Reading scans and other people's meshes; their vertices stay in the file's order.

OBJ and VRML 2.0 are read by our own code, since libraries split vertices at texture
seams or drop unused ones, and correspondences count on the order; PLY is read by
trimesh.
"""

import os
import re
import warnings
from typing import NamedTuple

import numpy as np

from personalized_face.authoring import obj_files
from personalized_face.core.errors import UserError

MESH_EXTENSIONS = (".obj", ".ply", ".wrl")


class Mesh(NamedTuple):
  """Vertices in the file's unit."""

  vertices: np.ndarray  # [V, 3] float64
  triangles: np.ndarray  # [T, 3] int64; [0, 3] for a cloud of points


def read_mesh(path: str) -> Mesh:
  """Reads a mesh by its ending; polygons become fans of triangles.

  Raises:
    UserError: missing, damaged, without vertices, or of another kind.
  """
  ending = os.path.splitext(path)[1].lower()
  if ending not in MESH_EXTENSIONS:
    raise UserError(f"{path} is not a mesh; give one of {', '.join(MESH_EXTENSIONS)}.")
  readers = {".obj": obj_files.read_triangles, ".ply": _read_ply, ".wrl": _read_wrl}
  try:
    vertices, triangles = readers[ending](path)
    mesh = Mesh(
      np.asarray(vertices, np.float64).reshape(-1, 3),
      np.asarray(triangles, np.int64).reshape(-1, 3),
    )
  except UserError:
    raise
  except Exception as error:  # trimesh raises a dozen kinds on damaged bytes
    raise UserError(f"{path} is not a readable mesh ({error}).") from error
  count = len(mesh.vertices)
  if not count or not np.isfinite(mesh.vertices).all():
    raise UserError(f"{path} has no vertices, or some that are not finite.")
  corners = mesh.triangles
  if corners.size and not 0 <= corners.min() <= corners.max() < count:
    raise UserError(f"{path} has a triangle that points outside its {count} vertices.")
  return mesh


def read_landmarks(path: str) -> dict[int, np.ndarray]:
  """Some of the 68 iBUG points of a scan: a line "index x y z" for each.

  Args:
    path: a text file; "#" begins a comment, the index is 0-based.

  Returns:
    {iBUG index: [3] in the file's unit}.

  Raises:
    UserError: missing, not such a file, or fewer than three points.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of an empty file, which is told below
      rows = np.loadtxt(path, ndmin=2)
  except (OSError, ValueError) as error:
    raise UserError(f"{path} is not a readable list of points ({error}).") from error
  indices = rows[:, 0] if rows.size else np.zeros(0)
  if rows.shape[0] < 3 or rows.shape[1] != 4:
    raise UserError(f"{path} needs at least three lines of `index x y z`.")
  if not np.isfinite(rows[:, 1:]).all():
    raise UserError(f"{path} has a point that is not finite.")
  if np.any(indices != np.round(indices)) or indices.min() < 0 or indices.max() > 67:
    raise UserError(f"{path} has an index that is no iBUG number from 0 to 67.")
  return {int(index): row for index, row in zip(indices, rows[:, 1:], strict=True)}


def _read_ply(path: str) -> tuple[np.ndarray, np.ndarray]:
  import trimesh

  # Without materials, which name files to open.
  loaded = trimesh.load(path, process=False, skip_materials=True)
  faces = getattr(loaded, "faces", np.zeros([0, 3], np.int64))
  return np.asarray(loaded.vertices), np.asarray(faces)


def _read_wrl(path: str) -> tuple[np.ndarray, np.ndarray]:
  with open(path, encoding="ascii", errors="replace") as file:
    text = file.read()
  if not text.startswith("#VRML"):
    raise ValueError("it does not begin with #VRML")
  text = re.sub(r"#[^\n]*", "", text)
  points = re.search(r"\bpoint\s*\[([^\]]*)\]", text)
  faces = re.search(r"\bcoordIndex\s*\[([^\]]*)\]", text)
  if points is None:
    raise ValueError("it has no point [...]")
  vertices = np.array(points[1].replace(",", " ").split(), np.float64)
  words = (faces[1] if faces else "").replace(",", " ").split()
  indices = np.array(words, np.int64)
  inside = indices != -1  # which ends a polygon
  ends = np.concatenate([np.cumsum(inside)[~inside], [inside.sum()]])
  starts = np.concatenate([[0], ends])
  return vertices, obj_files.fan_triangles(indices[inside], starts)
