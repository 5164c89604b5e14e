"""Anybody's blendshapes to a template: OBJ folders and glTF files."""

import json
import struct

import numpy as np
import pytest
from authoring import small_head

from personalized_face.authoring import gltf_files, obj_files, obj_folder, placement
from personalized_face.core.errors import UserError


def build(path, landmarks=None, **kwargs):
  return obj_folder.build_folder_template(str(path), None, landmarks, **kwargs)


def write_folder(folder, scale=1.0, with_uv=True):
  folder.mkdir(exist_ok=True)
  small_head.write_obj(folder / "Neutral.obj", scale * small_head.neutral(), with_uv)
  for name, vertices in small_head.shapes().items():
    small_head.write_obj(folder / f"{name}.obj", scale * vertices, with_uv)
  return folder


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory):
  path = tmp_path_factory.mktemp("landmarks") / "marks.txt"
  path.write_text("# iBUG\n" + "\n".join(str(i) for i in small_head.landmarks()))
  return str(path)


@pytest.fixture(scope="module")
def template(tmp_path_factory, landmarks):
  folder = write_folder(tmp_path_factory.mktemp("shapes") / "anna")
  return build(folder, landmarks, licence="CC0-1.0")


def write_glb(path, names=("jawOpen", "smile_L"), extensions=()):
  """The small head as a GLB: vertices split at the seam, v down, metres, a turned node,
  and one sparse morph target."""
  mesh = _small_mesh()
  pairs, corners = np.unique(
    np.stack([mesh.corners, mesh.corner_uv], -1), axis=0, return_inverse=True
  )
  quads = corners.reshape(-1, 4)
  triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
  turned = mesh.vertices * 0.01 @ np.diag([-1.0, 1, -1])  # undone by the node
  parts = [
    turned[pairs[:, 0]].astype("<f4"),
    (mesh.uv[pairs[:, 1]] * [1, -1] + [0, 1]).astype("<f4"),
    triangles.astype("<u4").reshape(-1, 1),
  ]
  shapes = small_head.shapes()
  moves = [
    ((shapes[n] - small_head.neutral()) * [-0.01, 0.01, -0.01])[pairs[:, 0]]
    for n in ("jawOpen", "smile_L")
  ]
  parts.append(moves[0].astype("<f4"))
  moving = np.flatnonzero(np.abs(moves[1]).max(1))
  parts += [moving.astype("<u2").reshape(-1, 1), moves[1][moving].astype("<f4")]
  binary, views = b"", []
  for part in parts:
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": part.nbytes})
    binary += part.tobytes() + b"\0" * (-part.nbytes % 4)
  count = len(pairs)
  float3 = {"componentType": 5126, "type": "VEC3", "count": count}
  sparse = {
    "count": len(moving),
    "indices": {"bufferView": 4, "componentType": 5123},
    "values": {"bufferView": 5},
  }
  document = {
    "asset": {"version": "2.0"},
    "extensionsRequired": list(extensions),
    "buffers": [{"byteLength": len(binary)}],
    "bufferViews": views,
    "accessors": [
      {"bufferView": 0, **float3},
      {"bufferView": 1, "componentType": 5126, "type": "VEC2", "count": count},
      {
        **{"bufferView": 2, "componentType": 5125, "type": "SCALAR"},
        "count": len(triangles) * 3,
      },
      {"bufferView": 3, **float3},
      {**float3, "sparse": sparse},
    ],
    "nodes": [{"mesh": 0}, {"children": [0], "rotation": [0, 1, 0, 0]}],
    "meshes": [
      {
        "primitives": [
          {
            "attributes": {"POSITION": 0, "TEXCOORD_0": 1},
            "indices": 2,
            "targets": [{"POSITION": 3}, {"POSITION": 4}],
          }
        ],
        "extras": {"targetNames": list(names)},
      }
    ],
  }
  text = json.dumps(document).encode()
  text += b" " * (-len(text) % 4)
  body = struct.pack("<II", len(text), 0x4E4F534A) + text
  body += struct.pack("<II", len(binary), 0x004E4942) + binary
  path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
  return path


def _small_mesh():
  words = np.array(small_head.polygons()) - 1
  return obj_files.ObjMesh(
    small_head.neutral(),
    small_head.texture_coordinates(),
    words[..., 0].ravel(),
    words[..., 1].ravel(),
    np.arange(0, words[..., 0].size + 1, 4),
  )


def test_folder_becomes_a_template(template):
  assert template.name == "anna"
  assert template.licence == "CC0-1.0"
  assert template.blendshape_names == ("collarUp", "jawOpen", "smile_L", "smile_R")
  np.testing.assert_allclose(np.ptp(template.vertices[:, 0]), 1.4, rtol=1e-6)
  # A jaw opens downwards, and nothing of it goes up.
  jaw = template.blendshape_deltas[1, :, 1]
  assert jaw.min() < -0.02 and jaw.max() < 1e-4
  assert len(template.hole_triangles) > 0


@pytest.mark.parametrize("scale", [10.0, 0.01, 1 / 2.54])  # mm, m, inches
def test_the_unit_is_found(tmp_path, landmarks, template, scale):
  scaled = build(write_folder(tmp_path / "anna", scale), landmarks)
  # Files have six decimals: 1e-6 m is 1e-5 dm.
  np.testing.assert_allclose(scaled.vertices, template.vertices, atol=2e-5)
  np.testing.assert_allclose(
    scaled.blendshape_deltas, template.blendshape_deltas, atol=2e-5
  )


