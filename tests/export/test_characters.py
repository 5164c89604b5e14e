import csv
import json
import os

import numpy as np
import pytest
from export import puppet
from export.test_motion_files import NAMES, make_motion
from node_tools import validate_gltf, workshop
from toy_clip import StubDetector, toy_system

from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.data.arkit import ARKIT_NAMES
from personalized_face.data.gltf import GltfWriter, read_gltf
from personalized_face.data.video import read_frames
from personalized_face.export.characters import is_character, read_character
from personalized_face.export.drive_character import character_glb, drive_character
from personalized_face.export.motion import neutral_motion
from personalized_face.export.motion_files import write_motion
from personalized_face.export.obj import write_obj
from personalized_face.export.retarget import (
  open_driver,
  read_landmarks,
  retarget_to_character,
)
from personalized_face.export.shape_mapping import (
  map_shapes,
  parse_gains,
  read_mapping,
)
from personalized_face.metrics.landmarks import eye_opening, mouth_opening
from personalized_face.metrics.motion import correlation


def pascal(name):
  return name[0].upper() + name[1:]


def device(name):
  for side in ("Left", "Right"):
    if name.endswith(side):
      return f"{name.removesuffix(side)}_{side[0]}"
  return name


@pytest.fixture()
def mesh():
  rng = np.random.default_rng(0)
  vertices = rng.uniform(-0.1, 0.1, [20, 3])
  triangles = np.array([rng.choice(20, 3, replace=False) for _ in range(30)])
  return vertices, triangles, rng.normal(0, 0.01, [52, 20, 3])


@pytest.mark.parametrize("spelling", [str, pascal, device])
def test_a_character_in_three_spellings(mesh, tmp_path, spelling):
  names = [spelling(name) for name in ARKIT_NAMES]
  puppet.write_glb(tmp_path / "a.vrm", *mesh[:2], names, mesh[2])
  character = read_character(str(tmp_path / "a.vrm"))
  assert character.names == tuple(names)
  np.testing.assert_allclose(character.vertices, mesh[0], atol=1e-7)
  np.testing.assert_allclose(character.displacements, mesh[2], atol=1e-8)
  mapping = map_shapes(NAMES, character.names)
  assert mapping.still == (spelling("tongueOut"),)
  assert mapping.unused == ("noseDilator",)
  column = names.index(spelling("browInnerUp"))
  both = [NAMES.index("browInnerUp_L"), NAMES.index("browInnerUp_R")]
  np.testing.assert_array_equal(np.flatnonzero(mapping.matrix[:, column]), sorted(both))
  assert (mapping.matrix[both, column] == 0.5).all()
  # Every other one takes exactly one of ours, whole.
  rest = np.delete(mapping.matrix, [column, *(_columns(names, spelling))], axis=1)
  assert (rest.sum(axis=0) == 1).all() and set(np.unique(rest)) == {0, 1}


def _columns(names, spelling):
  return [names.index(spelling(name)) for name in ("cheekPuff", "tongueOut")]


def test_map_shapes_never_confuses_sides():
  mapping = map_shapes(
    ("mouthSmile_L", "mouthSmile_R", "jawLeft"), ("MouthSmileRight",)
  )
  np.testing.assert_array_equal(mapping.matrix[:, 0], [0, 1, 0])
  halves = map_shapes(("cheekPuff",), ("cheekPuff_L", "cheekPuff_R", "jawLeft"))
  np.testing.assert_array_equal(halves.matrix, [[1, 1, 0]])


def test_mapping_file(tmp_path):
  path = tmp_path / "map.yaml"
  path.write_text(
    "Blink_L: eyeBlink_L\nsmile: {mouthSmile_L: 0.5, mouthSmile_R: 0.5}\njawOpen: {}\n"
  )
  overrides = read_mapping(str(path))
  mapping = map_shapes(NAMES, ("Blink_L", "smile", "jawOpen"), overrides)
  assert mapping.still == ("jawOpen",)
  assert mapping.matrix[NAMES.index("eyeBlink_L"), 0] == 1
  assert mapping.matrix[:, 1].sum() == 1 and mapping.matrix[:, 0].sum() == 1


def test_mapping_exception_raised(tmp_path):
  path = tmp_path / "map.yaml"
  for text in ("", "- a\n", "a: [1, 2]\n", "a: {b: wide}\n", "{"):
    path.write_text(text)
    with pytest.raises(UserError, match="is not a mapping"):
      read_mapping(str(path))
  with pytest.raises(UserError, match="cannot be read"):
    read_mapping(str(tmp_path / "none.yaml"))
  with pytest.raises(UserError, match="None of the character's shapes"):
    map_shapes(NAMES, ("Blink", "Smirk"))
  with pytest.raises(UserError, match="gives jawOpen the blendshape wings"):
    map_shapes(NAMES, ("jawOpen",), {"jawOpen": {"wings": 1.0}})
  with pytest.raises(UserError, match="names tail, which the character does not"):
    map_shapes(NAMES, ("jawOpen",), {"tail": {"jawOpen": 1.0}})
  assert parse_gains(["jawOpen=1.5"]) == {"jawOpen": 1.5}
  for text in ("jawOpen", "jawOpen=wide"):
    with pytest.raises(UserError, match="is not a gain"):
      parse_gains([text])


