"""Reading a glTF 2.0 mesh with morph targets (`.glb`, or `.gltf` with its buffers).

Only what a template needs: positions, texture coordinates, triangles and the position
part of the morph targets of one mesh. Libraries at hand parse the JSON but leave the
accessors (strides, sparse ones, normalised integers) to the caller, which is most of
this file. Reference: the glTF 2.0 specification, Khronos Group.
"""

import base64
import json
import os
import struct

import numpy as np

from personalized_face.authoring.obj_files import ObjMesh
from personalized_face.core.errors import UserError

_GLB_MAGIC = b"glTF"
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_TRIANGLES = 4
_TYPES = {
  **{5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16},
  **{5125: np.uint32, 5126: np.float32},
}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def read_gltf(path: str) -> tuple[ObjMesh, dict[str, np.ndarray]]:
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
  try:
    document, binary = _document(path)
    file = _File(path, document, binary)
    return _face(file)
  except (OSError, KeyError, IndexError, ValueError, TypeError, struct.error) as error:
    raise UserError(
      f"{path} is not a readable glTF file ({type(error).__name__}: {error})."
    ) from error


def _document(path: str) -> tuple[dict, bytes | None]:
  """The JSON, and the binary chunk of a GLB."""
  with open(path, "rb") as file:
    data = file.read()
  if data[:4] != _GLB_MAGIC:
    return json.loads(data), None
  chunks, place = {}, 12
  while place < len(data):
    length, kind = struct.unpack_from("<II", data, place)
    chunks[kind] = data[place + 8 : place + 8 + length]
    place += 8 + length
  return json.loads(chunks[_JSON_CHUNK]), chunks.get(_BINARY_CHUNK)


class _File:
  """A document with its buffers."""

  def __init__(self, path: str, document: dict, binary: bytes | None):
    required = document.get("extensionsRequired", [])
    if required:
      raise UserError(
        f"{path} needs the glTF extensions {', '.join(required)}, which are not read "
        "here; export it without compression."
      )
    self.path, self.document = path, document
    self._buffers = [
      self._buffer(entry, binary) for entry in document.get("buffers", [])
    ]

  def _buffer(self, entry: dict, binary: bytes | None) -> bytes:
    uri = entry.get("uri")
    if uri is None:
      if binary is None:
        raise ValueError("a buffer without data")
      return binary
    if uri.startswith("data:"):
      return base64.b64decode(uri.split(",", 1)[1])
    with open(os.path.join(os.path.dirname(self.path), uri), "rb") as file:
      return file.read()

  def array(self, index: int) -> np.ndarray:
    """An accessor's values, [count, components]."""
    accessor = self.document["accessors"][index]
    count, components = accessor["count"], _COMPONENTS[accessor["type"]]
    kind = np.dtype(_TYPES[accessor["componentType"]]).newbyteorder("<")
    if "bufferView" in accessor:
      start = accessor.get("byteOffset", 0)
      values = self._view(accessor["bufferView"], start, kind, count, components)
    else:
      values = np.zeros([count, components], kind)
    if "sparse" in accessor:
      values = self._sparse(values.copy(), accessor["sparse"], kind)
    if accessor.get("normalized"):
      values = np.maximum(values / np.iinfo(kind).max, -1.0)
    return values

  def _view(self, index: int, start: int, kind, count: int, components: int):
    view = self.document["bufferViews"][index]
    size = kind.itemsize * components
    return np.ndarray(
      (count, components),
      kind,
      self._buffers[view["buffer"]],
      view.get("byteOffset", 0) + start,
      (view.get("byteStride", size), kind.itemsize),
    )

  def _sparse(self, values: np.ndarray, sparse: dict, kind) -> np.ndarray:
    where, what = sparse["indices"], sparse["values"]
    number = np.dtype(_TYPES[where["componentType"]]).newbyteorder("<")
    rows = self._view(
      *(where["bufferView"], where.get("byteOffset", 0), number, sparse["count"], 1)
    )
    values[rows[:, 0]] = self._view(
      *(what["bufferView"], what.get("byteOffset", 0), kind, sparse["count"]),
      values.shape[1],
    )
    return values


def _face(file: _File) -> tuple[ObjMesh, dict[str, np.ndarray]]:
  meshes = file.document.get("meshes", [])
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
  positions, uv, triangles, moves = _primitives(file, mesh)
  linear = _world(file.document, chosen)
  positions = positions @ linear[:3, :3].T + linear[:3, 3]
  moves = moves @ linear[:3, :3].T  # [K, X, 3]
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


def _primitives(file: _File, mesh: dict):
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


def _world(document: dict, mesh: int) -> np.ndarray:
  """The transform of the first node that shows a mesh, [4, 4]."""
  nodes = document.get("nodes", [])
  parent = {c: i for i, node in enumerate(nodes) for c in node.get("children", [])}
  here = next((i for i, node in enumerate(nodes) if node.get("mesh") == mesh), None)
  matrix = np.eye(4)
  while here is not None:
    matrix = _local(nodes[here]) @ matrix
    here = parent.get(here)
  return matrix


def _local(node: dict) -> np.ndarray:
  if "matrix" in node:
    return np.array(node["matrix"], np.float64).reshape(4, 4).T  # column-major
  x, y, z, w = node.get("rotation", [0, 0, 0, 1])
  rotation = np.array(
    [
      [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
      [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
      [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
  )
  matrix = np.eye(4)
  matrix[:3, :3] = rotation * node.get("scale", [1, 1, 1])
  matrix[:3, 3] = node.get("translation", [0, 0, 0])
  return matrix