def test_a_given_unit_is_used_and_checked(tmp_path, landmarks, template):
  folder = write_folder(tmp_path / "anna", 0.2)
  given = build(folder, landmarks, mm_per_unit=50.0)
  np.testing.assert_allclose(given.vertices, template.vertices, atol=2e-5)
  with pytest.raises(UserError, match="--mm_per_unit"):
    build(folder, landmarks, mm_per_unit=10.0)


def test_landmarks_as_positions(tmp_path, landmarks):
  vertices = small_head.neutral()
  rows = vertices[small_head.landmarks()] + 0.01
  path = tmp_path / "marks.csv"
  path.write_text("\n".join(",".join(map(str, row)) for row in rows))
  np.testing.assert_array_equal(
    vertices[obj_folder.read_landmarks(str(path), vertices)],
    vertices[small_head.landmarks()],
  )


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("1 2 3", "has 3 numbers"),
    (" ".join(["99999"] * 68), "has vertex 99999"),
    (" ".join(["1.5"] * 68), "68 vertex numbers"),
    ("nose", "cannot be read"),
  ],
)
def test_a_bad_landmark_file_is_refused(tmp_path, text, message):
  path = tmp_path / "marks.txt"
  path.write_text(text)
  with pytest.raises(UserError, match=message):
    obj_folder.read_landmarks(str(path), small_head.neutral())


def _remove_neutral(folder):
  (folder / "Neutral.obj").unlink()


def _second_neutral(folder):
  small_head.write_obj(folder / "my_neutral.obj", small_head.neutral())
  (folder / "Neutral.obj").rename(folder / "neutral_2.obj")


def _other_count(folder):
  small_head.write_obj(folder / "smile_R.obj", small_head.neutral()[:-1])


def _elsewhere(folder):
  small_head.write_obj(folder / "smile_R.obj", small_head.neutral() + 50)


def _no_layout(folder):
  small_head.write_obj(folder / "Neutral.obj", small_head.neutral(), with_uv=False)


def _only_neutral(folder):
  for name in small_head.shapes():
    (folder / f"{name}.obj").unlink()


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (_remove_neutral, "neutral.obj"),
    (_second_neutral, "2 OBJ files with 'neutral'"),
    (_other_count, "smile_R.obj has"),
    (_elsewhere, "'smile_R'.*lies elsewhere"),
    (_no_layout, "UV layout"),
    (_only_neutral, "no expression"),
  ],
)
def test_what_does_not_match_is_refused_by_name(tmp_path, landmarks, spoil, message):
  folder = write_folder(tmp_path / "anna")
  spoil(folder)
  with pytest.raises(UserError, match=message):
    build(folder, landmarks)


def test_without_landmarks_or_face(tmp_path, monkeypatch):
  monkeypatch.setattr(placement, "SIZE", 32)  # of the renders, for speed
  monkeypatch.setattr(placement, "VIEWS", [(0, 0)])
  folder = write_folder(tmp_path / "anna")
  with pytest.raises(UserError, match="--landmarks"):
    obj_folder.build_folder_template(str(folder), lambda picture: None)


def test_glb_equals_the_obj_folder(tmp_path):
  mesh, deltas = gltf_files.read_shapes(str(write_glb(tmp_path / "anna.glb")))
  base = _small_mesh()
  used = np.unique(base.corners)
  assert len(mesh.vertices) == len(used)  # the seam's copies are one again
  metres = 0.01 * base.vertices[used]
  np.testing.assert_allclose(mesh.vertices, metres, atol=1e-7)  # float32
  shapes = small_head.shapes()
  for name in ("jawOpen", "smile_L"):
    expected = 0.01 * (shapes[name] - small_head.neutral())[used]
    np.testing.assert_allclose(deltas[name], expected, atol=1e-7)
  # The same corners of the same layout, as triangles.
  np.testing.assert_allclose(
    np.unique(mesh.uv[mesh.corner_uv].round(6), axis=0),
    np.unique(base.uv[base.corner_uv].round(6), axis=0),
    atol=1e-6,
  )


def test_glb_becomes_a_template(tmp_path, template):
  path = write_glb(tmp_path / "anna.glb")
  marks = tmp_path / "marks.txt"
  rows = 0.01 * small_head.neutral()[small_head.landmarks()]
  marks.write_text("\n".join(" ".join(map(str, row)) for row in rows))
  ours = build(path, str(marks))
  assert ours.blendshape_names == ("jawOpen", "smile_L")
  assert ours.num_vertices == template.num_vertices
  np.testing.assert_allclose(
    np.ptp(ours.vertices, axis=0), np.ptp(template.vertices, axis=0), rtol=1e-5
  )


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"names": ("jawOpen",)}, "names 1 of its 2 morph targets"),
    ({"names": ("smile", "smile")}, "names 1 of its 2 morph targets"),
    ({"extensions": ("KHR_draco_mesh_compression",)}, "KHR_draco_mesh_compression"),
  ],
)
def test_a_glb_that_cannot_be_used_is_refused(tmp_path, options, message):
  with pytest.raises(UserError, match=message):
    gltf_files.read_shapes(str(write_glb(tmp_path / "anna.glb", **options)))


def test_a_truncated_glb_is_refused(tmp_path):
  path = write_glb(tmp_path / "anna.glb")
  path.write_bytes(path.read_bytes()[:-5000])
  with pytest.raises(UserError, match="not a readable glTF"):
    gltf_files.read_shapes(str(path))
