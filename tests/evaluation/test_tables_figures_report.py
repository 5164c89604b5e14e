"""Tables, timing, figures, the report: what is written is what was measured."""

import csv
import io
import json
import math
import os
import re

import gin
import numpy as np
import pytest
from evaluation.evaluation_cases import TruthPredictor, shift_landmarks
from evaluation.scan_fixtures import face
from evaluation.test_landmark_benchmarks import write_aflw
from PIL import Image

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.evaluation import figures, tables, timing
from personalized_face.evaluation.aflw2000 import AFLW2000
from personalized_face.evaluation.benchmark import TURNED, Row, run_benchmark, score_row
from personalized_face.evaluation.predictions import NOT_FOUND, Prediction
from personalized_face.pipelines import evaluation


@pytest.fixture(autouse=True)
def no_configuration_stays():
  yield
  gin.clear_config()


class Blind(TruthPredictor):
  """Sees the first picture only."""

  def predict(self, sample, pictures):
    self.seconds.setdefault("detect", []).append(0.001 * (1 + len(self.seconds)))
    if sample.name != "image00002":
      return NOT_FOUND
    return super().predict(sample, pictures)


@pytest.fixture
def result(tmp_path):
  benchmark = AFLW2000(write_aflw(tmp_path))
  predictors = [
    TruthPredictor(benchmark, shift_landmarks(2), "two pixels"),
    Blind(benchmark, name="blind"),
  ]
  return run_benchmark(benchmark, predictors)


def test_markdown_has_ours_the_papers_and_the_sources(result):
  text = tables.markdown(tables.make_table(result))
  ours = next(line for line in text.splitlines() if line.startswith("| two pixels"))
  assert ours.count("5.00") == 5 and "| 4 | 0 | 0 | this run |" in ours
  blind = next(line for line in text.splitlines() if line.startswith("| blind"))
  assert "| 4 | 3 | 0 |" in blind
  paper = next(line for line in text.splitlines() if line.startswith("| the paper |"))
  assert "2.56 | 3.39 | 4.51 | 3.49" in paper and "Table 2b" in paper
  assert "sqrt(width x height)" in text


class OfNoUse(TruthPredictor):
  """A face without landmarks, then no file, then the truth."""

  def predict(self, sample, pictures):
    wrong = {"image00002": Prediction(True), "image00003": None, "image00004": None}
    return wrong.get(sample.name, super().predict(sample, pictures))


def test_other_counts_the_missing_and_the_unusable(tmp_path):
  benchmark = AFLW2000(write_aflw(tmp_path))
  table = tables.make_table(run_benchmark(benchmark, [OfNoUse(benchmark, name="s")]))
  assert tables.cells(table.rows[0], table.columns)[-3:] == ["4", "0", "3"]
  row = next(csv.DictReader(io.StringIO(tables.csv_text(table))))
  assert (row["no prediction"], row["unusable"]) == ("2", "1")


def test_csv_and_json_agree_with_the_table(result):
  table = tables.make_table(result)
  rows = list(csv.DictReader(io.StringIO(tables.csv_text(table))))
  assert rows[0]["system"] == "two pixels"
  assert float(rows[0]["mean_of_bins"]) == pytest.approx(5, rel=1e-5)
  assert rows[1]["30-60"] == "" and rows[1]["no face"] == "3"
  data = json.loads(json.dumps(tables.as_json(table), allow_nan=False))
  assert data["rows"][1]["values"]["30-60"] is None
  assert data["rows"][0]["values"]["plain_mean"] == pytest.approx(5, rel=1e-5)


def test_one_line_for_each_image_and_system(result):
  rows = list(csv.DictReader(io.StringIO(tables.per_sample_csv(result))))
  assert len(rows) == 8
  assert [r["status"] for r in rows if r["system"] == "blind"] == ["ok"] + [
    "no face"
  ] * 3


@pytest.mark.parametrize("name", specs.names("published"))
def test_published_figures_fit_their_benchmark(name):
  columns = evaluation.BENCHMARKS[name].columns
  rows = tables.published_rows(name, columns)
  # A table and where it stands; a bare "Table 1" names no paper.
  assert all(re.search("ECCV 2020|github.com/", row.source) for row in rows)
  with pytest.raises(UserError, match="no column"):
    tables.published_rows(name, {})


