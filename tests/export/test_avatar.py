import dataclasses
import io
import os

import numpy as np
import pytest
from export.test_head_pose import make_motion
from helpers import toy_template
from node_tools import browse, served, validate_gltf, workshop
from PIL import Image

from personalized_face.core.errors import UserError
from personalized_face.core.uv import VertexSampler
from personalized_face.data.gltf import read_gltf
from personalized_face.data.video import read_frames
from personalized_face.export.avatar import hole_components
from personalized_face.export.avatar_files import export_avatar, load_reconstruction
from personalized_face.export.avatar_textures import (
  DynamicAtlas,
  pack_dynamic_albedo,
  unpack_dynamic_albedo,
)
from personalized_face.export.head_pose import source_pose
from personalized_face.face_model.files import save_motion, save_person
from personalized_face.rendering.rasterize import triangle_ids

SIZE = (240, 320)  # of the source picture
FRAMES = 5


@pytest.fixture(scope="module")
def motion():
  left = np.linspace(70, 120, FRAMES)
  boxes = np.stack([left, left - 40, left + 110, left + 70], axis=1)
  rotation = np.random.default_rng(3).normal(0, 0.15, [FRAMES, 3])
  return make_motion(boxes, rotation, size=SIZE)


@pytest.fixture(scope="module")
def glb(system, person, motion, tmp_path_factory):
  """The path of an avatar with all that can stand beside it."""
  path = str(tmp_path_factory.mktemp("avatar") / "new" / "anna.glb")
  written = export_avatar(system, person, path, motion, True, True, True)
  assert [os.path.basename(p) for p in written] == [
    "anna.glb",
    "anna.ply",
    "anna_objs",
    "anna_albedo.mp4",
  ]
  assert all(map(os.path.exists, written))
  return path


def expected_geometry(system, person):
  batch = type(person)(*(part[np.newaxis] for part in person))
  geometry = system.face_model.geometry(*system.face_model.vertex_offsets(batch))
  return geometry.neutral.numpy()[0], geometry.displacements.numpy()[0]  # [V, K, 3]


def test_avatar_mesh_is_equation_1(system, person, glb):
  file = read_gltf(glb)
  mesh = file.items("meshes")[0]
  assert mesh["extras"]["targetNames"] == list(system.template.blendshape_names)
  neutral, displacements = expected_geometry(system, person)
  skin = mesh["primitives"][0]
  # float32 metres, read back as decimetres.
  position = file.array(skin["attributes"]["POSITION"]) * 10
  np.testing.assert_allclose(position, neutral, atol=1e-6)
  for i, target in enumerate(skin["targets"]):
    read = file.array(target["POSITION"]) * 10
    # What is below a micrometre is left out.
    np.testing.assert_allclose(read, displacements[:, i], atol=1.1e-5)
  indices = file.array(skin["indices"]).reshape(-1, 3)
  np.testing.assert_array_equal(indices, system.template.triangles)
  uv = file.array(skin["attributes"]["TEXCOORD_0"])
  np.testing.assert_array_equal(uv, system.template.uv)


def test_avatar_normals_turn_with_the_shape(system, person, glb):
  file, k = read_gltf(glb), 1
  skin = file.items("meshes")[0]["primitives"][0]
  base = file.array(skin["attributes"]["NORMAL"])
  np.testing.assert_allclose(np.linalg.norm(base, axis=1), 1, atol=1e-5)
  turned = base + file.array(skin["targets"][k]["NORMAL"])
  neutral, displacements = expected_geometry(system, person)
  moved = neutral + displacements[:, k]
  corners = moved[system.template.triangles]
  areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  sums = np.zeros_like(neutral)
  for corner in range(3):
    np.add.at(sums, system.template.triangles[:, corner], areas)
  lengths = np.linalg.norm(sums, axis=1, keepdims=True)
  used = lengths[:, 0] > 1e-9
  # A turn below 2e-3 (a tenth of a degree) is stored as none.
  np.testing.assert_allclose(turned[used], (sums / lengths)[used], atol=2.1e-3)


