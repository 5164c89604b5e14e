"""glTF 2.0 in and out: the container, its accessors and its images; no faces.

`GltfWriter` gathers arrays and pictures into one binary buffer and writes a `.glb`;
`read_gltf` opens a `.glb` (also named `.vrm`) or a `.gltf` with its buffers beside it
or inside it, and gives accessors as numpy arrays, sparse ones filled in.

Written here and not taken from a library: pygltflib holds the JSON in classes, but
leaves alignment, bounds, sparse accessors and damaged files to its caller, which is all
there is to do; trimesh neither writes nor reads morph targets. In the tests Khronos'
validator checks the result.
Reference: Khronos, glTF 2.0 specification, sections 3.6 (buffers) and 4.4 (GLB).
"""

import base64
import binascii
import json
import os
import struct
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from personalized_face.core.errors import UserError

# glTF's numbers of component types and the names of element types.
_COMPONENTS = {
  5120: np.dtype("<i1"),
  5121: np.dtype("<u1"),
  5122: np.dtype("<i2"),
  5123: np.dtype("<u2"),
  5125: np.dtype("<u4"),
  5126: np.dtype("<f4"),
}
_NUMBER_OF = {dtype: number for number, dtype in _COMPONENTS.items()}
_ELEMENT_SIZES = {
  "SCALAR": 1,
  "VEC2": 2,
  "VEC3": 3,
  "VEC4": 4,
  "MAT2": 4,
  "MAT3": 9,
  "MAT4": 16,
}
_TYPE_OF_SIZE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963  # bufferView.target
_LISTS = (
  *("accessors", "buffers", "bufferViews", "images", "meshes"),
  *("nodes", "scenes", "textures"),
)
_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
# What damaged JSON of any shape makes of the code that walks through it.
DAMAGE = (
  LookupError,
  TypeError,
  ValueError,
  AttributeError,
  ArithmeticError,
  RecursionError,
)
# What an accessor without data of its own (zeros) may promise: as many elements as the
# file has bytes, or these.
_MOST_ZEROS = 1 << 20


class GltfWriter:
  """Builds a glTF document; `document` is plain JSON that the caller fills."""

  def __init__(self, generator: str):
    self.document: dict[str, Any] = {
      "asset": {"version": "2.0", "generator": generator},
      "buffers": [{"byteLength": 0}],
      "bufferViews": [],
      "accessors": [],
    }
    self._parts: list[bytes] = []
    self._length = 0

  @classmethod
  def of(cls, document: dict[str, Any], buffer: bytes = b"") -> "GltfWriter":
    """A writer that goes on with a document of at most one buffer."""
    writer = cls("")
    lists = {"bufferViews": [], "accessors": []}
    writer.document = lists | document | {"buffers": [{"byteLength": 0}]}
    writer._append(buffer)
    return writer

  def add(self, kind: str, item: dict) -> int:
    """Appends to a top-level list ("nodes", "meshes", ...); returns its index."""
    items = self.document.setdefault(kind, [])
    items.append(item)
    return len(items) - 1

  def accessor(
    self,
    values: np.ndarray,
    target: int | None = None,
    bounds: bool = False,
    sparse: bool = False,
  ) -> int:
    """Stores an array.

    Args:
      values: [count] or [count, 2 to 4] float32, uint8, uint16 or uint32.
      target: VERTEX_BUFFER or INDEX_BUFFER, where the data are one of these.
      bounds: writes minimum and maximum, which positions and times must have.
      sparse: stores only the rows that are not zero where that is shorter.

    Returns:
      The accessor's index.
    """
    values = np.ascontiguousarray(values)
    size = 1 if values.ndim == 1 else values.shape[1]
    entry = {
      "componentType": _NUMBER_OF[values.dtype],
      "count": len(values),
      "type": _TYPE_OF_SIZE[size],
    }
    if bounds:
      rows = values.reshape(len(values), size)
      # float() of a float32 is exact, as the validator wants it.
      entry |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
    filled = np.flatnonzero(values.reshape(len(values), -1).any(axis=1))
    if sparse and 2 * len(filled) < len(values):
      if len(filled):  # an accessor without data at all is zeros
        indices = filled.astype(np.uint16 if len(values) <= 65536 else np.uint32)
        entry["sparse"] = {
          "count": len(filled),
          "indices": {
            "bufferView": self._view(indices.tobytes()),
            "componentType": _NUMBER_OF[indices.dtype],
          },
          "values": {"bufferView": self._view(values[filled].tobytes())},
        }
    else:
      entry["bufferView"] = self._view(values.tobytes(), target)
    return self.add("accessors", entry)

  def texture(self, png: bytes, name: str) -> int:
    """Stores a PNG file and a texture that shows it; returns the texture's index."""
    image = {"bufferView": self._view(png), "mimeType": "image/png", "name": name}
    # Clamped (33071): a face's map does not repeat.
    if "samplers" not in self.document:
      self.add("samplers", {"wrapS": 33071, "wrapT": 33071})
    return self.add("textures", {"source": self.add("images", image), "sampler": 0})

  def to_bytes(self) -> bytes:
    """The whole as one `.glb` file."""
    self.document["buffers"][0]["byteLength"] = self._length
    text = json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = [
      struct.pack("<II", len(text), _JSON_CHUNK),
      text,
      struct.pack("<II", self._length, _BINARY_CHUNK),
      *self._parts,
    ]
    length = 12 + sum(map(len, chunks))
    return b"".join([struct.pack("<III", _MAGIC, _VERSION, length), *chunks])

  def _view(self, data: bytes, target: int | None = None) -> int:
    view = {"buffer": 0, "byteOffset": self._length, "byteLength": len(data)}
    if target is not None:
      view["target"] = target
    self._append(data)
    return self.add("bufferViews", view)

  def _append(self, data: bytes) -> None:
    """Adds bytes, filled up to a multiple of four."""
    padded = data + b"\0" * (-len(data) % 4)
    self._parts.append(padded)
    self._length += len(padded)


