"""A whole evaluation: benchmark, predictors, tables, predictions, all in one folder.

<output_dir>/table.md .csv .json   the table, published figures beside ours
             report.html           all of it in one file that needs no other
             figures/*.pdf *.png   see evaluation_figures.py
             samples.csv           on request: a line for each sample and system
             predictions/<system>/ on request: what each system said (predictions.py)
             now/<system>/         for NoW: the input of the challenge's script
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face import config
from personalized_face.authoring.cache import DEFAULT, load_template
from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.data.crop import CROP_SIZE
from personalized_face.data.detector import FaceDetector
from personalized_face.evaluation import tables, timing
from personalized_face.evaluation.aflw2000 import AFLW2000
from personalized_face.evaluation.benchmark import (
  Benchmark,
  Predictor,
  Result,
  Sample,
  run_benchmark,
)
from personalized_face.evaluation.celeba import CelebA
from personalized_face.evaluation.correspondences import BU3DFE, FaceWarehouse
from personalized_face.evaluation.expression import Expression
from personalized_face.evaluation.fit_solver import FitSolver, PriorFitSolver
from personalized_face.evaluation.now import NoW, write_now
from personalized_face.evaluation.predictions import (
  Prediction,
  path_of,
  write_prediction,
)
from personalized_face.evaluation.predictors import (
  DetectorPredictor,
  FilePredictor,
  ModelPredictor,
  NetworkSolver,
  PriorSolver,
  Solver,
)
from personalized_face.evaluation.report import report_html
from personalized_face.evaluation.scans import Scans
from personalized_face.evaluation.synthetic import Synthetic
from personalized_face.evaluation.synthetic_expression import SyntheticExpression
from personalized_face.evaluation.videos_300vw import Videos300VW
from personalized_face.export.files import write_json, write_text
from personalized_face.fitting.system import build_fitting_system
from personalized_face.pipelines.evaluation_figures import FigureCollector
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.checkpoints import load_system

BENCHMARKS: dict[str, Callable[..., Benchmark]] = {
  benchmark.name: benchmark
  for benchmark in (
    *(AFLW2000, Videos300VW, BU3DFE, FaceWarehouse, Scans, NoW, CelebA, Expression),
    *(Synthetic, SyntheticExpression),
  )
}


FIT_CONFIGURATION = "fitting/personalize.gin"


class FitSettings(NamedTuple):
  """Of the predictor that fits each sample's pictures."""

  template: str = DEFAULT  # or a path
  image_size: int = CROP_SIZE  # side of the crops, pixels
  gin_params: Sequence[str] = ()  # after FIT_CONFIGURATION, such as steps


def make_benchmark(
  name: str, data_dir: str, gin_params: Sequence[str] = ()
) -> Benchmark:
  """Builds a benchmark over its data.

  Args:
    name: one of BENCHMARKS.
    data_dir: laid out as published.
    gin_params: its conventions, such as "AFLW2000.index_base = 0.5".

  Raises:
    UserError: an unknown name or value, or data that are not laid out so.
  """
  if name not in BENCHMARKS:
    raise UserError(
      f"There is no benchmark {name!r}; choose one of {', '.join(BENCHMARKS)}."
    )
  config.parse([], gin_params)
  try:
    return BENCHMARKS[name](data_dir)
  except (ValueError, RuntimeError, TypeError) as error:
    # gin's own complaint, of a required value that is not set, is a RuntimeError.
    sentence = config.explain(error) or f"The benchmark {name}: {error}."
    raise UserError(sentence) from error


def make_predictors(
  detector: FaceDetector,
  checkpoints: Sequence[str] = (),
  predictions: Sequence[str] = (),
  with_prior: bool = True,
  with_detector: bool = True,
  landmark_vertices: np.ndarray | None = None,
  annotated_points: bool = False,
  fit: FitSettings | None = None,
) -> tuple[list[Predictor], PersonalizedFace | None]:
  """The systems to compare, in the order of the table.

  Args:
    detector: finds the faces; its own points are a baseline.
    checkpoints: "RUN_DIR" or "NAME=RUN_DIR" each.
    predictions: "DIR" or "NAME=DIR" each, files of another system.
    with_prior: adds the first run's tracker on the bare template, and the bare template
      beside a fit.
    with_detector: adds the detector's own points.
    landmark_vertices: see ModelPredictor; None: each template's own.
    annotated_points: which of its own, see Benchmark: those that people annotate, or
      those that our detector finds.
    fit: adds the face model fitted to each sample, without a run. Its configuration is
      in force from here on, so it is made after the runs were loaded.

  Returns:
    The predictors, and the system of the first run; without one, of the fit.

  Raises:
    UserError: no such run or folder, or nothing to compare.
  """
  systems = {}
  for text in checkpoints:
    name, folder = _named(text, "run")
    systems[name] = load_system(folder)
  made: list[Predictor] = []

  def add(name: str, system: PersonalizedFace, solver: Solver) -> None:
    marks = landmark_vertices
    if marks is None and annotated_points:
      marks = system.template.anatomical_landmarks
    made.append(ModelPredictor(name, system, solver, detector, landmark_vertices=marks))

  for name, system in systems.items():
    add(name, system, (PriorSolver if system.is_prior else NetworkSolver)(system))
  first = next(iter(systems.values()), None)
  if with_prior and first is not None and not first.is_prior:
    add("its tracker, bare template", first, PriorSolver(first))
  if fit is not None:
    config.parse([FIT_CONFIGURATION], fit.gin_params)
    system = build_fitting_system(load_template(fit.template), fit.image_size)
    add("ours, fitted to each sample", system, FitSolver(system, detector))
    if with_prior:
      add("bare template, fitted", system, PriorFitSolver(system, detector))
    first = first or system
  if with_detector:
    made.append(DetectorPredictor(detector))
  for text in predictions:
    name, folder = _named(text, "predictions")
    made.append(FilePredictor(folder, name))
  names = [predictor.name for predictor in made]
  if not made or len(set(names)) != len(names):
    raise UserError(
      "Give at least one of --checkpoint, --predictions, --fit and --detector, and "
      f"different names (NAME=DIR); got {names}."
    )
  return made, first