def test_driven_gltf_is_the_original_with_an_animation(mesh, tmp_path):
  names = [pascal(name) for name in ARKIT_NAMES]
  puppet.write_glb(tmp_path / "a.glb", *mesh[:2], names, mesh[2])
  character, motion = read_character(str(tmp_path / "a.glb")), make_motion(6)
  motion = motion._replace(
    tracking=motion.tracking._replace(rotation=0 * motion.tracking.rotation)
  )
  out = tmp_path / "out"
  out.mkdir()
  driven = drive_character(character, motion, NAMES, str(out))
  assert sorted(os.listdir(out)) == ["driven.csv", "driven.glb", "driven.mp4"]
  file = read_gltf(str(out / "driven.glb"))
  assert file.document["asset"]["generator"] == "somebody else"
  again = read_character(str(out / "driven.glb"))
  np.testing.assert_array_equal(again.displacements, character.displacements)
  (clip,) = file.items("animations")
  weights = file.array(clip["samplers"][0]["output"]).reshape(6, 52)
  np.testing.assert_array_equal(weights, driven.weights)
  jaw = motion.tracking.expression[:, NAMES.index("jawOpen")]
  np.testing.assert_array_equal(weights[:, names.index("JawOpen")], jaw)
  rows = list(csv.DictReader(open(out / "driven.csv")))
  read = np.array([[np.float32(row[name]) for name in names] for row in rows])
  np.testing.assert_array_equal(read, weights)
  assert [float(row["time_s"]) for row in rows] == motion.times.tolist()
  frames = list(read_frames(str(out / "driven.mp4"), None))
  assert len(frames) == 6 and frames[0].image.shape == (448, 448, 3)
  assert frames[0].image.std() > 5  # something is drawn


def test_driven_glb_is_valid(mesh, tmp_path):
  puppet.write_glb(tmp_path / "a.glb", *mesh[:2], ARKIT_NAMES, mesh[2])
  original = read_character(str(tmp_path / "a.glb"))
  made = original._replace(gltf=None)
  folder = workshop(tmp_path)
  for i, character in enumerate((original, made)):
    path = tmp_path / f"{i}.glb"
    weights = np.random.default_rng(0).uniform(0, 1, [5, 52]).astype(np.float32)
    path.write_bytes(character_glb(character, np.arange(5) / 30, weights))
    issues = validate_gltf(folder, str(path))
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues
    read = read_character(str(path))
    # What is below a micrometre is left out.
    np.testing.assert_allclose(read.displacements, mesh[2], atol=1.1e-6)


def test_gltf_nodes_place_their_meshes(tmp_path):
  writer = GltfWriter("test")
  position = writer.accessor(np.eye(3, dtype=np.float32), bounds=True)
  delta = writer.accessor(np.float32([[0, 0, 1]] * 3), bounds=True)
  primitive = {"attributes": {"POSITION": position}, "targets": [{"POSITION": delta}]}
  # As VRM writes the names.
  primitive["extras"] = {"targetNames": ["jawOpen"]}
  writer.add("meshes", {"primitives": [primitive]})
  half = np.sqrt(0.5)
  writer.add("nodes", {"translation": [1, 2, 3], "children": [1]})
  writer.add("nodes", {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, half, 0, half]})
  writer.add("nodes", {"mesh": 0})  # not in the scene
  writer.document |= {"scenes": [{"nodes": [0]}]}
  (tmp_path / "a.glb").write_bytes(writer.to_bytes())
  character = read_character(str(tmp_path / "a.glb"))
  # A quarter turn about y takes x to -z and z to x.
  expected = np.array([[0, 0, -2], [0, 2, 0], [2, 0, 0]]) + [1, 2, 3]
  np.testing.assert_allclose(character.vertices, expected, atol=1e-6)
  np.testing.assert_allclose(character.displacements[0], [[2, 0, 0]] * 3, atol=1e-6)
  assert character.names == ("jawOpen",)


def test_obj_folder(mesh, tmp_path):
  vertices, triangles, shapes = mesh
  for name, shape in (("My_Neutral", 0), ("jawOpen", shapes[0]), ("identity0", 1)):
    write_obj(str(tmp_path / f"{name}.obj"), (vertices + shape) * 10, triangles)
  character = read_character(str(tmp_path))
  assert character.names == ("jawOpen",)
  # OBJ has no unit: 20 cm high, whatever the numbers say; 7 decimals are written.
  np.testing.assert_allclose(character.vertices, vertices, atol=1e-7)
  np.testing.assert_allclose(character.displacements[0], shapes[0], atol=2e-7)
  np.testing.assert_array_equal(character.triangles, triangles)
  bare = read_character(str(tmp_path / "My_Neutral.obj"))
  assert bare.names == () and bare.displacements.shape == (0, 20, 3)


