"""What holds for every benchmark: faces not found, order, the points that are meant.

That the ground truth scores zero and a known error what arithmetic says is tested with
each benchmark's own fixtures; of NoW, whose script measures, it is tested here.
"""

import csv
import io
import math

import numpy as np
import pytest
from evaluation.evaluation_cases import Shuffled, TruthPredictor, summary
from evaluation.scan_fixtures import face, write_obj, write_picture
from evaluation.test_landmark_benchmarks import write_300vw, write_aflw
from evaluation.test_picture_and_motion_benchmarks import (
  write_celeba,
  write_expressions,
  write_synthetic,
)
from evaluation.test_shape_benchmarks import (
  larger,
  write_bu3dfe,
  write_facewarehouse,
  write_now_data,
  write_scans,
)

from personalized_face.evaluation import tables
from personalized_face.evaluation.aflw2000 import AFLW2000
from personalized_face.evaluation.benchmark import MISSING, NO_FACE, OK, run_benchmark
from personalized_face.evaluation.celeba import CelebA
from personalized_face.evaluation.correspondences import BU3DFE, FaceWarehouse
from personalized_face.evaluation.expression import Expression
from personalized_face.evaluation.meshes import Mesh, read_mesh
from personalized_face.evaluation.now import LANDMARKS as NOW_LANDMARKS
from personalized_face.evaluation.now import NoW, write_now
from personalized_face.evaluation.predictions import (
  NOT_FOUND,
  Prediction,
  path_of,
  read_prediction,
  write_prediction,
)
from personalized_face.evaluation.scans import Scans
from personalized_face.evaluation.synthetic import Synthetic
from personalized_face.evaluation.synthetic_expression import SyntheticExpression
from personalized_face.evaluation.videos_300vw import Videos300VW
from personalized_face.pipelines import evaluation

MADE = {
  "aflw2000": lambda root: AFLW2000(write_aflw(root)),
  "300vw": lambda root: Videos300VW(write_300vw(root)),
  "bu3dfe": lambda root: BU3DFE(*write_bu3dfe(root)),
  "facewarehouse": lambda root: FaceWarehouse(*write_facewarehouse(root)),
  "scans": lambda root: Scans(write_scans(root)),
  "now": lambda root: NoW(write_now_data(root)),
  "celeba": lambda root: CelebA(write_celeba(root)),
  "expression": lambda root: Expression(write_expressions(root)),
  "synthetic": lambda root: Synthetic(
    write_synthetic(root), template=str(root / "template.npz")
  ),
  "synthetic_expression": lambda root: SyntheticExpression(
    write_synthetic(root), template=str(root / "template.npz")
  ),
}


def test_there_is_a_case_for_each():
  assert set(MADE) == set(evaluation.BENCHMARKS)


class Some(TruthPredictor):
  """Sees no face in the first sample, and has no file for the second."""

  def __init__(self, benchmark):
    super().__init__(benchmark, name="some")
    self._seen = 0

  def predict(self, sample, pictures):
    self._seen += 1
    if self._seen <= 2:
      return (NOT_FOUND, None)[self._seen - 1]
    if self._benchmark.name == "now":
      return now_prediction(face())
    return super().predict(sample, pictures)


def now_prediction(mesh: Mesh) -> Prediction:
  """A mesh that is its own ground truth, with NoW's seven landmarks."""
  marks = np.full([68, 3], np.nan)
  marks[list(NOW_LANDMARKS)] = mesh.vertices[::40][:7]
  return Prediction(
    True,
    vertices=mesh.vertices,
    triangles=mesh.triangles,
    mesh_landmarks=marks,
    neutral=mesh.vertices,
  )


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_sample_without_a_face_is_counted_and_reported(tmp_path, name):
  benchmark = MADE[name](tmp_path)
  result = run_benchmark(benchmark, [Some(benchmark)])
  samples = [sample.name for sample in benchmark.samples()]
  (row,) = tables.make_table(result, with_published=False).rows
  assert row.counts["samples"] == len(samples) == len(result.rows)
  assert row.counts[NO_FACE] == 1 and row.counts[MISSING] == 1
  assert f"some: {samples[0]}: no face" in tables.without_figures(result)
  lines = list(csv.DictReader(io.StringIO(tables.per_sample_csv(result))))
  assert [line["sample"] for line in lines] == samples
  assert lines[0]["status"] == "no face"
  # What becomes of it is said: a failure where there is a worst case, else in no mean.
  assert "without a face" in benchmark.protocol
  found = [r for r in result.rows if r.status == OK]
  if name == "expression":
    # The only picture labelled with a smile: its group is unknown, not another's.
    assert math.isnan(row.values["smile"]) and row.values["kiss"] == 0
  elif name == "300vw":
    assert row.values["failure"] == pytest.approx(100 * 2 / len(samples))
  else:
    expected = benchmark.summary(found)
    got = {key: row.values[key] for key in expected}
    np.testing.assert_equal(got, expected)


