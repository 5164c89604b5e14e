"""BU-3DFE, FaceWarehouse, scans, NoW and registration, on fixtures as published."""

import numpy as np
import pytest
from evaluation.evaluation_cases import Shuffled, summary
from evaluation.scan_fixtures import (
  LANDMARKS,
  face,
  numbers,
  write_landmarks,
  write_obj,
  write_picture,
  write_wrl,
)
from scipy.spatial.transform import Rotation

from personalized_face.core.errors import UserError
from personalized_face.evaluation.correspondences import BU3DFE, FaceWarehouse
from personalized_face.evaluation.meshes import Mesh, read_landmarks, read_mesh
from personalized_face.evaluation.now import LANDMARKS as NOW_LANDMARKS
from personalized_face.evaluation.now import NoW, write_now
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.registration import (
  Correspondence,
  load_correspondence,
  register,
  save_correspondence,
)
from personalized_face.evaluation.scans import Scans


def one_to_one(mesh: Mesh, valid=None) -> Correspondence:
  """Every vertex corresponds with the vertex of its number."""
  count = len(mesh.vertices)
  corners = np.repeat(np.arange(count)[:, None], 3, axis=1)
  valid = np.ones(count, bool) if valid is None else valid
  return Correspondence(corners, np.full([count, 3], 1 / 3), valid, count)


def write_facewarehouse(root, scale=0.01):
  """As published: Tester_<i>/TrainingPose/pose_<j>.obj and .png."""
  for tester in (1, 2, 10):
    for pose in (0, 1):
      stem = root / "data" / f"Tester_{tester}" / "TrainingPose" / f"pose_{pose}"
      write_obj(stem.with_suffix(".obj"), face(tilt=tester + pose / 2), scale)
      write_picture(stem.with_suffix(".png"))
  save_correspondence(str(root / "match" / "ours.npz"), one_to_one(face()))
  return str(root / "data"), str(root / "match")


def write_bu3dfe(root):
  """F0001/F0001_NE00WH_F3D.wrl and a picture with both views side by side."""
  for scan in ("F0001_NE00WH", "F0001_HA04WH", "M0002_AN01AE"):
    folder = root / "data" / scan[:5]
    write_wrl(folder / f"{scan}_F3D.wrl", face(tilt=len(scan)))
    write_picture(folder / f"{scan}_RAW.bmp", (40, 100))
    save_correspondence(str(root / "match" / f"{scan}.npz"), one_to_one(face()))
  return str(root / "data"), str(root / "match")


def moved(prediction: Prediction, degrees=20.0, shift=(5, -8, 300)) -> Prediction:
  turn = Rotation.from_euler("xyz", [degrees, -degrees, 7], degrees=True).as_matrix()
  change = {"vertices": prediction.vertices @ turn.T + shift}
  if prediction.mesh_landmarks is not None:
    change["mesh_landmarks"] = prediction.mesh_landmarks @ turn.T + shift
  return prediction._replace(**change)


@pytest.mark.parametrize("data_set", ["facewarehouse", "bu3dfe"])
def test_correspondence_benchmarks_truth_and_two_millimetres(tmp_path, data_set):
  if data_set == "bu3dfe":
    benchmark = BU3DFE(*write_bu3dfe(tmp_path))
  else:
    benchmark = FaceWarehouse(*write_facewarehouse(tmp_path))
  assert "rigid fit" in benchmark.protocol
  # Nine decimals in the files; where the face is, and how it is turned, is no error.
  assert summary(benchmark) == pytest.approx({"mean": 0, "sd": 0}, abs=1e-5)
  assert summary(benchmark, moved) == pytest.approx({"mean": 0, "sd": 0}, abs=1e-5)
  # Half of the vertices 2 mm out, alternating signs: no rigid fit helps against it.
  signs = np.random.default_rng(0).permutation(np.tile([2.0, -2.0, 0, 0], 73)[:289])

  def bump(prediction):
    return prediction._replace(
      vertices=prediction.vertices + signs[:, None] * [0, 0, 1]
    )

  expected = np.sqrt(np.mean(signs**2))  # 1.41 mm
  # What a fit can still win from random signs on 289 vertices: 6 of 867 freedoms.
  assert summary(benchmark, bump)["mean"] == pytest.approx(expected, rel=0.02)
  shuffled = summary(Shuffled(benchmark), bump)
  assert shuffled == pytest.approx(summary(benchmark, bump), rel=1e-12)


