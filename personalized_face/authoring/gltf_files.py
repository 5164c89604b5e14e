"""Reading a glTF 2.0 mesh with morph targets (`.glb`, or `.gltf` with its buffers).

Only what a template needs: positions, texture coordinates, triangles and the position
part of the morph targets of one mesh; `data/gltf.py` opens the file.
"""

import numpy as np

from personalized_face.authoring.obj_files import ObjMesh
from personalized_face.core.errors import UserError
from personalized_face.data.gltf import DAMAGE, GltfFile, read_gltf
from personalized_face.data.gltf_nodes import world_matrices
from personalized_face.template.face_template import can_name_a_file

_TRIANGLES = 4
_MOST_NUMBERS = 1 << 28  # of all displacements; see export/characters.py


def read_shapes(path: str) -> tuple[ObjMesh, dict[str, np.ndarray]]:
  """Reads the mesh that has the most morph targets.

  Vertices that lie in one place in every shape, as exporters write them along seams of
  texture and normals, become one. Units stay the file's, metres by the specification.

  Args:
    path: `.glb` or `.gltf`.

  Returns:
    The neutral, and name -> [V, 3] displacements of each morph target.

  Raises:
    UserError: not such a file, compressed, or without named morph targets or texture
      coordinates.
  """
  file = read_gltf(path)
  required = file.document.get("extensionsRequired", [])
  if required:
    raise UserError(
      f"{path} needs the glTF extensions {required}, which are not read here; export "
      "it without compression."
    )
  try:
    return _face(file)
  except DAMAGE as error:
    raise UserError(
      f"{path} is not a readable glTF file ({type(error).__name__}: {error})."
    ) from error


def _face(file: GltfFile) -> tuple[ObjMesh, dict[str, np.ndarray]]:
  meshes = file.items("meshes")
  targets = [len(mesh["primitives"][0].get("targets", [])) for mesh in meshes]
  if not any(targets):
    raise UserError(f"{file.path} has no mesh with morph targets; export them with it.")
  chosen = int(np.argmax(targets))
  mesh = meshes[chosen]
  names = mesh.get("extras", {}).get("targetNames", [])
  if len(names) != targets[chosen] or len(set(names)) != len(names):
    raise UserError(
      f"{file.path} names {len(set(names))} of its {targets[chosen]} morph targets; "
      "export it with a name for each (mesh.extras.targetNames)."
    )
  for name in names:
    if not isinstance(name, str) or not can_name_a_file(name):
      raise UserError(
        f"{file.path} names a morph target {name!r}, and names become those of files; "
        "rename it."
      )
  positions, uv, triangles, moves = _primitives(file, mesh)
  if not all(np.isfinite(array).all() for array in (positions, uv, moves)):
    raise ValueError("it has positions that are not finite")
  if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(positions):
    raise ValueError("it has triangles that point outside its vertices")
  world = _world(file, chosen)
  positions = positions @ world[:3, :3].T + world[:3, 3]
  moves = moves @ world[:3, :3].T  # [K, X, 3]
  everywhere = np.concatenate([positions[None], moves]).transpose(1, 0, 2)
  _, first, place = np.unique(
    *(everywhere.reshape(len(positions), -1),),
    axis=0,
    return_index=True,
    return_inverse=True,
  )
  place = place.reshape(-1)
  # In the file's order, so that the result does not follow the coordinates' values.
  order = np.argsort(first)
  rank = np.argsort(order)
  corners = triangles.reshape(-1)
  obj = ObjMesh(
    vertices=positions[first[order]],
    uv=uv * [1, -1] + [0, 1],  # glTF's v runs down
    corners=rank[place[corners]],
    corner_uv=corners,
    starts=np.arange(0, len(corners) + 1, 3),
  )
  return obj, {
    name: move[first[order]] for name, move in zip(names, moves, strict=True)
  }


def _primitives(file: GltfFile, mesh: dict):
  """The mesh's parts, one after the other."""
  positions, uv, triangles, moves, start = [], [], [], [], 0
  for part in mesh["primitives"]:
    attributes = part["attributes"]
    if part.get("mode", _TRIANGLES) != _TRIANGLES:
      raise UserError(f"{file.path} has lines, points or strips; export triangles.")
    if "TEXCOORD_0" not in attributes:
      raise UserError(f"{file.path} has no texture coordinates; give it a UV layout.")
    positions.append(file.array(attributes["POSITION"]).astype(np.float64))
    uv.append(file.array(attributes["TEXCOORD_0"]).astype(np.float64))
    count = len(positions[-1])
    corners = (
      file.array(part["indices"]).reshape(-1) if "indices" in part else range(count)
    )
    triangles.append(np.asarray(corners, np.int64).reshape(-1, 3) + start)
    if count * 3 * len(part["targets"]) > _MOST_NUMBERS:
      raise ValueError(f"{len(part['targets'])} morph targets of {count} vertices")
    moves.append(
      [
        file.array(target["POSITION"]).astype(np.float64)
        if "POSITION" in target
        else np.zeros([count, 3])
        for target in part["targets"]
      ]
    )
    start += count
  return (
    np.concatenate(positions),
    np.concatenate(uv),
    np.concatenate(triangles),
    np.concatenate([np.array(m) for m in moves], axis=1),
  )


def _world(file: GltfFile, mesh: int) -> np.ndarray:
  """The transform of the first node that shows a mesh, [4, 4]."""
  for node, world in zip(file.items("nodes"), world_matrices(file), strict=True):
    if node.get("mesh") == mesh:
      return world
  return np.eye(4)