def test_read_character_exception_raised(mesh, tmp_path):
  assert not is_character(str(tmp_path)) and is_character("a.vrm")
  with pytest.raises(UserError, match="0 .obj files with `neutral`"):
    read_character(str(tmp_path))
  write_obj(str(tmp_path / "neutral.obj"), mesh[0], mesh[1])
  assert is_character(str(tmp_path))
  write_obj(str(tmp_path / "jawOpen.obj"), mesh[0][:19], np.array([[0, 1, 2]]))
  with pytest.raises(UserError, match="19 vertices, the neutral 20"):
    read_character(str(tmp_path))
  (tmp_path / "person.npz").write_text("")
  assert not is_character(str(tmp_path))
  for name in ("a.fbx", "none.obj", "none.glb"):
    with pytest.raises(UserError, match=name):
      read_character(str(tmp_path / name))
  (tmp_path / "e.glb").write_bytes(GltfWriter("test").to_bytes())
  with pytest.raises(UserError, match="no triangle mesh"):
    read_character(str(tmp_path / "e.glb"))
  puppet.write_glb(tmp_path / "b.glb", *mesh[:2], ["jawOpen"], mesh[2][:1])
  data = (tmp_path / "b.glb").read_bytes().replace(b'"POSITION":1', b'"POSITION":9')
  (tmp_path / "b.glb").write_bytes(data)
  with pytest.raises(UserError, match="accessor 9 cannot be read"):
    read_character(str(tmp_path / "b.glb"))


def test_retarget_to_a_bare_mesh_and_again_to_what_it_made(tmp_path):
  system, doll = toy_system(), puppet.build()
  template = system.template
  count, doll_path = template.num_vertices, str(tmp_path / "doll.obj")
  # The toy's landmarks visit its whole grid: so must those of its bare twin.
  write_obj(doll_path, template.vertices * 3, template.triangles)
  (tmp_path / "marks.json").write_text(json.dumps(template.landmark_vertices.tolist()))
  weights = np.random.default_rng(0).uniform(0, 1, [4, 3])
  motion = neutral_motion(np.arange(4) / 25, weights, 25.0)
  write_motion(str(tmp_path / "m.json"), motion, template)
  driver = open_driver(system, [str(tmp_path / "m.json")], StubDetector())
  first = retarget_to_character(
    system,
    driver,
    doll_path,
    str(tmp_path / "out"),
    StubDetector(),
    landmarks=str(tmp_path / "marks.json"),
  )
  assert first.character.names == template.blendshape_names
  np.testing.assert_array_equal(first.weights, motion.tracking.expression)
  saved = str(tmp_path / "out" / "driven.glb")
  second = retarget_to_character(
    system, driver, saved, str(tmp_path / "again"), StubDetector()
  )
  np.testing.assert_array_equal(second.weights, first.weights)
  shapes = second.character.displacements
  np.testing.assert_allclose(shapes, first.character.displacements, atol=1.1e-6)
  assert json.loads((tmp_path / "out" / "landmarks.json").read_text())
  # Of a motion alone the driver is not seen.
  metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
  assert metrics == second.metrics and metrics["mouth_opening_correlation"] is None
  with pytest.raises(UserError, match="no list of 68 of the mesh's"):
    read_landmarks(str(tmp_path / "m.json"), count)
  (tmp_path / "marks.json").write_text(json.dumps(doll.landmarks.tolist()))
  with pytest.raises(UserError, match=f"mesh's {count} vertices"):
    read_landmarks(str(tmp_path / "marks.json"), count)


def test_ict_facekit_with_another_identity_follows(shared_data, tmp_path):
  folder = shared_data / "ict_facekit" / "FaceXModel"
  if not folder.is_dir():
    pytest.skip("no ict_facekit in the test data")
  template, character = load_template(), read_character(str(folder))
  mode = read_character(str(folder / "identity001.obj")).vertices
  identity = character.vertices + 1.5 * (mode - character.vertices)
  turn = np.arange(50) / 50 * 2 * np.pi
  weights = np.random.default_rng(0).uniform(0, 0.15, [50, template.num_blendshapes])
  for name, speed in (("jawOpen", 2), ("eyeBlink_L", 3), ("eyeBlink_R", 4)):
    column = template.blendshape_names.index(name)
    weights[:, column] = 0.5 - 0.5 * np.cos(speed * turn)
  mapping = map_shapes(template.blendshape_names, character.names)
  # ICT's eyes have pupils; the light release has no noseDilator.
  assert set(mapping.still) <= {"PupilDilate_L", "PupilDilate_R"}
  ours = template.vertices[template.landmark_vertices] + np.tensordot(
    weights, template.blendshape_deltas[:, template.landmark_vertices], 1
  )
  marks = json.loads((folder / "vertex_indices.json").read_text())
  marks = np.array(marks["idx_to_landmark_verts"])
  theirs = identity[marks] + np.tensordot(
    weights @ mapping.matrix, character.displacements[:, marks], 1
  )
  ours, theirs = ours[..., :2], theirs[..., :2]
  assert correlation(mouth_opening(ours), mouth_opening(theirs)) >= 0.85
  for side in range(2):
    pair = eye_opening(ours)[:, side], eye_opening(theirs)[:, side]
    assert correlation(*pair) >= 0.85