# {benchmark: (the column that is a mean, the columns it is the mean of)}, of the
# published rows that have them all.
_MEANS = {
  "aflw2000": ("mean_of_bins", ("0-30", "30-60", "60-90")),
  "300vw": ("auc", tuple(f"scenario {i} auc" for i in (1, 2, 3))),
  "expression": ("average", tuple(evaluation.BENCHMARKS["expression"].columns)[:9]),
}


@pytest.mark.parametrize(
  ("name", "count"), [("aflw2000", 6), ("300vw", 1), ("expression", 2)]
)
def test_published_means_are_means(name, count):
  mean, parts = _MEANS[name]
  rows = [
    row.values
    for row in tables.published_rows(name, evaluation.BENCHMARKS[name].columns)
    if not any(math.isnan(row.values[key]) for key in (mean, *parts))
  ]
  assert len(rows) == count
  for row in rows:
    # All were rounded to the last digit printed, 0.01 % or 0.001.
    digit = 0.01 if name == "aflw2000" else 0.001
    assert np.mean([row[key] for key in parts]) == pytest.approx(row[mean], abs=digit)


def test_turned_triangles_stand_beside_every_figure():
  class Anything:
    needs = ()

    def score(self, sample, prediction):
      return {"error": 1.0}

  mesh = face(9)
  flipped = mesh.triangles[:, ::-1]
  same = Prediction(
    True,
    vertices=mesh.vertices,
    triangles=mesh.triangles,
    template_vertices=mesh.vertices,
  )
  inside_out = same._replace(vertices=mesh.vertices * [1, 1, -9], triangles=flipped)
  sample = type("S", (), {"name": "a", "group": ""})
  assert score_row(Anything(), sample, "s", same).figures[TURNED] == 0
  assert score_row(Anything(), sample, "s", inside_out).figures[TURNED] > 50
  bare = Prediction(True)
  assert score_row(Anything(), sample, "s", bare).figures == {"error": 1.0}


def test_stage_milliseconds_leaves_the_first_call_out():
  medians = timing.stage_milliseconds({"track": [9.0, 0.01, 0.03, 0.02], "a": [0.5]})
  assert medians == {"track": pytest.approx(20), "a": 500}
  text = timing.timing_markdown({"ours": {"track": [9.0, 0.02]}}, 119.4)
  assert "| ours | 20.0 | 20.0 |" in text and "15.4 ms" in text and "119 MB" in text


def test_evaluate_writes_the_whole_folder(tmp_path):
  (tmp_path / "data").mkdir()
  benchmark = AFLW2000(write_aflw(tmp_path / "data"))
  output = tmp_path / "out"
  predictors = [
    TruthPredictor(benchmark, shift_landmarks(2), "two pixels"),
    Blind(benchmark, name="blind <b>"),
  ]
  evaluation.evaluate(
    benchmark,
    predictors,
    str(output),
    per_sample=True,
    keep_predictions=True,
    num_shown=2,
    command="pface_evaluate --benchmark=aflw2000",
  )
  found = {str(p.relative_to(output)) for p in output.rglob("*") if p.is_file()}
  wanted = {"table.md", "table.csv", "table.json", "samples.csv", "report.html"}
  names = ("side_by_side", "landmarks", "error_curve")
  wanted |= {f"figures/{name}.{e}" for name in names for e in ("pdf", "png")}
  wanted |= {f"predictions/two_pixels/image0000{i}.npz" for i in (2, 3, 4, 5)}
  wanted |= {f"predictions/blind_b/image0000{i}.npz" for i in (2, 3, 4, 5)}
  assert found == wanted
  report = (output / "report.html").read_text()
  assert report.count("data:image/png;base64,") == 3
  assert 'src="http' not in report and "<link" not in report
  assert "blind &lt;b&gt;" in report and "Table 2b" in report
  assert "blind &lt;b&gt;: image00003: no face" in report
  counted = "".join(f"<td>{count}</td>" for count in ("4", "0", "0"))
  assert f'<td>5.00</td>{counted}<td class="source">this run</td>' in report
  # What was kept scores the same when it is read back.
  kept = evaluation.FilePredictor(str(output / "predictions" / "two_pixels"), "again")
  again = run_benchmark(benchmark, [kept])
  assert benchmark.summary(again.rows)["plain_mean"] == pytest.approx(5, rel=1e-5)


