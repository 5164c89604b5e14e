"""What a benchmark is: samples, a protocol, a metric. And the loop that runs one.

    for each clip of the benchmark, for each predictor:
      pictures --predict--> Prediction --score--> a row of figures for that sample
    rows --summary--> one table row for each predictor

A sample whose face was not found, or for which a file is missing, keeps its row and is
counted in the table; benchmarks that have a worst case (a failure rate, an area under a
curve) count it as that.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from absl import logging

from personalized_face.evaluation.predictions import Prediction
from personalized_face.metrics.surface import turned_triangles_percent
from personalized_face.progress import tqdm

OK, NO_FACE, MISSING, UNUSABLE = "ok", "no face", "no prediction", "unusable"
# Beside every figure (DESIGN section 8): a torn mesh can have a good one.
TURNED = "turned_triangles_percent"


class Sample(NamedTuple):
  """One thing to predict: a picture, or several of one person (N > 1)."""

  name: str  # unique; also names the prediction's file
  # Reads the N pictures, [H, W, 3] uint8 RGB each.
  pictures: Callable[[], list[np.ndarray]]
  group: str = ""  # such as a yaw bin or a scenario
  clip: str = ""  # frames of one clip follow one another; "" is a still
  truth: Any = None  # whatever the benchmark compares with, or reads it from


class Row(NamedTuple):
  """The figures of one sample by one system."""

  system: str
  sample: str
  group: str
  status: str  # OK, NO_FACE, MISSING or UNUSABLE
  figures: dict[str, float]  # empty unless OK
  # Of several pictures of the sample: those in which no face was found, though it was
  # in another.
  lost_pictures: int = 0


class Benchmark(Protocol):
  """Samples + protocol + metric.

  Attributes:
    name: as --benchmark names it; also of its published figures in data_specs.
    title: for people.
    protocol: one or two sentences: normaliser, alignment, what is excluded, with the
      values used.
    needs: fields of Prediction without which nothing can be scored.
    columns: of the table, in order, {key: heading with the unit}.
    higher_is_better: the keys of the columns for which it is.
    annotated_points: whether its 68 points were placed by people, on photos or scans; a
      template's `anatomical_landmarks` mean the same ones, and its `landmark_vertices`
      those of our detector, up to 12 px away.
  """

  name: str
  title: str
  protocol: str
  needs: tuple[str, ...]
  columns: Mapping[str, str]
  higher_is_better: tuple[str, ...]
  annotated_points: bool

  def samples(self) -> Iterator[Sample]:
    """In order; the frames of a clip one after another."""
    ...

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """The figures of one found face; raises ValueError where it cannot be scored."""
    ...

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """All rows of one system to the values of `columns`; NaN where undefined."""
    ...

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The ground truth as a Prediction; it scores zero (or the best)."""
    ...


class Predictor(Protocol):
  """Something that looks at pictures. See predictors.py.

  Attributes:
    name: heads its table row.
    seconds: {stage: seconds of each call}, filled while it works.
  """

  name: str
  seconds: dict[str, list[float]]

  def predict(self, sample: Sample, pictures: list[np.ndarray]) -> Prediction | None:
    """One sample; None where there is no prediction (a missing file).

    Called in the order of the samples: one of the same clip as the sample before may
    use what was seen there.
    """
    ...


class Result(NamedTuple):
  """A whole evaluation."""

  benchmark: Benchmark
  rows: list[Row]
  seconds: dict[str, dict[str, list[float]]]  # {system: {stage: seconds}}
  order: list[str]  # systems, as they were given

  def of(self, system: str) -> list[Row]:
    """The rows of one system."""
    return [row for row in self.rows if row.system == system]


