import json
import struct

import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.data.gltf import GltfWriter, read_gltf


def written(path, values, **options):
  writer = GltfWriter("test")
  index = writer.accessor(values, **options)
  path.write_bytes(writer.to_bytes())
  return read_gltf(str(path)), index


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
@pytest.mark.parametrize("shape", [(5,), (7, 2), (3, 3), (4, 4)])
def test_accessor_round_trip(tmp_path, dtype, shape):
  values = (np.random.default_rng(0).uniform(0, 200, shape)).astype(dtype)
  file, index = written(tmp_path / "a.glb", values, bounds=True)
  read = file.array(index)
  assert read.dtype == dtype
  np.testing.assert_array_equal(read, values)
  rows = values.reshape(len(values), -1)
  assert file.items("accessors")[index]["min"] == rows.min(axis=0).tolist()


@pytest.mark.parametrize("filled", [(), (3,), (0, 99), tuple(range(60))])
def test_accessor_sparse_round_trip(tmp_path, filled):
  values = np.zeros([100, 3], np.float32)
  values[list(filled)] = np.random.default_rng(0).normal(size=[len(filled), 3])
  file, index = written(tmp_path / "a.glb", values, sparse=True)
  np.testing.assert_array_equal(file.array(index), values)
  dense = "bufferView" in file.items("accessors")[index]
  assert dense == (len(filled) >= 50)


def test_read_gltf_with_its_buffer_beside_it_and_interleaved(tmp_path):
  positions = np.arange(6, dtype=np.float32).reshape(2, 3)
  both = np.concatenate([positions, positions[:, :2]], axis=1)
  (tmp_path / "my data.bin").write_bytes(b"1234" + both.tobytes())
  bytes_of = {"byteOffset": 4, "byteLength": 40, "byteStride": 20}
  document = {
    "asset": {"version": "2.0"},
    "buffers": [{"uri": "my%20data.bin", "byteLength": 44}],
    "bufferViews": [{"buffer": 0, **bytes_of}],
    "accessors": [
      {"bufferView": 0, "componentType": 5126, "count": 2, "type": "VEC3"},
      {
        "bufferView": 0,
        "byteOffset": 12,
        "componentType": 5126,
        "count": 2,
        "type": "VEC2",
      },
    ],
  }
  (tmp_path / "a.gltf").write_text(json.dumps(document))
  file = read_gltf(str(tmp_path / "a.gltf"))
  np.testing.assert_array_equal(file.array(0), positions)
  np.testing.assert_array_equal(file.array(1), positions[:, :2])


def test_accessor_normalized(tmp_path):
  file, index = written(tmp_path / "a.glb", np.array([0, 51, 255], np.uint8))
  file.items("accessors")[index]["normalized"] = True
  np.testing.assert_allclose(file.array(index), [0, 0.2, 1], atol=1e-7)


def test_read_gltf_exception_raised(tmp_path):
  path = tmp_path / "a.glb"
  with pytest.raises(UserError, match="cannot be read"):
    read_gltf(str(path))
  file, index = written(path, np.ones([4, 3], np.float32))
  data = path.read_bytes()
  damaged = (b"", b"{}", data[:10], data[:-5], b"\xff" * 40, b'{"asset":{"version":')
  for content in damaged:
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable glTF file"):
      read_gltf(str(path))
  path.write_text('{"asset": {"version": "1.0"}}')
  with pytest.raises(UserError, match="is glTF 1.0"):
    read_gltf(str(path))
  file.items("accessors")[index]["count"] = 5
  for bad in (index, 7):
    with pytest.raises(UserError, match=f"accessor {bad} cannot be read"):
      file.array(bad)
  outside = {"asset": {"version": "2.0"}, "buffers": [{"uri": "../secret.bin"}]}
  path.write_text(json.dumps(outside))
  with pytest.raises(UserError, match="lies outside its folder"):
    read_gltf(str(path))


def test_glb_header_is_the_standard_one():
  data = GltfWriter("test").to_bytes()
  assert data[:4] == b"glTF"
  assert struct.unpack_from("<II", data, 4) == (2, len(data))
  assert data[16:20] == b"JSON" and len(data) % 4 == 0
