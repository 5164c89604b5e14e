"""Table 1 of the paper: its five rows, several seeds, tables with mean and spread.

    seeds        -> <output>/warm_up_seed<n>/run         the stages that all rows share
    rows x seeds -> <output>/<row>_seed<n>/run           a training, resumable by itself
                                          /figures.json  its scores: it is done
                 -> <output>/table.md, table.csv         the rows
                    <output>/stages.md                   a row after each of its stages
                    <output>/blendshapes.md              its shapes and the template's
                    <output>/rows.png                    held-out frames, row beside row

What is done is skipped; what was interrupted goes on from its last checkpoint.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image
from tensorboard.plugins.hparams import api as hparams

from personalized_face.core.errors import UserError
from personalized_face.data.detector import FaceDetector
from personalized_face.evaluation.benchmark import TURNED
from personalized_face.export.files import write_json, write_png, write_text
from personalized_face.inference import pictures
from personalized_face.pipelines.ablation_figures import (
  COSINE,
  score_held_out,
  score_run,
)
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
_WHOLE = ROWS["final"]  # whose networks all rows begin with
COLUMNS = {
  "vertex_mm": "3D error mm",
  "vertex_sd_mm": "SD mm",
  "nme_percent": "NME %",
  "auc": "AUC",
  "photometric_255": "photo 0-255",
  "parsing_error_percent": "parsing error %",
  TURNED: "turned %",
  "blendshape_cosine": "cosine of shapes",
  "blendshape_cosine_least": "least cosine",
  "coefficient_mae": "w MAE",
  "coefficient_mae_of_zero": "w MAE of 0",
  "coefficient_correlation": "w corr.",
}
_STAGES_ROW = "final"  # is scored after each of its stages
_BEFORE = "stage1/"  # heads the keys of its figures after the first of them


def run_ablations(
  records_dir: str,
  clips_dir: str | None,
  output_dir: str,
  detector: FaceDetector | None,
  gin_files: Sequence[str],
  gin_params: Sequence[str] = (),
  template_name: str = "default",
  rows: Sequence[str] = tuple(ROWS),
  seeds: Sequence[int] = (0, 1, 2),
  warm_up_stages: Sequence[str] = ("warm_up", "warm_up_faces"),
  limit: int | None = None,
) -> str:
  """Trains and scores what is not done yet.

  Args:
    records_dir: of the persons to train on.
    clips_dir: of other persons, as `pface_synthesize_data` wrote them; None: the rows
      are scored on the held-out frames of the records.
    output_dir: gets the runs and the tables.
    detector: finds the faces of the test clips; not needed without them.
    gin_files, gin_params: the size, over each row's own configuration.
    template_name: "default" or a path.
    rows: of ROWS.
    seeds: every row is trained with each.
    warm_up_stages: names of stages before the paper's, alike in every row: trained once
      for each seed.
    limit: so many test frames at most.

  Returns:
    The table, Markdown.

  Raises:
    UserError: no such row; whatever `train_run` and the benchmark raise.
  """
  for name in rows:
    if name not in ROWS:
      raise UserError(f"There is no row {name!r}; choose among {', '.join(ROWS)}.")

  def score(run_dir: str, stage: str | None = None) -> dict[str, float]:
    if clips_dir is None:
      return score_held_out(run_dir, records_dir, stage)
    return score_run(run_dir, clips_dir, detector, limit, stage)

  def train(run_dir: str, row_file: str, stages: Sequence[str], seed: int) -> None:
    seeded = [
      f"make_deterministic.seed = {seed}",
      f"train.seed = {1000 * seed}",  # a stage's order of data: this plus its index
      f"train.stages = {tuple(stages)}",
    ]
    files = [row_file, *gin_files]
    train_run(records_dir, run_dir, template_name, files, [*gin_params, *seeded])
    # The graphs of one run are not kept beside the next one's.
    keras.utils.clear_session()
    gin.clear_config()

  for seed in seeds:  # outermost: the first whole table is there soonest
    shared = os.path.join(output_dir, f"warm_up_seed{seed}", "run")
    for name in rows:
      folder = os.path.join(output_dir, f"{name}_seed{seed}")
      done = os.path.join(folder, "figures.json")
      if os.path.isfile(done):
        logging.info("%s is done.", folder)
        continue
      row = ROWS[name]
      run_dir = os.path.join(folder, "run")

      if warm_up_stages:
        logging.info("What all rows begin with, seed %d.", seed)
        train(shared, _WHOLE.gin_file, warm_up_stages, seed)
        _share(shared, run_dir, warm_up_stages)
      logging.info("Row %s, seed %d.", name, seed)
      train(run_dir, row.gin_file, (*warm_up_stages, *row.stages), seed)
      before = score(run_dir, row.stages[0]) if name == _STAGES_ROW else {}
      figures = score(run_dir)
      figures |= {f"{_BEFORE}{key}": value for key, value in before.items()}
      _log_hyperparameters(run_dir, name, seed, figures)
      write_json(done, figures)
      keras.utils.clear_session()
      gin.clear_config()
      write_table(output_dir)
  return write_table(output_dir)


def _share(shared: str, run_dir: str, stages: Sequence[str]) -> None:
  """Gives a row the checkpoints of the stages that all rows begin with."""
  for stage in stages:
    target = os.path.join(run_dir, stage)
    if not os.path.isdir(target):
      shutil.rmtree(f"{target}.partial", ignore_errors=True)
      shutil.copytree(os.path.join(shared, stage), f"{target}.partial")
      os.rename(f"{target}.partial", target)


def write_table(output_dir: str) -> str:
  """Gathers what is done; writes the tables, returns table.md."""
  gathered: dict[str, list[dict]] = {}
  for name in ROWS:
    for entry in sorted(os.listdir(output_dir)):
      path = os.path.join(output_dir, entry, "figures.json")
      if entry.startswith(f"{name}_seed") and os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
          gathered.setdefault(name, []).append(json.load(file))
  markdown = _markdown(gathered)
  write_text(os.path.join(output_dir, "table.md"), markdown)
  write_text(os.path.join(output_dir, "table.csv"), _csv_text(gathered))
  if _STAGES_ROW in gathered:
    after = gathered[_STAGES_ROW]
    before = [
      {key.removeprefix(_BEFORE): run[key] for key in run if key.startswith(_BEFORE)}
      for run in after
    ]
    stages = {"stage 1 alone": before, "stage 1 and stage 2": after}
    write_text(os.path.join(output_dir, "stages.md"), _markdown(stages))
  write_text(os.path.join(output_dir, "blendshapes.md"), _cosines(gathered))
  _write_side_by_side(output_dir)
  return markdown


def _write_side_by_side(output_dir: str) -> None:
  """The held-out frames of the first seed's rows in one picture, if there are any."""
  strips, labels = [], []
  for name in ROWS:
    folder = os.path.join(output_dir, f"{name}_seed0")
    if not os.path.isfile(os.path.join(folder, "held_out.png")):
      continue
    for file, columns in (("input", ("input",)), ("held_out", (name, f"{name} shape"))):
      if file == "held_out" or not strips:
        strips.append(np.asarray(Image.open(os.path.join(folder, f"{file}.png"))))
        labels += columns
  if strips:
    side = strips[0].shape[1]
    rows = np.concatenate(strips, axis=1).reshape(-1, side, len(labels) * side, 3)
    numbers = [str(i + 1) for i in range(len(rows))]
    picture = pictures.sheet(rows / 255, labels, numbers)
    write_png(os.path.join(output_dir, "rows.png"), picture)


