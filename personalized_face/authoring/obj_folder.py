"""Anybody's blendshapes as a face template: a folder of OBJ files, or a glTF file.

The folder holds a neutral and one OBJ per expression, all with the same vertices in the
same order; a shape's name is its file's. Axes: y up, the face looking along +z.
"""

import glob
import os

import numpy as np

from personalized_face.authoring import gltf_files, import_mesh, obj_files, placement
from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.template.face_template import FaceTemplate

GLTF_ENDINGS = (".glb", ".gltf")
MM_PER_DM = 100.0
# A shape whose vertices move by more than this share of the mesh's size at the median
# is no expression, but a mesh in another place, unit or pose.
_MOST_MOVED = 0.2


def build_folder_template(
  path: str,
  detect: placement.Detect | None,
  landmarks_path: str | None = None,
  mm_per_unit: float | None = None,
  licence: str = "unknown",
) -> FaceTemplate:
  """Builds the template.

  Args:
    path: a folder of OBJ files or with one glTF file, or that file.
    detect: see `import_mesh.build_template`.
    landmarks_path: see `read_landmarks`; None: the detector finds them.
    mm_per_unit: length of the files' unit; None: the one of millimetre, inch,
      centimetre, decimetre and metre that makes the eyes lie as far apart as people's.
    licence: of the shapes, written into the template.

  Raises:
    UserError: names the file that is missing or does not match, and how.
  """
  if not os.path.exists(path):
    raise UserError(f"There is no {path}; give a folder of OBJ files or a glTF file.")
  gltf = _gltf_in(path)
  mesh, deltas = gltf_files.read_shapes(gltf) if gltf else _read_folder(path)
  _require_expressions(deltas, mesh.vertices, path)
  landmarks = None
  if landmarks_path:
    landmarks = read_landmarks(landmarks_path, mesh.vertices)
  name = os.path.splitext(os.path.basename(os.path.normpath(gltf or path)))[0]
  source = import_mesh.Source(
    name=name,
    source=f"the blendshapes in {os.path.basename(os.path.normpath(gltf or path))}",
    licence=licence,
    mesh=mesh,
    deltas=deltas,
    landmarks=landmarks,
    unit_dm=mm_per_unit / MM_PER_DM if mm_per_unit else None,
  )
  return import_mesh.build_template(source, detect)


def read_landmarks(path: str, vertices: np.ndarray) -> np.ndarray:
  """The 68 landmarks (iBUG order) from a text file.

  Args:
    path: 68 numbers are vertices, from 0 in the OBJ file's order; 204 are positions x y
      z in the mesh's unit. Apart by spaces, commas or lines; # starts a comment.
    vertices: [V, 3].

  Returns:
    [68] vertices.

  Raises:
    UserError: not such a file, or a vertex that the mesh does not have.
  """
  try:
    with open(path, encoding="utf-8") as file:
      text = " ".join(line.split("#")[0] for line in file).replace(",", " ")
    numbers = np.array(text.split(), np.float64)
    if not np.isfinite(numbers).all():
      raise ValueError("a number is not finite")
  except (OSError, ValueError) as error:
    raise UserError(f"The landmark file {path} cannot be read ({error}).") from error
  if len(numbers) == 3 * NUM_LANDMARKS:
    return placement.nearest_vertices(numbers.reshape(-1, 3), vertices)
  if len(numbers) != NUM_LANDMARKS or (numbers != np.round(numbers)).any():
    raise UserError(
      f"The landmark file {path} has {len(numbers)} numbers; it must have 68 vertex "
      "numbers or 68 positions."
    )
  if not 0 <= numbers.min() <= numbers.max() < len(vertices):
    raise UserError(
      f"The landmark file {path} has vertex {numbers.max():.0f} and the mesh "
      f"{len(vertices)} vertices, counted from 0."
    )
  return numbers.astype(np.int64)


def _gltf_in(path: str) -> str | None:
  """The one glTF file that is meant, or None for a folder of OBJ files."""
  if os.path.isfile(path):
    if path.lower().endswith(GLTF_ENDINGS):
      return path
    raise UserError(f"{path} is neither a folder nor a {' or '.join(GLTF_ENDINGS)}.")
  found = [
    name for name in sorted(os.listdir(path)) if name.lower().endswith(GLTF_ENDINGS)
  ]
  if not found or glob.glob(os.path.join(path, "*.obj")):
    return None
  if len(found) > 1:
    raise UserError(f"{path} has several glTF files; give one of them: {found}.")
  return os.path.join(path, found[0])


def _read_folder(folder: str) -> tuple[obj_files.ObjMesh, dict[str, np.ndarray]]:
  """The neutral and the displacements of the other shapes."""
  paths = sorted(glob.glob(os.path.join(folder, "*.obj")))
  names = [os.path.splitext(os.path.basename(path))[0] for path in paths]
  neutral = [name for name in names if name.lower() == "neutral"] or [
    name for name in names if "neutral" in name.lower()
  ]
  if len(neutral) != 1:
    raise UserError(
      f"{folder} has {len(neutral)} OBJ files with 'neutral' in their name; call the "
      "shape at rest neutral.obj."
    )
  mesh = obj_files.read_obj(os.path.join(folder, f"{neutral[0]}.obj"))
  deltas = {}
  for name, path in zip(names, paths, strict=True):
    if name == neutral[0]:
      continue
    vertices = obj_files.read_vertices(path)
    if len(vertices) != len(mesh.vertices):
      raise UserError(
        f"{path} has {len(vertices)} vertices and {neutral[0]}.obj "
        f"{len(mesh.vertices)}; export all shapes from one mesh."
      )
    deltas[name] = vertices - mesh.vertices
  return mesh, deltas


def _require_expressions(
  deltas: dict[str, np.ndarray], vertices: np.ndarray, path: str
) -> None:
  if not deltas:
    raise UserError(f"{path} has a neutral but no expression beside it.")
  size = np.ptp(vertices, axis=0).max()
  for name, delta in deltas.items():
    if not np.isfinite(delta).all():
      raise UserError(f"The shape {name!r} in {path} has values that are not finite.")
    if np.median(np.linalg.norm(delta, axis=-1)) > _MOST_MOVED * size:
      raise UserError(
        f"The shape {name!r} in {path} lies elsewhere than the neutral; export both in "
        "one place, unit and vertex order."
      )