def test_scale_is_an_error_unless_it_is_allowed(tmp_path):
  folders = write_facewarehouse(tmp_path)

  def larger(prediction):
    return prediction._replace(vertices=1.1 * prediction.vertices)

  rigid = summary(FaceWarehouse(*folders), larger)
  mesh = face(tilt=1).vertices
  size = np.sqrt(np.mean(np.sum((mesh - mesh.mean(axis=0)) ** 2, axis=-1)))
  assert rigid["mean"] == pytest.approx(0.1 * size, rel=0.02)  # sizes differ a little
  assert summary(FaceWarehouse(*folders, with_scale=True), larger)[
    "mean"
  ] == pytest.approx(0, abs=1e-5)


def test_bu3dfe_has_two_views_and_its_groups(tmp_path):
  samples = list(BU3DFE(*write_bu3dfe(tmp_path)).samples())
  assert [s.name for s in samples] == ["F0001_HA04WH", "F0001_NE00WH", "M0002_AN01AE"]
  assert [s.group for s in samples] == ["HA", "NE", "AN"]
  assert [picture.shape for picture in samples[0].pictures()] == [(40, 50, 3)] * 2


def test_facewarehouse_chooses_testers_and_poses(tmp_path):
  benchmark = FaceWarehouse(*write_facewarehouse(tmp_path), testers=[2, 10], poses=[0])
  assert [s.name for s in benchmark.samples()] == [
    "Tester_2/pose_0",
    "Tester_10/pose_0",
  ]


def test_vertices_without_a_correspondence_do_not_count(tmp_path):
  data, match = write_facewarehouse(tmp_path)
  valid = np.arange(289) >= 40
  save_correspondence(f"{match}/ours.npz", one_to_one(face(), valid))
  benchmark = FaceWarehouse(data, match)

  def broken(prediction):
    vertices = prediction.vertices.copy()
    vertices[:40] += 50
    return prediction._replace(vertices=vertices)

  assert summary(benchmark, broken)["mean"] == pytest.approx(0, abs=1e-5)
  sample = next(benchmark.samples())
  errors = benchmark.vertex_errors(sample, benchmark.truth_prediction(sample))
  np.testing.assert_array_equal(np.isnan(errors), ~valid)


def test_correspondence_benchmarks_refuse_wrong_layouts_by_name(tmp_path):
  data, match = write_facewarehouse(tmp_path)
  with pytest.raises(UserError, match="FaceWarehouse: it has no file of that layout"):
    FaceWarehouse(match, match)
  with pytest.raises(UserError, match="BU-3DFE: it has no file of that layout"):
    BU3DFE(data, match)
  with pytest.raises(UserError, match="pface_register"):
    FaceWarehouse(data, str(tmp_path / "nowhere"))
  wrong_unit = FaceWarehouse(data, match, millimetres_per_unit=1.0)
  with pytest.raises(UserError, match="FaceWarehouse.millimetres_per_unit"):
    wrong_unit.truth_prediction(next(wrong_unit.samples()))
  (tmp_path / "data" / "Tester_2" / "TrainingPose" / "pose_1.png").unlink()
  with pytest.raises(UserError, match="has no Tester_2/TrainingPose/pose_1.png"):
    FaceWarehouse(data, match)


