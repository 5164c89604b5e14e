"""The queue of Table 1 at toy size: it trains, scores, skips, goes on and tabulates."""

import json
import shutil

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from PIL import Image
from toy_run import CONFIG, SIZE, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.pipelines import ablations
from personalized_face.training.checkpoints import load_system

SMALL = """
stage1/Stage.steps = 2
stage2/Stage.steps = 1
stage1/Stage.learning_rate = 1e-3
warm_up/Stage.steps = 2
warm_up/Stage.learning_rate = 1e-3
warm_up/Stage.train_track_net = True
warm_up/Stage.train_model_net = False
warm_up/Stage.train_mean_albedo = False
warm_up/Stage.corrections = False
stage2/Stage.learning_rate = 1e-3
train.groups_per_batch = 1
build_system.jit_compile_renderer = False
"""


def _weights(folder):
  """{file: (its content's hash, when it was written)} of all checkpoints."""
  return {
    path: (hash(path.read_bytes()), path.stat().st_mtime_ns)
    for path in folder.glob("*/run/*/ckpt-*")
  }


@pytest.fixture(autouse=True)
def clean_gin():
  yield
  gin.clear_config()


@pytest.fixture
def queue(tmp_path, monkeypatch):
  """Runs rows; scores are made up, trainings are real."""
  folder = tmp_path / "ablations"
  folder.mkdir()
  toy_template().save(str(tmp_path / "toy.npz"))
  size = tmp_path / "size.gin"
  # What a row itself says stays the row's.
  of_row = ("train.stages", "Stage.train_")
  kept = [line for line in CONFIG.splitlines() if not any(n in line for n in of_row)]
  size.write_text("\n".join(kept) + SMALL)
  records = write_toy_records(str(tmp_path / "records"))
  trained = []

  def score(run_dir, clips_dir, detector, limit=None, stage=None):
    system = load_system(run_dir, stage)
    trained.append((run_dir.split("/")[-2], stage or system.shape_corrections))
    seed = int(run_dir.split("seed")[-1][0])
    cosines = {"cosine/jawOpen": 0.75 if stage else 0.5}
    return {"vertex_mm": 2.0 + seed, "nme_percent": 1.5, **cosines}

  monkeypatch.setattr(ablations, "score_run", score)

  def run(rows, seeds, warm_up_stages=(), clips_dir="clips"):
    del trained[:]
    table = ablations.run_ablations(
      records,
      clips_dir,
      str(folder),
      None,
      [str(size)],
      template_name=str(tmp_path / "toy.npz"),
      rows=rows,
      seeds=seeds,
      warm_up_stages=warm_up_stages,
    )
    return table, list(trained)

  return run, folder


def test_rows_and_seeds_are_trained_once_scored_and_tabulated(queue):
  run, folder = queue
  _, trained = run(("A",), (0,))
  assert trained == [("A_seed0", "none")]
  table, trained = run(("A", "B"), (0,))
  assert trained == [("B_seed0", "all")]  # A is not trained again
  (folder / "A_seed1").mkdir()
  figures = {"vertex_mm": 3.0, "nme_percent": 1.5}
  (folder / "A_seed1" / "figures.json").write_text(json.dumps(figures))
  table = ablations.write_table(str(folder))
  rows = [line.split("|") for line in table.splitlines()]
  assert [row[1].strip() for row in rows] == ["row", "---", "A", "B"]
  assert rows[2][2].strip() == "2"
  # 2 and 3: mean 2.5, standard deviation of a sample .71.
  assert rows[2][3].strip() == "2.5 ± 0.71"
  assert rows[3][3].strip() == "2"
  assert (folder / "table.csv").read_text().startswith("row,seeds,vertex_mm mean")
  assert (folder / "B_seed0" / "run" / "logs" / "hparams").is_dir()
  # Scored on held-out frames, without clips: as if killed before they were scored.
  shutil.rmtree(folder / "A_seed1")
  before = _weights(folder)
  for name in ("A", "B"):
    (folder / f"{name}_seed0" / "figures.json").unlink()
  table, trained = run(("A", "B"), (0,), clips_dir=None)
  assert _weights(folder) == before and len(before) > 2  # not trained again
  assert trained == [] and "| nan | nan |" in table  # no 3D error of real people
  figures = [
    json.loads((folder / f"{name}_seed0" / "figures.json").read_text())
    for name in ("A", "B")
  ]
  assert figures[0]["cosine/jawOpen"] == pytest.approx(1)  # A corrects nothing
  assert figures[0]["turned_triangles_percent"] == 0
  for found in figures:
    assert found["frames"] == 2 and found["nme_percent"] > 0
    assert 0 <= found["parsing_error_percent"] <= 100
  shown = np.asarray(Image.open(folder / "rows.png"))
  # Two frames under one another; the input, overlay and shape of two rows.
  assert shown.shape == (22 + 2 * SIZE, 54 + 5 * SIZE, 3)


def test_a_table_of_two_seeds_has_the_deviation_of_a_sample(tmp_path):
  for seed, error in enumerate((2.0, 3.0)):
    (tmp_path / f"A_seed{seed}").mkdir()
    figures = {"vertex_mm": error, "nme_percent": 1.5}
    (tmp_path / f"A_seed{seed}" / "figures.json").write_text(json.dumps(figures))
  line = ablations.write_table(str(tmp_path)).splitlines()[-1]
  assert "| A | 2 | 2.5 ± 0.71 |" in " ".join(line.split())


def test_rows_begin_with_one_warm_up_and_the_last_is_scored_after_each_stage(queue):
  run, folder = queue
  _, trained = run(("A", "final"), (0,), ("warm_up",))
  assert trained[1:] == [("final_seed0", "stage1"), ("final_seed0", "all")]
  stages = (folder / "stages.md").read_text().splitlines()
  assert [line.split("|")[1].strip() for line in stages[2:]] == [
    "stage 1 alone",
    "stage 1 and stage 2",
  ]
  assert "| jawOpen | 0.500 |" in (folder / "blendshapes.md").read_text()
  states = [
    tf.train.load_checkpoint(str(folder / f"{name}_seed0" / "run" / "warm_up"))
    for name in ("warm_up", "A", "final")
  ]
  keys = sorted(states[0].get_variable_to_dtype_map())
  for key in keys:
    for state in states[1:]:
      np.testing.assert_array_equal(state.get_tensor(key), states[0].get_tensor(key))
  before = states[0].get_tensor(next(k for k in keys if k.startswith("system/track")))
  assert np.any(before)
  (figures,) = folder.glob("A_seed0/figures.json")
  assert "stage1/vertex_mm" not in json.loads(figures.read_text())


def test_unknown_row_is_one_sentence(queue):
  with pytest.raises(UserError, match="no row 'E'; choose among A, B, C, D, final"):
    queue[0](("E",), (0,))