class GltfFile(NamedTuple):
  """An opened file: its JSON, and the bytes of its buffers."""

  path: str
  document: dict[str, Any]
  buffers: tuple[bytes, ...]

  def items(self, kind: str) -> list[dict]:
    """A top-level list, empty where the document has none."""
    return self.document.get(kind, [])

  def array(self, index: int) -> np.ndarray:
    """An accessor's values: [count] or [count, size], normalised ones as float32.

    Raises:
      UserError: the accessor is not there or points outside its buffer.
    """
    try:
      accessor = self.items("accessors")[index]
      return self._filled(accessor)
    except DAMAGE as error:
      raise UserError(
        f"{self.path} is damaged: accessor {index} cannot be read ({error}); export "
        "it again."
      ) from error

  def image(self, texture: int) -> bytes:
    """The encoded picture that a texture shows."""
    image = self.items("images")[self.items("textures")[texture]["source"]]
    return self._view(image["bufferView"])

  def _require_count(self, count: int) -> None:
    """Raises ValueError for more zeros than the file can have elements beside them."""
    if not 0 <= count <= max(_MOST_ZEROS, sum(map(len, self.buffers))):
      raise ValueError(f"{count} zeros")

  def _filled(self, accessor: dict) -> np.ndarray:
    dtype = _COMPONENTS[accessor["componentType"]]
    count, size = accessor["count"], _ELEMENT_SIZES[accessor["type"]]
    if "bufferView" in accessor:
      start = accessor.get("byteOffset", 0)
      values = self._elements(accessor["bufferView"], start, dtype, count, size)
    else:
      self._require_count(count)
      values = np.zeros([count, size], dtype)
    if "sparse" in accessor:
      sparse, values = accessor["sparse"], values.copy()
      parts = []
      for key, kind, width in (
        ("indices", _COMPONENTS[sparse["indices"]["componentType"]], 1),
        ("values", dtype, size),
      ):
        view, start = sparse[key]["bufferView"], sparse[key].get("byteOffset", 0)
        parts.append(self._elements(view, start, kind, sparse["count"], width))
      values[parts[0][:, 0]] = parts[1]
    if accessor.get("normalized"):
      values = np.maximum(values / np.float32(np.iinfo(dtype).max), -1)
    return values[:, 0] if size == 1 else values

  def _elements(
    self, view: int, start: int, dtype: np.dtype, count: int, size: int
  ) -> np.ndarray:
    """[count, size] from a view, which may interleave several accessors."""
    stride = self.items("bufferViews")[view].get("byteStride", dtype.itemsize * size)
    if stride < dtype.itemsize * size:
      raise ValueError(f"its elements overlap, {stride} bytes apart")
    return np.ndarray(
      (count, size), dtype, self._view(view), start, (stride, dtype.itemsize)
    )

  def _view(self, index: int) -> bytes:
    view = self.items("bufferViews")[index]
    start = view.get("byteOffset", 0)
    data = self.buffers[view["buffer"]][start : start + view["byteLength"]]
    if len(data) != view["byteLength"]:
      raise ValueError(f"buffer view {index} ends outside its buffer")
    return data


def read_gltf(path: str) -> GltfFile:
  """Opens a `.glb`, `.vrm` or `.gltf` file.

  Raises:
    UserError: missing, not glTF 2.0, or damaged.
  """
  try:
    with open(path, "rb") as file:
      data = file.read()
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  try:
    text, binary = _chunks(data)
    document = json.loads(text)
    version = document["asset"]["version"]
    buffers = tuple(
      _buffer(path, entry, binary) for entry in document.get("buffers", [])
    )
    if not all(isinstance(document.get(kind, []), list) for kind in _LISTS):
      raise ValueError(f"one of {', '.join(_LISTS)} is no list")
  except (*DAMAGE, OSError, struct.error, binascii.Error) as error:
    raise UserError(
      f"{path} is not a readable glTF file ({error}); export it again as .glb."
    ) from error
  if not str(version).startswith("2."):
    raise UserError(f"{path} is glTF {version}; export it as glTF 2.0.")
  return GltfFile(path, document, buffers)


def _chunks(data: bytes) -> tuple[bytes, bytes]:
  """The JSON and the binary chunk of a GLB; a file without its magic is all JSON."""
  if data[:4] != struct.pack("<I", _MAGIC):
    return data, b""
  _, version, length = struct.unpack_from("<III", data)
  if version != _VERSION or length > len(data):
    raise ValueError(f"GLB version {version}, {len(data)} of {length} bytes")
  found, start = {}, 12
  while start + 8 <= length:
    size, kind = struct.unpack_from("<II", data, start)
    found.setdefault(kind, data[start + 8 : start + 8 + size])
    start += 8 + size
  return found[_JSON_CHUNK], found.get(_BINARY_CHUNK, b"")


def _buffer(path: str, entry: dict, binary: bytes) -> bytes:
  """One buffer's bytes: in the file, in its text, or in a file beside it."""
  uri = entry.get("uri")
  if uri is None:
    return binary
  if uri.startswith("data:"):
    return base64.b64decode(uri.split(",", 1)[1], validate=True)
  folder = os.path.realpath(os.path.dirname(path))
  beside = os.path.realpath(os.path.join(folder, unquote(uri)))
  # A downloaded character must not name any file of the disk.
  if os.path.commonpath([folder, beside]) != folder:
    raise ValueError(f"its buffer {uri} lies outside its folder")
  with open(beside, "rb") as file:
    return file.read()