def test_a_prediction_of_another_topology_is_unusable_not_wrong(tmp_path):
  benchmark = FaceWarehouse(*write_facewarehouse(tmp_path))
  with pytest.raises(ValueError, match="no correspondences for 7 vertices"):
    benchmark.score(
      next(benchmark.samples()), Prediction(True, vertices=np.ones([7, 3]))
    )


def write_scans(root):
  for name, tilt in (("anna", 0.0), ("ben", 1.0)):
    folder = root / name
    write_obj(folder / "scan.obj", face(tilt=tilt))
    write_landmarks(folder / "landmarks.txt", face(tilt=tilt))
    for picture in ("front.jpg", "side.png"):
      write_picture(folder / picture)
  return str(root)


def test_scans_truth_scores_zero(tmp_path):
  benchmark = Scans(write_scans(tmp_path))
  names = [sample.name for sample in benchmark.samples()]
  assert names == ["anna/front", "anna/side", "ben/front", "ben/side"]
  for change in (lambda prediction: prediction, moved):
    figures = summary(benchmark, change)
    assert figures.pop("scale") == 1
    assert figures == pytest.approx(dict.fromkeys(figures, 0), abs=1e-5)


def write_sphere(root, radius=80.0):
  """A scan of which every rigid fit leaves the size, and nothing else, as an error."""
  import trimesh

  ball = trimesh.creation.icosphere(subdivisions=3, radius=radius)
  mesh = Mesh(np.asarray(ball.vertices), np.asarray(ball.faces))
  write_obj(root / "ball" / "scan.obj", mesh)
  write_picture(root / "ball" / "front.jpg")
  marks = [f"{i} {numbers(mesh.vertices[v])}" for i, v in ((30, 0), (36, 7), (8, 90))]
  (root / "ball" / "landmarks.txt").write_text("\n".join(marks))
  return str(root)


def larger(factor):
  def change(prediction):
    return prediction._replace(
      vertices=factor * prediction.vertices,
      mesh_landmarks=factor * prediction.mesh_landmarks,
    )

  return change


def test_scans_two_millimetres_score_what_arithmetic_says(tmp_path):
  folder = write_sphere(tmp_path)
  figures = summary(Scans(folder, radius_mm=300), larger(82 / 80))
  # A triangle of 11 mm cuts a sphere of 80 mm by up to 0.2 mm.
  for key in ("mean", "median", "rmse"):
    assert figures[key] == pytest.approx(2, abs=0.2)
  figures = summary(Scans(folder, radius_mm=300, with_scale=True), larger(82 / 80))
  assert figures["mean"] == pytest.approx(0, abs=1e-3)
  assert figures["scale"] == pytest.approx(80 / 82, rel=1e-4)


def test_scans_unit_and_region(tmp_path):
  folder = write_sphere(tmp_path, radius=0.8)  # decimetres
  benchmark = Scans(folder, radius_mm=50, millimetres_per_unit=100)
  figures = summary(benchmark, larger(82 / 80))
  assert 0.05 < figures["mean"] < 1  # a cap fits better than the whole ball
  sample = next(benchmark.samples())
  _, _, points = benchmark.distances(sample, benchmark.truth_prediction(sample))
  nose = read_landmarks(f"{folder}/ball/landmarks.txt")[30] * 100
  assert np.linalg.norm(points - nose, axis=-1).max() < 50


def test_scans_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="folder of scans: it has no file"):
    Scans(str(tmp_path))
  folder = write_scans(tmp_path)
  (tmp_path / "ben" / "landmarks.txt").unlink()
  with pytest.raises(UserError, match="has no ben/landmarks.txt"):
    Scans(folder)
  write_landmarks(tmp_path / "ben" / "landmarks.txt", face())
  for picture in ("front.jpg", "side.png"):
    (tmp_path / "ben" / picture).unlink()
  with pytest.raises(UserError, match="no picture in ben"):
    Scans(folder)


