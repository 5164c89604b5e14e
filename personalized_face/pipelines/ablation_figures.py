"""The figures of a trained row of Table 1, on clips of which everything is known."""

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
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
from personalized_face.metrics.landmarks import area_under_curve
from personalized_face.metrics.motion import blendshape_cosines, correlation
from personalized_face.metrics.pictures import photometric_255
from personalized_face.pipelines.evaluation import make_benchmark
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.checkpoints import load_system

COSINE = "cosine/"  # heads the key of each blendshape's cosine
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
    "blendshape_cosine": cosines.mean(),
    "blendshape_cosine_least": cosines.min(),
    "frames": len(result.rows),
    "frames_without_face": len(result.rows) - len(seen),
    **{
      f"{COSINE}{name}": cosine
      for name, cosine in zip(system.template.blendshape_names, cosines, strict=True)
    },
  }
  return {key: float(value) for key, value in figures.items()}


def _cosines(system: PersonalizedFace, person: PersonModel) -> np.ndarray:
  """[K] of a person's blendshapes with the template's."""
  model = system.face_model
  batch = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
  geometry = model.geometry(*model.vertex_offsets(batch))
  displacements = np.moveaxis(np.asarray(geometry.displacements)[0], 1, 0)
  return blendshape_cosines(displacements, system.template.blendshape_deltas)