def evaluate(
  benchmark: Benchmark,
  predictors: Sequence[Predictor],
  output_dir: str,
  limit: int | None = None,
  per_sample: bool = False,
  keep_predictions: bool = False,
  system: PersonalizedFace | None = None,
  num_shown: int = 6,
  command: str = "",
) -> Result:
  """Runs a benchmark and writes the folder of the module docstring.

  Args:
    benchmark, predictors, limit: see `run_benchmark`.
    output_dir: made if missing.
    per_sample: also writes samples.csv.
    keep_predictions: also writes predictions/.
    system: of the first predictor with a mesh, for its networks' size and the paper's
      figures.
    num_shown: pictures in each figure; 0 draws none.
    command: for the report.
  """
  collect = FigureCollector(benchmark, predictors, num_shown)

  def keep(
    name: str, sample: Sample, picture: np.ndarray, prediction: Prediction
  ) -> None:
    collect(name, sample, picture, prediction)
    if keep_predictions:
      folder = os.path.join(output_dir, "predictions", file_name(name))
      write_prediction(path_of(folder, sample.name), prediction)
    if benchmark.name == NoW.name:
      write_now(os.path.join(output_dir, "now", file_name(name)), sample, prediction)

  result = run_benchmark(benchmark, predictors, limit, keep)
  # The figures come last: an interruption while they are drawn loses no number.
  write_tables(result, output_dir, system, per_sample)
  drawn = collect.write(result, output_dir, system) if num_shown else []
  megabytes = timing.network_megabytes(system)
  times = timing.timing_markdown(result.seconds, megabytes)
  report = report_html(result, times, drawn, command)
  write_text(os.path.join(output_dir, "report.html"), report)
  return result


def write_tables(
  result: Result,
  output_dir: str,
  system: PersonalizedFace | None = None,
  per_sample: bool = False,
) -> str:
  """Writes table.md, .csv and .json; returns the Markdown."""
  table, common = tables.make_table(result), tables.make_common_table(result)
  megabytes = timing.network_megabytes(system)
  parts = [tables.markdown(table)]
  if common:
    parts.append(tables.markdown(common))
  if any(result.seconds.values()):
    parts.append(timing.timing_markdown(result.seconds, megabytes))
  text = "\n".join(parts)
  write_text(os.path.join(output_dir, "table.md"), text)
  write_text(os.path.join(output_dir, "table.csv"), tables.csv_text(table))
  milliseconds = {
    name: timing.stage_milliseconds(taken) for name, taken in result.seconds.items()
  }
  write_json(
    os.path.join(output_dir, "table.json"),
    {
      "benchmark": result.benchmark.name,
      **tables.as_json(table),
      "common": tables.as_json(common) if common else None,
      "without_figures": tables.without_figures(result),
      "stage_ms": milliseconds,
      "hardware": timing.hardware(),
      "networks_mb": megabytes,
    },
  )
  if per_sample:
    write_text(os.path.join(output_dir, "samples.csv"), tables.per_sample_csv(result))
  for line in tables.without_figures(result)[:20]:
    logging.warning("%s", line)
  return text


def read_landmark_vertices(path: str | None) -> np.ndarray | None:
  """68 vertex indices from a text file; None for None.

  Raises:
    UserError: no such file, or not 68 whole numbers.
  """
  if path is None:
    return None
  try:
    indices = np.loadtxt(path, dtype=np.int64).ravel()
  except (OSError, ValueError) as error:
    raise UserError(f"The landmark indices cannot be read ({error}).") from error
  if len(indices) != NUM_LANDMARKS or indices.min() < 0:
    raise UserError(f"{path} has {len(indices)} indices; 68 from 0 on are needed.")
  return indices


def file_name(system: str) -> str:
  """The name of a system as a folder's: letters, digits, dash and dot."""
  return re.sub(r"[^\w.-]+", "_", system).strip("_")


def _named(text: str, default: str) -> tuple[str, str]:
  """ "NAME=DIR" or "DIR" to name and folder."""
  name, separator, folder = text.partition("=")
  if separator:
    return name, folder
  return os.path.basename(os.path.normpath(text)) or default, text
