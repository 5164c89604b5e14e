"""The figures of a trained row of Table 1: on clips of which everything is known, or on
held-out frames of real ones, of which landmarks and parsing maps are.
"""

import os

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import Outputs, PersonModel, Tensor
from personalized_face.data import record_damage
from personalized_face.data.dataset import make_eval_dataset
from personalized_face.data.detector import FaceDetector
from personalized_face.evaluation.benchmark import (
  TURNED,
  Sample,
  run_benchmark,
  values,
)
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.predictors import (
  ModelPredictor,
  NetworkSolver,
  PriorSolver,
)
from personalized_face.export.files import write_png
from personalized_face.inference import pictures
from personalized_face.inference.track import person_geometry
from personalized_face.metrics.landmarks import area_under_curve
from personalized_face.metrics.motion import blendshape_cosines, correlation
from personalized_face.metrics.pictures import (
  face_iou,
  photometric_255,
)
from personalized_face.pipelines.evaluation import make_benchmark
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.checkpoints import load_system
from personalized_face.training.held_out import frame_figures

COSINE = "cosine/"  # heads the key of each blendshape's cosine
HELD_OUT_SHOWN = 6
_AUC_LIMIT = 0.08  # NME at which the cumulative curve ends
_MEANS = (
  *("vertex_mm", "nme_percent", "parsing_error_percent", TURNED),
  "coefficient_mae",
)


def score_run(
  run_dir: str,
  clips_dir: str,
  detector: FaceDetector,
  limit: int | None = None,
  stage: str | None = None,
) -> dict[str, float]:
  """Scores a run over the frames of the test clips.

  Args:
    run_dir: a finished run.
    clips_dir: as `pface_synthesize_data` wrote them.
    detector: finds their faces.
    limit: so many frames at most.
    stage: the run as this stage left it; None: the last.

  Returns:
    Means over the frames: vertex_mm and its deviation over them vertex_sd_mm,
    nme_percent, auc of the cumulative NME curve up to 8 %, photometric_255,
    parsing_error_percent, turned_triangles_percent; coefficient_mae, that of predicting
    zero, and coefficient_correlation, the mean of the shapes' own; blendshape_cosine,
    the mean over shapes and clips of the corrected shape's cosine with the template's,
    _least, that of the worst shape, and cosine/<blendshape>; frames and
    frames_without_face.

  Raises:
    UserError: no such run or clips, or no face in any frame.
  """
  system = load_system(run_dir, stage)
  gin.clear_config()
  solver = (PriorSolver if system.is_prior else NetworkSolver)(system)
  predictor = ModelPredictor("run", system, solver, detector)
  benchmark = make_benchmark("synthetic", clips_dir)
  seen: list[tuple[np.ndarray, np.ndarray]] = []  # w predicted, w true
  photometric: list[float] = []
  persons: dict[str, PersonModel] = {}  # the first frame's of each clip

  def keep(
    name: str, sample: Sample, picture: np.ndarray, prediction: Prediction
  ) -> None:
    if not prediction.found:
      return
    person, _, crop = predictor.solved
    persons.setdefault(sample.clip, person)
    seen.append((prediction.coefficients, sample.truth.expression))
    photometric.append(
      photometric_255(crop / 255.0, prediction.rendering, prediction.mask)
    )

  result = run_benchmark(benchmark, [predictor], limit, keep)
  if not seen:
    raise UserError(
      f"No face was found in any frame of {clips_dir}; test on other clips."
    )
  found = {key: values(result.rows, key) for key in _MEANS}
  predicted, true = (np.stack(part) for part in zip(*seen, strict=True))
  per_shape = [
    correlation(predicted[:, i], true[:, i])
    for i in range(true.shape[1])
    if np.ptp(true[:, i]) > 0
  ]
  cosines = np.mean([_cosines(system, person) for person in persons.values()], axis=0)
  figures = {
    **{key: np.nanmean(found[key]) for key in _MEANS},
    "vertex_sd_mm": np.nanstd(found["vertex_mm"]),
    "auc": area_under_curve(found["nme_percent"] / 100, _AUC_LIMIT),
    "photometric_255": np.nanmean(photometric),
    "coefficient_mae_of_zero": np.abs(true).mean(),
    "coefficient_correlation": np.nanmean(per_shape),
    "frames": len(result.rows),
    "frames_without_face": len(result.rows) - len(seen),
    **_cosine_figures(system, cosines),
  }
  return {key: float(value) for key, value in figures.items()}


def score_held_out(run_dir: str, records_dir: str, stage: str | None = None) -> dict:
  """Scores a run on the held-out frames of its records, each by itself (N = 1).

  Beside the run come `held_out.png`, overlay and shape of at most HELD_OUT_SHOWN
  frames, and `input.png`, those frames.

  Args:
    run_dir: a finished run.
    records_dir: its "test" split is used.
    stage: the run as this stage left it; None: the last.

  Returns:
    Those of `score_run` that need no ground truth, and coverage_percent.

  Raises:
    UserError: no such run, nothing is held out, or records that are damaged.
  """
  system = load_system(run_dir, stage)
  gin.clear_config()

  @tf.function(autograph=False)
  def run(images: Tensor) -> tuple[Outputs, Tensor]:
    outputs = system(images)
    # The template at the same w, for the triangles that turned.
    return outputs, system.reconstruct_prior(outputs.tracking).mesh.vertices

  rows, cosines, strips = [], [], []
  with record_damage.named(records_dir):
    for batch, _ in make_eval_dataset(records_dir):
      outputs, template_vertices = run(batch.images)
      figures = frame_figures(
        batch, outputs, template_vertices, system.template.triangles
      )
      labels = np.asarray(outputs.rendering.parsing).argmax(axis=-1)
      figures["parsing_error_percent"] = 100 * (1 - face_iou(labels, batch.parsing))
      rows.append(figures)
      person = PersonModel(*(part[0] for part in outputs.person))
      cosines.append(_cosines(system, person))
      columns = pictures.columns(batch.images, outputs.rendering).numpy()[0]
      strips.append(pictures.to_uint8(columns))
  if not rows:
    raise UserError(f"No frame is held out in {records_dir}; prepare more clips.")
  chosen = [strips[i] for i in pictures.spread(len(strips), HELD_OUT_SHOWN)]
  side = chosen[0].shape[0]
  folder = os.path.dirname(run_dir)
  strip = np.concatenate(chosen)
  write_png(os.path.join(folder, "input.png"), strip[:, :side])
  write_png(os.path.join(folder, "held_out.png"), strip[:, side : 3 * side])
  figures = {key: np.nanmean([row[key] for row in rows]) for key in rows[0]}
  errors = np.array([row["nme_percent"] for row in rows])
  figures["auc"] = area_under_curve(errors / 100, _AUC_LIMIT)
  figures |= _cosine_figures(system, np.mean(cosines, axis=0))
  return {**{key: float(value) for key, value in figures.items()}, "frames": len(rows)}


def _cosine_figures(system: PersonalizedFace, cosines: np.ndarray) -> dict[str, float]:
  names = system.template.blendshape_names
  return {
    "blendshape_cosine": cosines.mean(),
    "blendshape_cosine_least": cosines.min(),
    **{f"{COSINE}{name}": value for name, value in zip(names, cosines, strict=True)},
  }


def _cosines(system: PersonalizedFace, person: PersonModel) -> np.ndarray:
  """[K] of a person's blendshapes with the template's."""
  geometry = person_geometry(system, person)
  displacements = np.moveaxis(np.asarray(geometry.displacements)[0], 1, 0)
  return blendshape_cosines(displacements, system.template.blendshape_deltas)
