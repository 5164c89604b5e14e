"""Hostile meshes: OBJ, PLY, VRML, and glTF as templates and as characters."""

import json

import hostile
import numpy as np
import pytest
from evaluation import scan_fixtures
from export import puppet
from hostile import (
  Format,
  changed_glb,
  changed_json,
  finite,
  glb_of,
  glb_parts,
  mangled,
  refuses,
  rewritten,
)
from hypothesis import strategies as st

from personalized_face.authoring import gltf_files, obj_files
from personalized_face.core.errors import UserError
from personalized_face.data.gltf import GltfWriter
from personalized_face.evaluation.meshes import read_landmarks, read_mesh
from personalized_face.export.characters import read_character
from personalized_face.export.ply import write_ply

RNG = np.random.default_rng(0)
FACE = scan_fixtures.face(5)


def _write_obj(path):
  lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in FACE.vertices]
  lines += [
    "vt 0.5 0.25",
    *(f"f {a}/1 {b}/1/7 {c}/1" for a, b, c in FACE.triangles + 1),
  ]
  with open(path, "w", encoding="utf-8") as file:
    file.write("\n".join(lines))


def _write_ply(path):
  write_ply(path, FACE.vertices, FACE.triangles, np.ones_like(FACE.vertices))


def _write_text_ply(path):
  import trimesh

  data = trimesh.Trimesh(FACE.vertices, FACE.triangles, process=False)
  with open(path, "wb") as file:
    file.write(trimesh.exchange.ply.export_ply(data, encoding="ascii"))


def _write_wrl(path):
  import pathlib

  scan_fixtures.write_wrl(pathlib.Path(path), FACE)


def _write_landmarks(path):
  import pathlib

  scan_fixtures.write_landmarks(pathlib.Path(path), scan_fixtures.face())


def _write_glb(path):
  """A small face of two meshes: targets with and without data, sparse, in a tree."""
  writer = GltfWriter("somebody")
  vertices, moves = np.float32(FACE.vertices), np.zeros([25, 3], np.float32)
  moves[3] = 0.1
  primitive = {
    "attributes": {
      "POSITION": writer.accessor(vertices, bounds=True),
      "TEXCOORD_0": writer.accessor(np.float32(RNG.random((25, 2)))),
    },
    "indices": writer.accessor(np.uint16(FACE.triangles).ravel()),
    "targets": [
      {"POSITION": writer.accessor(moves, sparse=True)},
      {"POSITION": writer.accessor(np.zeros_like(moves), sparse=True)},
      {"POSITION": writer.accessor(np.float32(RNG.random((25, 3))))},
    ],
  }
  names = {"targetNames": ["jawOpen", "browDown_L", "cheekPuff"]}
  face = writer.add("meshes", {"primitives": [primitive], "extras": names})
  leaf = writer.add("nodes", {"mesh": face, "rotation": [0, 0, 0, 1], "scale": [1] * 3})
  top = writer.add("nodes", {"children": [leaf], "matrix": np.eye(4).ravel().tolist()})
  writer.document |= {"scene": 0, "scenes": [{"nodes": [top]}]}
  with open(path, "wb") as file:
    file.write(writer.to_bytes())


def _write_gltf(path):
  """The same with its buffer inside the text."""
  import base64
  import pathlib

  _write_glb(path)
  document, binary = glb_parts(pathlib.Path(path).read_bytes())
  uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
  document["buffers"][0]["uri"] = uri
  pathlib.Path(path).write_text(json.dumps(document))


def _changed_gltf(data):
  documents = changed_json(json.loads(data)).map(lambda d: json.dumps(d).encode())
  return st.one_of(documents, documents, rewritten(data))


def _check_mesh(mesh):
  vertices, triangles = mesh
  finite(vertices)
  assert not len(triangles) or 0 <= triangles.min() <= triangles.max() < len(vertices)


def _check_obj(mesh):
  finite(mesh.vertices, mesh.uv)
  assert 0 <= mesh.corners.min() <= mesh.corners.max() < len(mesh.vertices)
  assert -1 <= mesh.corner_uv.min() <= mesh.corner_uv.max() < max(len(mesh.uv), 1)
  assert mesh.starts[-1] == len(mesh.corners)


