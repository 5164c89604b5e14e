"""Foreign faces that are to be driven: read from OBJ folders, glTF and VRM.

    folder/*.obj          neutral.obj (or *neutral*.obj) and a file a blendshape
    FILE.obj              a bare mesh, without blendshapes
    FILE.glb .gltf .vrm   meshes with their morph targets, named by `targetNames`

Axes as in our own files: y up, the face looks along +z. Units are the file's own; OBJ,
which has none, is taken to be in the power of ten of a metre that makes its height
most like a head's. Shapes of a glTF's several meshes that share a name are one.
"""

import os
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face.authoring import obj_files
from personalized_face.core.errors import UserError
from personalized_face.data.gltf import DAMAGE, GltfFile, read_gltf
from personalized_face.data.gltf_nodes import shown_nodes, world_matrices

GLTF_EXTENSIONS = (".glb", ".gltf", ".vrm")
_HEAD_METRES = 0.25
_TRIANGLES = 4  # glTF's primitive mode
# Numbers in all displacements together: 300 shapes of 250,000 vertices. Shapes that a
# file only names and does not fill take no room in it, here each takes all vertices.
_MOST_NUMBERS = 1 << 28


class Character(NamedTuple):
  """A face with blendshapes, or a bare one that has none."""

  name: str
  vertices: np.ndarray  # [V, 3] float64, metres
  triangles: np.ndarray  # [T, 3] int
  names: tuple[str, ...]  # K'
  displacements: np.ndarray  # [K', V, 3] float64, metres
  gltf: GltfFile | None = None  # the file that it was read from


def is_character(path: str) -> bool:
  """Whether a path names a foreign face: a mesh file, or a folder of OBJ files."""
  if os.path.isdir(path):
    # A reconstruction also has an OBJ, of a person whom we know better.
    if os.path.exists(os.path.join(path, "person.npz")):
      return False
    return any(name.lower().endswith(".obj") for name in os.listdir(path))
  return path.lower().endswith((".obj", *GLTF_EXTENSIONS))


def read_character(path: str) -> Character:
  """Reads a foreign face.

  Raises:
    UserError: missing, damaged, without a mesh, or with shapes that do not fit.
  """
  if os.path.isdir(path):
    return _read_obj_folder(path)
  if path.lower().endswith(".obj"):
    vertices, triangles = _read_obj(path)
    return Character(
      _stem(path), vertices, triangles, (), np.zeros([0, *vertices.shape])
    )
  if path.lower().endswith(GLTF_EXTENSIONS):
    return _read_gltf(path)
  raise UserError(
    f"{path} is no face that can be driven; give a .glb, .gltf, .vrm or .obj file, or "
    "a folder of .obj files."
  )


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(os.path.normpath(path)))[0]