def test_avatar_clip_is_the_motion(system, motion, glb):
  file = read_gltf(glb)
  (clip,) = file.items("animations")
  nodes = {node["name"]: node for node in file.items("nodes")}
  tracks = {
    channel["target"]["path"]: clip["samplers"][channel["sampler"]]
    for channel in clip["channels"]
  }
  times = file.array(tracks["weights"]["input"])
  np.testing.assert_allclose(times, motion.times, atol=1e-6)
  weights = file.array(tracks["weights"]["output"]).reshape(FRAMES, -1)
  np.testing.assert_array_equal(weights, motion.tracking.expression)
  pose = source_pose(motion, system.camera)
  quaternions = file.array(tracks["rotation"]["output"])
  # One rotation has two quaternions; either, but without a leap between frames.
  expected = pose.rotations.as_quat()
  signs = np.sign((quaternions * expected).sum(axis=1, keepdims=True))
  np.testing.assert_allclose(quaternions * signs, expected, atol=1e-6)
  assert ((quaternions[1:] * quaternions[:-1]).sum(axis=1) > 0).all()
  moved = file.array(tracks["translation"]["output"]) * 10
  np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-5)
  # Head and camera together are the pose.
  camera = np.array(nodes["camera"]["translation"]) * 10
  np.testing.assert_allclose(moved - camera, pose.translations, atol=1e-5)


def test_avatar_textures_keep_the_values_without_a_gamma(system, person, glb):
  file = read_gltf(glb)
  material = file.items("materials")[0]
  index = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
  pixels = np.asarray(Image.open(io.BytesIO(file.image(index))))
  # Half of an 8-bit step.
  values = np.clip(person.static_albedo, 0, 1)
  np.testing.assert_allclose(pixels / 255, values, atol=0.51 / 255)
  extras = material["extras"]["dynamicAlbedo"]
  picture = np.asarray(Image.open(io.BytesIO(file.image(extras["texture"]))))
  atlas = DynamicAtlas(picture, extras["columns"], extras["scale"])
  maps = person.dynamic_albedo * system.template.attention_masks[..., np.newaxis]
  unpacked = unpack_dynamic_albedo(atlas, maps.shape[2])
  step = extras["scale"] * 2 / 255
  np.testing.assert_allclose(unpacked, maps.transpose(2, 0, 1, 3), atol=0.51 * step)
  assert np.abs(maps).max() > 10 * step


@pytest.mark.parametrize("count", [1, 3, 56])
def test_dynamic_atlas_round_trip(count):
  maps = np.random.default_rng(0).normal(0, 0.2, [count, 4, 4, 3]).astype(np.float32)
  atlas = pack_dynamic_albedo(maps)
  np.testing.assert_allclose(
    unpack_dynamic_albedo(atlas, count), maps, atol=1.01 * atlas.scale / 255
  )
  assert not pack_dynamic_albedo(0 * maps).pixels.std()


def test_avatar_closes_its_holes(system, glb):
  file = read_gltf(glb)
  primitives = file.items("meshes")[0]["primitives"]
  names = [file.items("materials")[p["material"]]["name"] for p in primitives]
  assert names == ["skin", "mouth", "eyes"]
  drawn = [file.array(p["indices"]).reshape(-1, 3) for p in primitives]
  assert [len(part) for part in drawn[1:]] == [2, 4]
  both = {tuple(sorted(t)) for t in np.concatenate(drawn[1:]).tolist()}
  assert both == {tuple(sorted(t)) for t in system.template.hole_triangles.tolist()}
  heights = [system.template.vertices[part, 1].mean() for part in drawn[1:]]
  assert heights[0] < heights[1]
  assert len({len(p["targets"]) for p in primitives}) == 1


def test_hole_components_of_a_closed_mesh():
  template = toy_template()
  assert len(hole_components(template)) == 3
  closed = dataclasses.replace(template, hole_triangles=np.zeros([0, 3], np.int32))
  assert hole_components(closed) == []


def test_avatar_ply_and_albedo_video(system, person, motion, glb):
  data = open(glb.replace(".glb", ".ply"), "rb").read()
  header, body = data.split(b"end_header\n", 1)
  count = system.template.num_vertices
  assert f"element vertex {count}".encode() in header
  points = np.frombuffer(body, [("p", "<f4", 3), ("c", "u1", 3)], count)
  neutral, _ = expected_geometry(system, person)
  np.testing.assert_allclose(points["p"] * 10, neutral, atol=1e-6)
  sample = VertexSampler(system.template.uv, system.template.uv_size)
  colours = np.clip(sample(person.static_albedo[np.newaxis])[0], 0, 1)
  np.testing.assert_allclose(points["c"] / 255, colours, atol=0.51 / 255)
  assert len(body) == count * 15 + len(system.template.triangles) * 13
  frames = list(read_frames(glb.replace(".glb", "_albedo.mp4"), None))
  assert len(frames) == FRAMES
  masks = system.template.attention_masks[..., np.newaxis]
  weights = motion.tracking.expression[2]
  change = np.einsum("k,uvkc->uvc", weights, masks * person.dynamic_albedo)
  expected = np.clip(person.static_albedo + change, 0, 1) * 255
  # H.264 with colour at half resolution, on maps of noise.
  assert np.abs(frames[2].image.mean(-1) - expected.mean(-1)).mean() < 12


