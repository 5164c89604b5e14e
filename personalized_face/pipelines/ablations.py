"""Table 1 of the paper: its five rows, several seeds, one table with mean and spread.

    rows x seeds -> <output>/<row>_seed<n>/run           a training, resumable by itself
                                          /figures.json  its scores: it is done
                 -> <output>/table.md, table.csv

What is done is skipped; what was interrupted goes on from its last checkpoint.
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams

from personalized_face.core.errors import UserError
from personalized_face.data.detector import FaceDetector
from personalized_face.evaluation.benchmark import (
  TURNED,
  Sample,
  run_benchmark,
  values,
)
from personalized_face.evaluation.predictions import Prediction
from personalized_face.export.files import write_json, write_text
from personalized_face.metrics.landmarks import area_under_curve
from personalized_face.metrics.motion import correlation
from personalized_face.metrics.pictures import photometric_255
from personalized_face.pipelines.evaluation import make_benchmark, make_predictors
from personalized_face.pipelines.training import train_run

_FOLDER = "papers/personalized_face"


class AblationRow(NamedTuple):
  """One row of the table."""

  gin_file: str
  stages: tuple[str, ...]


ROWS = {
  "A": AblationRow(f"{_FOLDER}/ablation_a.gin", ("stage1",)),
  "B": AblationRow(f"{_FOLDER}/ablation_b.gin", ("stage1", "stage2")),
  "C": AblationRow(f"{_FOLDER}/ablation_c.gin", ("stage1", "stage2")),
  "D": AblationRow(f"{_FOLDER}/ablation_d.gin", ("stage1", "stage2")),
  "final": AblationRow(f"{_FOLDER}/stage2.gin", ("stage1", "stage2")),
}
COLUMNS = {
  "vertex_mm": "3D error mm",
  "vertex_sd_mm": "SD mm",
  "nme_percent": "NME %",
  "auc": "AUC",
  "photometric_255": "photo 0-255",
  TURNED: "turned %",
  "coefficient_mae": "w MAE",
  "coefficient_mae_of_zero": "w MAE of 0",
  "coefficient_correlation": "w corr.",
}
_AUC_LIMIT = 0.08  # NME at which the cumulative curve ends


def run_ablations(
  records_dir: str,
  clips_dir: str,
  output_dir: str,
  detector: FaceDetector,
  gin_files: Sequence[str],
  gin_params: Sequence[str] = (),
  template_name: str = "default",
  rows: Sequence[str] = tuple(ROWS),
  seeds: Sequence[int] = (0, 1, 2),
  warm_up_stages: Sequence[str] = ("warm_up",),
  limit: int | None = None,
) -> str:
  """Trains and scores what is not done yet.

  Args:
    records_dir: of the persons to train on.
    clips_dir: of other persons, as `pface_synthesize_data` wrote them.
    output_dir: gets the runs and the table.
    detector: finds the faces of the test clips.
    gin_files, gin_params: the size, over each row's own configuration.
    template_name: "default" or a path.
    rows: of ROWS.
    seeds: every row is trained with each.
    warm_up_stages: names of stages before the paper's, alike in every row.
    limit: so many test frames at most.

  Returns:
    The table, Markdown.

  Raises:
    UserError: no such row; whatever `train_run` and the benchmark raise.
  """
  for name in rows:
    if name not in ROWS:
      raise UserError(f"There is no row {name!r}; choose among {', '.join(ROWS)}.")
  for seed in seeds:  # outermost: the first whole table is there soonest
    for name in rows:
      folder = os.path.join(output_dir, f"{name}_seed{seed}")
      done = os.path.join(folder, "figures.json")
      if os.path.isfile(done):
        logging.info("%s is done.", folder)
        continue
      row = ROWS[name]
      stages = (*warm_up_stages, *row.stages)
      seeded = [
        f"make_deterministic.seed = {seed}",
        f"train.seed = {1000 * seed}",  # a stage's order of data is this plus its index
        f"train.stages = {stages}",
      ]
      run_dir = os.path.join(folder, "run")
      logging.info("Row %s, seed %d.", name, seed)
      files = [row.gin_file, *gin_files]
      train_run(records_dir, run_dir, template_name, files, [*gin_params, *seeded])
      figures = score_run(run_dir, clips_dir, detector, limit)
      _log_hyperparameters(run_dir, name, seed, figures)
      write_json(done, figures)
      # The graphs of one run are not kept beside the next one's.
      keras.utils.clear_session()
      gin.clear_config()
      write_table(output_dir)
  return write_table(output_dir)


def score_run(
  run_dir: str, clips_dir: str, detector: FaceDetector, limit: int | None = None
) -> dict[str, float]:
  """The figures of COLUMNS over the frames of the test clips.

  Args:
    run_dir: a finished run.
    clips_dir, detector, limit: see `run_ablations`.
  """
  predictors, _ = make_predictors(
    detector, [f"run={run_dir}"], with_prior=False, with_detector=False
  )
  gin.clear_config()
  benchmark = make_benchmark("synthetic", clips_dir)
  seen: list[tuple[np.ndarray, np.ndarray]] = []  # w predicted, w true
  photometric: list[float] = []

  def keep(
    system: str, sample: Sample, picture: np.ndarray, prediction: Prediction
  ) -> None:
    if not prediction.found:
      return
    seen.append((prediction.coefficients, sample.truth.expression))
    crop = predictors[0].solved[2] / 255.0
    photometric.append(photometric_255(crop, prediction.rendering, prediction.mask))

  result = run_benchmark(benchmark, predictors, limit, keep)
  found = {key: values(result.rows, key) for key in (*benchmark.columns, TURNED)}
  if not seen:
    raise UserError(
      f"No face was found in any frame of {clips_dir}; test on other clips."
    )
  predicted, true = (np.stack(part) for part in zip(*seen, strict=True))
  per_shape = [
    correlation(predicted[:, i], true[:, i])
    for i in range(true.shape[1])
    if np.ptp(true[:, i]) > 0
  ]
  figures = {
    "vertex_mm": np.nanmean(found["vertex_mm"]),
    "vertex_sd_mm": np.nanstd(found["vertex_mm"]),
    "nme_percent": np.nanmean(found["nme_percent"]),
    "auc": area_under_curve(found["nme_percent"] / 100, _AUC_LIMIT),
    "photometric_255": np.nanmean(photometric),
    TURNED: np.nanmean(found[TURNED]),
    "coefficient_mae": np.nanmean(found["coefficient_mae"]),
    "coefficient_mae_of_zero": np.abs(true).mean(),
    "coefficient_correlation": np.nanmean(per_shape),
    "frames": len(result.rows),
    "frames_without_face": len(result.rows) - len(seen),
  }
  return {key: float(value) for key, value in figures.items()}


def write_table(output_dir: str) -> str:
  """Gathers what is done; writes table.md and table.csv, returns the former."""
  gathered: dict[str, list[dict]] = {}
  for name in ROWS:
    for entry in sorted(os.listdir(output_dir)):
      path = os.path.join(output_dir, entry, "figures.json")
      if entry.startswith(f"{name}_seed") and os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
          gathered.setdefault(name, []).append(json.load(file))
  lines = [
    "| row | seeds | " + " | ".join(COLUMNS.values()) + " |",
    "|---" * (len(COLUMNS) + 2) + "|",
  ]
  text = io.StringIO()
  writer = csv.writer(text)
  writer.writerow(
    ["row", "seeds", *(f"{k} {s}" for k in COLUMNS for s in "mean sd".split())]
  )
  for name, runs in gathered.items():
    cells, numbers = [], []
    for key in COLUMNS:
      column = np.array([run.get(key, np.nan) for run in runs])
      numbers += [column.mean(), column.std(ddof=1) if len(runs) > 1 else np.nan]
      spread = f" ± {numbers[-1]:.2g}" if len(runs) > 1 else ""
      cells.append(f"{numbers[-2]:.4g}{spread}")
    lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    writer.writerow([name, len(runs), *numbers])
  markdown = "\n".join(lines) + "\n"
  write_text(os.path.join(output_dir, "table.md"), markdown)
  write_text(os.path.join(output_dir, "table.csv"), text.getvalue())
  return markdown


def _log_hyperparameters(
  run_dir: str, row: str, seed: int, figures: dict[str, float]
) -> None:
  """TensorBoard's table of runs: the row and the seed beside the figures."""
  writer = tf.summary.create_file_writer(os.path.join(run_dir, "logs", "hparams"))
  with writer.as_default(step=0):
    hparams.hparams({"row": row, "seed": seed}, trial_id=f"{row}_seed{seed}")
    for key in COLUMNS:
      if key in figures:
        tf.summary.scalar(f"table/{key}", figures[key])
  writer.close()