def test_make_benchmark_and_predictors_exception_raised(tmp_path):
  with pytest.raises(UserError, match="no benchmark 'aflw'; choose one of aflw2000"):
    evaluation.make_benchmark("aflw", str(tmp_path))
  with pytest.raises(UserError, match="FaceWarehouse.correspondence_dir"):
    evaluation.make_benchmark("facewarehouse", str(tmp_path))
  with pytest.raises(UserError, match="AFLW2000"):
    evaluation.make_benchmark("aflw2000", str(tmp_path), ["AFLW2000.base = 1"])
  with pytest.raises(UserError, match="at least one of"):
    evaluation.make_predictors(None, with_detector=False)
  with pytest.raises(UserError, match="different names"):
    evaluation.make_predictors(None, predictions=[f"a={tmp_path}"] * 2)
  (tmp_path / "indices.txt").write_text("1 2 3")
  with pytest.raises(UserError, match="3 indices; 68"):
    evaluation.read_landmark_vertices(str(tmp_path / "indices.txt"))


def test_make_benchmark_sets_conventions(tmp_path):
  folder = write_aflw(tmp_path)
  made = evaluation.make_benchmark("aflw2000", folder, ["AFLW2000.index_base = 0.5"])
  assert "index base 0.5" in made.protocol


def test_error_curve_and_map_are_drawn(tmp_path):
  errors = {"a": np.array([1.0, 2, 3, np.nan]), "b": np.array([0.5, 0.5, 9, 9])}
  figure = figures.error_curves(errors, 5.0, "NME, %", "A caption.", {"a": 0.4, "b": 0})
  line = figure.axes[0].lines[0]
  x, y = line.get_data()
  # Three of four are found, at 1, 2 and 3.
  np.testing.assert_allclose(x, [0, 1, 2, 3, 5])
  np.testing.assert_allclose(y, [0, 0.25, 0.5, 0.75, 0.75])
  mesh = face()
  values = np.linspace(0, 4, len(mesh.vertices))
  values[:20] = np.nan
  drawn = figures.error_map(mesh.vertices, mesh.triangles, values, 5, "A caption.")
  assert len(drawn.axes) == 3 and drawn.axes[2].get_ylabel() == "mm"
  paths = figures.save(drawn, str(tmp_path / "map"))
  assert [os.path.basename(path) for path in paths] == ["map.pdf", "map.png"]
  assert open(paths[0], "rb").read(5) == b"%PDF-"
  assert np.asarray(Image.open(paths[1])).std() > 10  # not blank


def test_landmark_panel_is_cut_to_the_points():
  points = np.random.default_rng(0).uniform([60, 90], [100, 110], [68, 2])
  points[:2] = [[60, 90], [100, 110]]
  panel = figures.landmark_panel(np.zeros([200, 150, 3], np.uint8), {"a": points})
  assert panel.shape == (448, 448, 3)
  rows, columns = np.nonzero(panel[..., 1] > 120)
  # The longer side is 1 / 1.7 of the panel's; a dot is 7 pixels wide.
  side = 448 / 1.7
  for places, extent in ((columns, side), (rows, side / 2)):
    assert (places.min() + places.max()) / 2 == pytest.approx(223.5, abs=2)
    assert np.ptp(places) == pytest.approx(extent, abs=9)


def test_picture_grid_leaves_a_place_empty_and_checks_labels():
  picture = np.zeros([8, 8, 3], np.uint8)
  figure = figures.picture_grid([[picture, None]], ["a", "b"], ["row"], "Words " * 60)
  assert [len(axes.images) for axes in figure.axes] == [1, 0]
  with pytest.raises(ValueError, match="labels"):
    figures.picture_grid([[picture]], ["a", "b"], ["row"], "")


def test_rows_without_figures_are_nan_not_zero(result):
  empty = [Row("s", "a", "0-30", "no face", {})]
  assert all(math.isnan(v) for v in result.benchmark.summary(empty).values())