def test_avatar_without_a_clip(system, person, tmp_path):
  path = str(tmp_path / "still.glb")
  assert export_avatar(system, person, path) == [path]
  file = read_gltf(path)
  assert file.items("animations") == file.items("cameras") == []


def test_load_reconstruction(system, person, motion, tmp_path):
  save_person(str(tmp_path / "person.npz"), person, system.template)
  path = str(tmp_path / "person.npz")
  assert load_reconstruction(system, path)[1] is None
  save_motion(str(tmp_path / "motion.npz"), motion, system.template)
  for given in (path, str(tmp_path)):
    read = load_reconstruction(system, given)[1]
    np.testing.assert_array_equal(read.times, motion.times)
  os.rename(tmp_path / "motion.npz", tmp_path / "other.npz")
  assert load_reconstruction(system, path, str(tmp_path / "other.npz"))[1] is not None
  with pytest.raises(UserError, match="no motion file"):
    load_reconstruction(system, path, str(tmp_path / "none.npz"))


def test_export_avatar_exception_raised(system, person, tmp_path):
  with pytest.raises(UserError, match="name it .*anna.glb"):
    export_avatar(system, person, str(tmp_path / "anna.fbx"))
  with pytest.raises(UserError, match="needs a motion"):
    export_avatar(system, person, str(tmp_path / "anna.glb"), albedo_video=True)
  assert os.listdir(tmp_path) == []


def test_avatar_is_valid_gltf(glb, tmp_path):
  issues = validate_gltf(workshop(tmp_path), glb)
  codes = {message["code"] for message in issues["messages"]}
  assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues
  # The dynamic albedo is named by the material's extras, which no validator reads.
  assert codes <= {"UNUSED_OBJECT", "IMAGE_NPOT_DIMENSIONS"}


def test_avatar_opens_in_trimesh(system, glb):
  trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
  scene = trimesh.load(glb)
  sizes = [len(part.faces) for part in scene.geometry.values()]
  template = system.template
  assert sum(sizes) == len(template.triangles) + len(template.hole_triangles)


def test_avatar_in_three_js_is_our_render(system, person, motion, glb, tmp_path):
  folder = workshop(tmp_path)
  (folder / "anna.glb").write_bytes(open(glb, "rb").read())
  steps = [{"run": "open_glb('anna.glb')"}]
  for i, time in enumerate(motion.times.tolist()):
    # The middle of a frame would blend two; a hair before the end, the clip repeats.
    run = f"draw({min(time, motion.times[-1] - 1e-6)}, 'skin')"
    steps.append({"run": run, "screenshot": str(folder / f"{i}.png")})
  with served(folder) as site:
    seen = browse(folder, f"{site}/three_glb.html", steps, size=SIZE[::-1])
  assert seen["errors"] == []
  names = seen["results"][0]["names"]
  assert names == list(system.template.blendshape_names)
  pose = source_pose(motion, system.camera)
  neutral, displacements = expected_geometry(system, person)
  for i, weights in enumerate(motion.tracking.expression):
    np.testing.assert_allclose(seen["results"][i + 1], weights, atol=1e-3)
    shape = neutral + np.einsum("vkc,k->vc", displacements, weights)
    shape = pose.rotations[i].apply(shape) + pose.translations[i]
    ids = triangle_ids(
      shape[np.newaxis].astype(np.float32), system.template.triangles, pose.camera
    )[0]
    ours = np.asarray(ids) >= 0
    theirs = np.asarray(Image.open(folder / f"{i}.png").convert("L")) > 127
    assert 0.02 < ours.mean() < 0.9
    # Coverage at the rim is decided by another rasterizer.
    assert (ours != theirs).mean() < 0.01