def run_benchmark(
  benchmark: Benchmark,
  predictors: Sequence[Predictor],
  limit: int | None = None,
  on_prediction: Callable[[str, Sample, np.ndarray, Prediction], None] | None = None,
) -> Result:
  """Predicts and scores every sample with every predictor.

  Args:
    benchmark: see Benchmark.
    predictors: of different names.
    limit: only so many samples, for a first look; the table says so.
    on_prediction: gets (system, sample, first picture, prediction) of each, to keep
      or to draw.

  Raises:
    ValueError: two predictors of one name, or two samples.
    UserError: the data are not there or not laid out as they should be.
  """
  names = [predictor.name for predictor in predictors]
  if len(set(names)) != len(names):
    raise ValueError(f"two predictors are called the same: {names}")
  rows, seen = [], set()
  for sample in tqdm(_limited(benchmark.samples(), limit), benchmark.name, unit="im"):
    if sample.name in seen:
      raise ValueError(f"two samples are called {sample.name}")
    seen.add(sample.name)
    pictures = sample.pictures()
    for predictor in predictors:
      prediction = predictor.predict(sample, pictures)
      row = score_row(benchmark, sample, predictor.name, prediction)
      rows.append(row._replace(lost_pictures=_lost(prediction, len(pictures))))
      if on_prediction and prediction is not None:
        on_prediction(predictor.name, sample, pictures[0], prediction)
  return Result(benchmark, rows, {p.name: p.seconds for p in predictors}, names)


def score_row(
  benchmark: Benchmark, sample: Sample, system: str, prediction: Prediction | None
) -> Row:
  """One row: the figures, or why there are none."""
  status, figures = OK, {}
  if prediction is None:
    status = MISSING
  elif not prediction.found:
    status = NO_FACE
  elif lacking := [f for f in benchmark.needs if getattr(prediction, f) is None]:
    status = UNUSABLE
    logging.warning("%s gives no %s for %s.", system, ", ".join(lacking), sample.name)
  else:
    try:
      figures = {**benchmark.score(sample, prediction), **_turned(prediction)}
    except ValueError as error:
      status = UNUSABLE
      logging.warning("%s cannot be scored on %s: %s", system, sample.name, error)
  return Row(system, sample.name, sample.group, status, figures)


def _lost(prediction: Prediction | None, pictures: int) -> int:
  if prediction is None or not prediction.found or prediction.pictures_used is None:
    return 0
  return pictures - prediction.pictures_used


def _turned(prediction: Prediction) -> dict[str, float]:
  if prediction.template_vertices is None:
    return {}
  meshes = (prediction.vertices / 100, prediction.template_vertices / 100)  # decimetres
  return {TURNED: float(turned_triangles_percent(*meshes, prediction.triangles))}


def values(rows: Sequence[Row], key: str, group: str | None = None) -> np.ndarray:
  """One figure of every row (of a group); NaN where the row has none."""
  return np.array(
    [
      row.figures.get(key, math.nan)
      for row in rows
      if group is None or row.group == group
    ],
    np.float64,
  )


def mean(figures: np.ndarray) -> float:
  """The mean of what is there; NaN, without a warning, of nothing."""
  there = figures[~np.isnan(figures)]
  return float(there.mean()) if there.size else math.nan


def spread(figures: np.ndarray) -> float:
  """The standard deviation over the samples (divided by n, as in Table 2a's "SD")."""
  there = figures[~np.isnan(figures)]
  return float(there.std()) if there.size else math.nan


def counts(rows: Sequence[Row]) -> dict[str, int]:
  """How many samples, and how many of each status other than OK."""
  return {
    "samples": len(rows),
    **{s: sum(r.status == s for r in rows) for s in (NO_FACE, MISSING, UNUSABLE)},
  }


def on_common_samples(result: Result) -> Result | None:
  """Only the samples that every system has figures for; None if that is all of them.

  A system that gives up on the hard pictures has the better mean of what it found:
  this is the comparison without that advantage.
  """
  bad = {row.sample for row in result.rows if row.status != OK}
  if not bad:
    return None
  return result._replace(rows=[row for row in result.rows if row.sample not in bad])


def _limited(samples: Iterator[Sample], limit: int | None) -> Iterator[Sample]:
  for i, sample in enumerate(samples):
    if limit is not None and i >= limit:
      return
    yield sample