def _read_obj(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Vertices in metres and triangles."""
  vertices, triangles = obj_files.read_triangles(path)
  if not len(triangles):
    raise UserError(f"{path} has no polygons; give an OBJ file with a mesh.")
  return vertices * _metres_per_unit(vertices), triangles


def _metres_per_unit(vertices: np.ndarray) -> float:
  height = np.ptp(vertices[:, 1])
  return float(10.0 ** np.round(np.log10(_HEAD_METRES / max(height, 1e-9))))


def _read_obj_folder(path: str) -> Character:
  files = {
    os.path.splitext(name)[0]: os.path.join(path, name)
    for name in sorted(os.listdir(path))
    if name.lower().endswith(".obj")
  }
  # ICT-FaceKit's folder also has modes of identity, which are no expressions.
  neutrals = [name for name in files if "neutral" in name.lower()]
  if len(neutrals) != 1:
    raise UserError(
      f"{path} has {len(neutrals)} .obj files with `neutral` in their names; name one "
      "neutral.obj, and each other one by its blendshape."
    )
  neutral_path = files.pop(neutrals[0])
  neutral = obj_files.read_vertices(neutral_path)
  vertices, triangles = _read_obj(neutral_path)
  scale = _metres_per_unit(neutral)
  names, shapes = [], []
  for name, file in files.items():
    if name.lower().startswith("identity"):
      continue
    shape = obj_files.read_vertices(file)
    if len(shape) != len(neutral):
      raise UserError(
        f"{file} has {len(shape)} vertices, the neutral {len(neutral)}; export all "
        "shapes from one mesh."
      )
    names.append(name)
    shapes.append((shape - neutral) * scale)
  shapes = np.array(shapes).reshape(-1, *neutral.shape)
  return Character(_stem(path), vertices, triangles, tuple(names), shapes)


def _read_gltf(path: str) -> Character:
  file = read_gltf(path)
  parts, start = [], 0
  shapes: dict[str, list[tuple[int, np.ndarray]]] = {}
  try:
    worlds, shown = world_matrices(file), shown_nodes(file)
    for index, node in enumerate(file.items("nodes")):
      if "mesh" not in node or index not in shown:
        continue
      # A skin places its vertices itself; the node's own transform does not count.
      world = np.eye(4) if "skin" in node else worlds[index]
      mesh = file.items("meshes")[node["mesh"]]
      for primitive in mesh["primitives"]:
        if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
          continue
        vertices = file.array(primitive["attributes"]["POSITION"])
        triangles = _indices(file, primitive, len(vertices)) + start
        parts.append((vertices @ world[:3, :3].T + world[:3, 3], triangles))
        for name, target in zip(
          target_names(mesh, primitive), primitive.get("targets", []), strict=False
        ):
          if "POSITION" in target:
            moved = file.array(target["POSITION"]) @ world[:3, :3].T
            if moved.shape != vertices.shape:
              raise ValueError(f"a morph target of {moved.shape} for {vertices.shape}")
            shapes.setdefault(name, []).append((start, moved))
        start += len(vertices)
    if parts:
      arrays = _joined(parts, shapes)
  except DAMAGE as error:
    raise UserError(
      f"{path} is damaged: its meshes cannot be read ({error!r}); export it again."
    ) from error
  if not parts:
    raise UserError(
      f"{path} has no triangle mesh; export the character's mesh with it."
    )
  vertices, triangles, displacements = arrays
  return Character(_stem(path), vertices, triangles, tuple(shapes), displacements, file)


def _joined(
  parts: list[tuple[np.ndarray, np.ndarray]],
  shapes: dict[str, list[tuple[int, np.ndarray]]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The vertices, triangles and displacements of all meshes; ValueError for damage."""
  vertices, triangles = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
  if len(shapes) * vertices.size > _MOST_NUMBERS:
    raise ValueError(f"{len(shapes)} shapes of {len(vertices)} vertices")
  displacements = np.zeros([len(shapes), *vertices.shape])
  for i, places in enumerate(shapes.values()):
    for first, moved in places:
      displacements[i, first : first + len(moved)] = moved
  if not np.isfinite(vertices).all() or not np.isfinite(displacements).all():
    raise ValueError("positions are not finite")
  if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
    raise ValueError("triangles point outside the vertices")
  return vertices, triangles, displacements


def target_names(mesh: dict, primitive: dict) -> list[str]:
  """The names of morph targets: the mesh's, or as VRM writes them, the primitive's."""
  for holder in (mesh, primitive):
    names = holder.get("extras", {}).get("targetNames")
    if names:
      return [str(name) for name in names]
  count = len(primitive.get("targets", []))
  if count:
    logging.warning("A mesh has %d morph targets without names.", count)
  return [f"target_{i}" for i in range(count)]


def _indices(file: GltfFile, primitive: dict, count: int) -> np.ndarray:
  if "indices" not in primitive:
    return np.arange(count // 3 * 3).reshape(-1, 3)
  return file.array(primitive["indices"]).astype(np.int64).reshape(-1, 3)