def write_now_data(root):
  pictures = root / "final_release_version" / "iphone_pictures"
  names = ["anna/multiview_neutral/IMG_0001.jpg", "ben/selfie/IMG_0002.jpg"]
  for name in names:
    write_picture(pictures / name)
  (root / "imagepathsvalidation.txt").write_text("\n".join(names))
  return str(root)


def test_now_writes_what_its_script_reads(tmp_path):
  samples = list(NoW(write_now_data(tmp_path)).samples())
  assert [s.group for s in samples] == ["multiview_neutral", "selfie"]
  mesh = face()
  marks = np.full([68, 3], np.nan)
  vertices = np.arange(7) * 40
  marks[list(NOW_LANDMARKS)] = mesh.vertices[vertices]
  prediction = Prediction(
    True,
    vertices=mesh.vertices,
    triangles=mesh.triangles,
    mesh_landmarks=marks,
    neutral=mesh.vertices + [0, 0, 3],
  )
  write_now(str(tmp_path / "out"), samples[0], prediction)
  stem = tmp_path / "out" / "anna" / "multiview_neutral" / "IMG_0001"
  written = read_mesh(f"{stem}.obj")
  # Seven decimals of a metre.
  np.testing.assert_allclose(1000 * written.vertices, prediction.neutral, atol=1e-4)
  points = np.load(f"{stem}.npy")
  np.testing.assert_allclose(points, written.vertices[vertices], atol=1e-6)
  write_now(str(tmp_path / "out"), samples[1], Prediction(False))
  assert not (tmp_path / "out" / "ben").exists()


def test_now_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="NoW: it has no imagepathsvalidation.txt"):
    NoW(str(tmp_path))
  folder = write_now_data(tmp_path)
  with pytest.raises(UserError, match="no imagepathstest.txt"):
    NoW(folder, "imagepathstest.txt")
  (tmp_path / "imagepathsvalidation.txt").write_text("anna/selfie/IMG_0009.jpg")
  with pytest.raises(UserError, match="has no anna/selfie/IMG_0009.jpg"):
    NoW(folder)


def test_register_finds_the_place_of_each_vertex(tmp_path):
  # The same face in another topology, unit and pose.
  source, target = face(17), face(40)
  turn = Rotation.from_euler("xyz", [10, 25, -5], degrees=True).as_matrix()
  placed = target._replace(vertices=0.01 * target.vertices @ turn.T + [3, 2, 1])
  marks = 0.01 * source.vertices[list(LANDMARKS.values())] @ turn.T + [3, 2, 1]
  bent, match = register(source, placed, list(LANDMARKS.values()), marks)
  inside = np.abs(source.vertices[:, :2]).max(axis=1) < 70
  assert match.valid[inside].all()
  truth = 0.01 * source.vertices @ turn.T + [3, 2, 1]
  # A coarse mesh of 10 mm triangles is not quite a fine one of 4 mm.
  assert np.abs(bent - truth)[inside].max() < 0.02
  path = str(tmp_path / "match.npz")
  save_correspondence(path, match)
  loaded = load_correspondence(path)
  points = loaded.points(placed.vertices)
  assert np.abs(points - truth)[inside].max() < 0.02
  # The file serves every mesh of the target's topology.
  np.testing.assert_allclose(loaded.points(2 * placed.vertices), 2 * points)
  with pytest.raises(ValueError, match="1600 vertices"):
    loaded.points(placed.vertices[:-1])


def test_register_bends_to_another_face():
  source, target = face(17, tilt=0.0), face(40, tilt=1.5)
  before = np.abs(face(17, 1.5).vertices - source.vertices).max()
  marks = face(17, 1.5).vertices[list(LANDMARKS.values())]
  bent, match = register(source, target, list(LANDMARKS.values()), marks)
  places = match.points(target.vertices)
  assert before > 5
  inside = np.abs(source.vertices[:, :2]).max(axis=1) < 60
  # On the target's surface, and no farther than the target's detail is wide.
  assert np.abs(bent - places)[inside].max() < 1
  assert np.abs(face(17, 1.5).vertices - places)[inside].max() < before