def _markdown(gathered: dict[str, list[dict]]) -> str:
  """Rows of mean ± standard deviation over the runs of each name."""
  lines = [
    "| row | seeds | " + " | ".join(COLUMNS.values()) + " |",
    "|---" * (len(COLUMNS) + 2) + "|",
  ]
  for name, runs in gathered.items():
    cells = []
    for key in COLUMNS:
      mean, spread = _statistics(runs, key)
      cells.append(f"{mean:.4g}" + (f" ± {spread:.2g}" if len(runs) > 1 else ""))
    lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
  return "\n".join(lines) + "\n"


def _csv_text(gathered: dict[str, list[dict]]) -> str:
  text = io.StringIO()
  writer = csv.writer(text)
  writer.writerow(
    ["row", "seeds", *(f"{k} {s}" for k in COLUMNS for s in "mean sd".split())]
  )
  for name, runs in gathered.items():
    numbers = [number for key in COLUMNS for number in _statistics(runs, key)]
    writer.writerow([name, len(runs), *numbers])
  return text.getvalue()


def _cosines(gathered: dict[str, list[dict]]) -> str:
  """A line for each blendshape: its cosine with the template's, in each row."""
  keys = sorted(
    {key for runs in gathered.values() for run in runs for key in run}, key=str.lower
  )
  lines = [
    f"| blendshape | {' | '.join(gathered)} |",
    "|---" * (len(gathered) + 1) + "|",
  ]
  for key in keys:
    if key.startswith(COSINE):
      means = [_statistics(runs, key)[0] for runs in gathered.values()]
      cells = " | ".join(f"{mean:.3f}" for mean in means)
      lines.append(f"| {key.removeprefix(COSINE)} | {cells} |")
  return "\n".join(lines) + "\n"


def _statistics(runs: Sequence[dict], key: str) -> tuple[float, float]:
  """Mean and standard deviation of a sample, NaN where there is none."""
  column = np.array([run.get(key, np.nan) for run in runs])
  return column.mean(), column.std(ddof=1) if len(runs) > 1 else np.nan


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