def _check_character(character):
  _check_mesh(character[1:3])
  finite(character.displacements)
  assert character.displacements.shape == (
    len(character.names),
    *character.vertices.shape,
  )
  assert all(isinstance(name, str) for name in character.names)


def _check_shapes(shapes):
  mesh, moves = shapes
  _check_obj(mesh)
  finite(*moves.values())
  assert not any("/" in name for name in moves)


FORMATS = (
  Format("face.obj", _write_obj, obj_files.read_obj, rewritten, _check_obj),
  Format("scan.obj", _write_obj, read_mesh, rewritten, _check_mesh),
  Format("driven.obj", _write_obj, read_character, rewritten, _check_character),
  Format("scan.ply", _write_ply, read_mesh, mangled, _check_mesh),
  Format("text.ply", _write_text_ply, read_mesh, rewritten, _check_mesh),
  Format("scan.wrl", _write_wrl, read_mesh, rewritten, _check_mesh),
  Format(
    "landmarks.txt",
    _write_landmarks,
    read_landmarks,
    rewritten,
    lambda marks: finite(*marks.values()),
  ),
  Format("face.glb", _write_glb, read_character, changed_glb, _check_character),
  Format("face.vrm", _write_glb, read_character, changed_glb, _check_character),
  Format("face.gltf", _write_gltf, read_character, _changed_gltf, _check_character),
  Format("shapes.glb", _write_glb, gltf_files.read_shapes, changed_glb, _check_shapes),
)


@pytest.mark.parametrize("case", FORMATS, ids=[case.file for case in FORMATS])
def test_mesh(case, tmp_path):
  hostile.attack(case, tmp_path)


def _glb(tmp_path, change):
  path = tmp_path / "face.glb"
  _write_glb(path)
  document, binary = glb_parts(path.read_bytes())
  change(document)
  path.write_bytes(glb_of(document, binary))
  return path


BIG = 1 << 30


@pytest.mark.parametrize(
  "change",
  [
    # Zeros without data of their own.
    lambda d: d["accessors"][4].update(count=BIG),
    # One element, read again and again.
    lambda d: (
      d["accessors"][0].update(count=BIG),
      d["bufferViews"][0].update(byteStride=0),
    ),
    lambda d: d["bufferViews"][0].update(byteLength=4 * BIG),
    lambda d: d["buffers"][0].update(byteLength=4 * BIG),
    # A name a shape, each of which takes all vertices.
    lambda d: (
      d["meshes"][0]["primitives"][0].update(targets=[{"POSITION": 4}] * 30000),
      d["accessors"][4].update(count=1 << 20),
      d["meshes"][0].update(extras={}),
    ),
  ],
)
def test_what_a_glb_promises_is_not_believed(tmp_path, change):
  path = _glb(tmp_path, change)
  refuses(read_character, path, _check_character)
  refuses(gltf_files.read_shapes, path, _check_shapes)


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/b", ["x"], 7])
def test_a_morph_target_names_no_file_elsewhere(tmp_path, name):
  path = _glb(
    tmp_path,
    lambda d: d["meshes"][0]["extras"].update(targetNames=["jawOpen", name, "b"]),
  )
  with pytest.raises(UserError, match=r"face\.glb"):
    gltf_files.read_shapes(str(path))


def test_a_buffer_outside_the_folder_is_not_read(tmp_path):
  (tmp_path / "secret.bin").write_bytes(bytes(4000))
  folder = tmp_path / "face"
  folder.mkdir()
  path = _glb(folder, lambda d: d["buffers"][0].update(uri="../secret.bin"))
  with pytest.raises(UserError, match="outside its folder"):
    read_character(str(path))


def test_the_puppet_is_read_as_it_was(tmp_path):
  """The limits let through what a program writes: 60 shapes of a head."""
  mesh = puppet.build()
  moves = RNG.normal(0, 0.01, [60, len(mesh.vertices), 3])
  names = [f"shape{i}" for i in range(60)]
  puppet.write_glb(tmp_path / "a.glb", mesh.vertices, mesh.triangles, names, moves)
  character = read_character(str(tmp_path / "a.glb"))
  np.testing.assert_allclose(character.displacements, moves, atol=1e-6)  # float32