def test_register_leaves_out_what_the_target_has_not():
  source, whole = face(17), face(40)
  lower = np.all(whole.vertices[whole.triangles][:, :, 1] < 30, axis=1)
  used = {**LANDMARKS}
  del used[36], used[45]
  marks = source.vertices[list(used.values())]
  _, match = register(
    source, Mesh(whole.vertices, whole.triangles[lower]), list(used.values()), marks
  )
  top = source.vertices[:, 1] > 45
  assert not match.valid[top].any()
  middle = (np.abs(source.vertices[:, 0]) < 60) & (np.abs(source.vertices[:, 1]) < 20)
  assert match.valid[middle].all()


def test_register_leaves_out_what_stands_off_the_target():
  source, spike = face(17), 8 * 17 + 4  # 40 mm beside the middle
  source.vertices[spike, 2] += 30
  marks = face(17).vertices[list(LANDMARKS.values())]
  bent, match = register(source, face(40), list(LANDMARKS.values()), marks)
  assert bent[spike, 2] - face(17).vertices[spike, 2] > 15
  assert not match.valid[spike]
  x, y = source.vertices[:, 0] - source.vertices[spike, 0], source.vertices[:, 1]
  away = (np.hypot(x, y) > 30) & (np.abs(source.vertices[:, :2]).max(axis=1) < 70)
  assert match.valid[away].all()


def test_register_exception_raised(tmp_path):
  with pytest.raises(ValueError, match="3 landmarks"):
    register(face(), face(), [0, 1, 2], np.zeros([3, 3]))
  with pytest.raises(UserError, match="pface_register"):
    load_correspondence(str(tmp_path / "a.npz"))
  (tmp_path / "a.npz").write_text("no")
  with pytest.raises(UserError, match="no correspondence file"):
    load_correspondence(str(tmp_path / "a.npz"))


def test_read_mesh_formats_agree(tmp_path):
  import trimesh

  mesh = face(5)
  write_obj(tmp_path / "a.obj", mesh)
  write_wrl(tmp_path / "a.wrl", mesh)
  trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).export(
    tmp_path / "a.ply"
  )
  for ending in ("obj", "wrl", "ply"):
    read = read_mesh(str(tmp_path / f"a.{ending}"))
    np.testing.assert_array_equal(read.triangles, mesh.triangles)
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-4)  # PLY: float32


def test_read_mesh_polygons_and_negative_indices(tmp_path):
  (tmp_path / "a.obj").write_text(
    "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1/1 2/2/2 3/3/3 4/4/4\nf -4 -3 -1\n"
  )
  read = read_mesh(str(tmp_path / "a.obj"))
  assert read.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 3]]


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.stl", "", "is not a mesh"),
    ("a.obj", "", "no vertices"),
    ("a.obj", "v 0 0 nan", "not finite"),
    ("a.obj", "v 0 0 0\nf 1 2 3", "outside its 1"),
    ("a.obj", "v 0 0 zero", "not a readable mesh"),
    ("a.wrl", "VRML", "#VRML"),
    ("a.wrl", "#VRML V2.0 utf8", "no point"),
    ("a.ply", "ply\nnonsense", "not a readable mesh"),
  ],
)
def test_read_mesh_exception_raised(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(UserError, match=message):
    read_mesh(str(tmp_path / name))


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "at least three"),
    ("1 2 3\n4 5 6\n7 8 9", "at least three lines"),
    ("0 1 2 3\n1 1 2 3\n68 1 2 3", "iBUG number"),
    ("a b c d", "not a readable list"),
  ],
)
def test_read_landmarks_exception_raised(tmp_path, text, message):
  (tmp_path / "a.txt").write_text(text)
  with pytest.raises(UserError, match=message):
    read_landmarks(str(tmp_path / "a.txt"))