class OneOfTwo(TruthPredictor):
  """A face in one of a sample's two pictures."""

  def predict(self, sample, pictures):
    return super().predict(sample, pictures)._replace(pictures_used=1)


def test_a_view_without_a_face_is_reported_though_the_sample_goes_on(tmp_path):
  benchmark = MADE["bu3dfe"](tmp_path)
  result = run_benchmark(
    benchmark, [OneOfTwo(benchmark), TruthPredictor(benchmark, name="all")]
  )
  table = tables.make_table(result, with_published=False)
  assert [row.counts["samples"] for row in table.rows] == [3, 3]
  assert "No face was found in 3 of the pictures" in tables.markdown(table)
  lines = tables.without_figures(result)
  assert len(lines) == 3 and lines[0].endswith("no face in 1 picture")
  assert not math.isnan(table.rows[0].values["mean"])
  # It travels with a prediction's file.
  path = path_of(str(tmp_path), "a")
  write_prediction(path, Prediction(True, pictures_used=1))
  assert read_prediction(path).pictures_used == 1


def test_scans_shuffled_order_changes_nothing(tmp_path):
  benchmark = MADE["scans"](tmp_path)

  def uneven(prediction):  # each scan another error
    return larger(1 + 0.001 * np.abs(prediction.vertices[5, 2]))(prediction)

  straight = summary(benchmark, uneven)
  assert straight["mean"] > 0.1
  assert summary(Shuffled(benchmark), uneven) == pytest.approx(straight, rel=1e-9)


def now_error(root, written, mesh) -> float:
  """What NoW's protocol makes of written files: scale, seven landmarks, scan to mesh.

  The challenge's own script is not run: our scan benchmark with its conventions is.
  """
  write_obj(root / "scan" / "scan.obj", mesh)
  write_picture(root / "scan" / "front.jpg")
  points = mesh.vertices[::40][:7]
  (root / "scan" / "landmarks.txt").write_text(
    "\n".join(
      f"{i} {x:.9f} {y:.9f} {z:.9f}"
      for i, (x, y, z) in zip(NOW_LANDMARKS, points, strict=True)
    )
  )
  benchmark = Scans(str(root), with_scale=True, radius_mm=300)
  submitted = read_mesh(f"{written}.obj")
  marks = np.full([68, 3], np.nan)
  marks[list(NOW_LANDMARKS)] = np.load(f"{written}.npy")
  prediction = Prediction(
    True,
    vertices=submitted.vertices,
    triangles=submitted.triangles,
    mesh_landmarks=marks,
  )
  return benchmark.score(next(benchmark.samples()), prediction)["mean_mm"]


def test_now_truth_scores_zero_and_a_bump_what_it_moves(tmp_path):
  samples = list(NoW(write_now_data(tmp_path / "now")).samples())
  mesh, folder = face(), str(tmp_path / "out")
  write_now(folder, samples[0], now_prediction(mesh))
  # The files are in metres, with seven decimals.
  error = now_error(tmp_path / "a", f"{folder}/{samples[0].name}", mesh)
  assert error == pytest.approx(0, abs=1e-3)
  # A tenth of the vertices, in a row at the top, 2 mm out: less than 2 mm, a tenth and
  # more of it on average (triangles between moved and other vertices lie between).
  bent = mesh.vertices.copy()
  bent[:29] += [0, 0, 2]
  prediction = now_prediction(mesh)._replace(neutral=bent)
  write_now(folder, samples[1], prediction)
  error = now_error(tmp_path / "b", f"{folder}/{samples[1].name}", mesh)
  assert 0.05 < error < 0.4


def test_now_writes_the_same_in_any_order(tmp_path):
  benchmark = NoW(write_now_data(tmp_path / "now"))
  prediction = now_prediction(face())
  written = []
  for order in (benchmark, Shuffled(benchmark, seed=1)):
    folder = tmp_path / f"out{len(written)}"
    for sample in order.samples():
      write_now(str(folder), sample, prediction)
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    written.append({name: path.read_bytes() for name, path in files.items()})
  assert written[0] == written[1] and len(written[0]) == 4
