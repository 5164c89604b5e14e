"""Collects what an evaluation's figures need while it runs, and draws them at its end.

<output_dir>/figures/side_by_side   the same pictures by every system (Fig. 5, 6, 7a)
                     landmarks      the points of every system, where points are scored
                     columns        input, overlay, shape, albedo, lighting (Fig. 2)
                     personalization  prior, + identity, + expression, novel (Fig. 3)
                     corrections    corrected blendshapes and albedo (Fig. 4)
                     error_map      error at each vertex, mm (Fig. 7b)
                     error_curve    cumulative errors of every system
each as .pdf and .png; those that the benchmark or the systems have nothing for are left
out.
"""

import os
from collections.abc import Sequence

import numpy as np

from personalized_face.core.types import PersonModel
from personalized_face.evaluation import figures, paper_figures
from personalized_face.evaluation.benchmark import (
  Benchmark,
  Predictor,
  Result,
  Sample,
  values,
)
from personalized_face.evaluation.paper_figures import Shown, Solved
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.predictors import ModelPredictor
from personalized_face.inference.render import ClipRenderer
from personalized_face.metrics.landmarks import area_under_curve
from personalized_face.systems.personalized_face import PersonalizedFace

# Rows of Fig. 4: shapes whose corrections show, by the names that templates give them.
_FIG4 = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthSmile_L", "browDown_L")
# (key of the rows, where the axis ends, label) of the error curve, by benchmark.
_CURVES = {
  "aflw2000": ("nme_percent", 10.0, "NME, %"),
  "300vw": ("error", 0.08, "normalised point-to-point error"),
  "synthetic": ("nme_percent", 10.0, "NME, %"),
  "bu3dfe": ("rmse_mm", 5.0, "RMSE, mm"),
  "facewarehouse": ("rmse_mm", 5.0, "RMSE, mm"),
  "scans": ("mean_mm", 5.0, "scan to mesh, mm"),
}
_MAP_LIMIT_MM = 5.0


class FigureCollector:
  """Keeps the first so many stills, or the first frame of so many clips."""

  def __init__(
    self, benchmark: Benchmark, predictors: Sequence[Predictor], wanted: int
  ):
    """Keeps nothing yet.

    Args:
      benchmark, predictors: of the evaluation.
      wanted: rows of each figure.
    """
    self._benchmark, self._wanted = benchmark, wanted
    self._by_name = {predictor.name: predictor for predictor in predictors}
    self._shown: dict[str, Shown] = {}
    self._solved: list[Solved] = []
    self._clips: set[str] = set()
    self._model = next(
      (p.name for p in predictors if isinstance(p, ModelPredictor)), None
    )

  def __call__(
    self, system: str, sample: Sample, picture: np.ndarray, prediction: Prediction
  ) -> None:
    """Takes one prediction and the picture [H, W, 3] uint8 that it is of."""
    if sample.name not in self._shown:
      if len(self._shown) >= self._wanted or (sample.clip in self._clips):
        return
      if sample.clip:
        self._clips.add(sample.clip)
      truth = None
      if "landmarks" in self._benchmark.needs:
        truth = self._benchmark.truth_prediction(sample).landmarks
      self._shown[sample.name] = Shown(sample, picture, {}, truth)
    self._shown[sample.name].predictions[system] = prediction
    predictor = self._by_name[system]
    if system == self._model and predictor.solved is not None:
      self._solved.append(Solved(sample.name, *predictor.solved))

  def write(
    self, result: Result, output_dir: str, system: PersonalizedFace | None
  ) -> list[tuple[str, str]]:
    """Draws what there is.

    Args:
      result: of the evaluation.
      output_dir: gets the folder figures/.
      system: of the first run, if one was evaluated.

    Returns:
      (title, path of the PNG) of each figure.
    """
    made = []

    def keep(name: str, title: str, figure) -> None:
      stem = os.path.join(output_dir, "figures", name)
      made.append((title, figures.save(figure, stem)[1]))

    shown, systems = list(self._shown.values()), result.order
    if shown:
      drawn = paper_figures.side_by_side_figure(shown, systems)
      keep("side_by_side", "Side by side (as Fig. 5, 6, 7a)", drawn)
      if any(item.truth is not None for item in shown):
        drawn = paper_figures.landmarks_figure(shown, systems)
        keep("landmarks", "Landmarks", drawn)
    if system is not None and self._solved:
      self._write_paper_figures(system, keep)
    if self._benchmark.name in _CURVES:
      keep("error_curve", "Cumulative errors", self._curve(result))
    if (errors := self._map(shown, systems)) is not None:
      keep("error_map", "Error map (as Fig. 7b)", errors)
    return made

  def _write_paper_figures(self, system: PersonalizedFace, keep) -> None:
    renderer = ClipRenderer(system, chunk=1)
    drawn = paper_figures.columns_figure(renderer, self._solved)
    keep("columns", "Reconstructions (as Fig. 2, Supp. Fig. 1)", drawn)
    bare = system.face_model.template_person()
    bare = PersonModel(*(np.asarray(value)[0] for value in bare))
    drawn = paper_figures.personalization_figure(
      renderer, bare, np.asarray(system.linear_mean_albedo), self._solved
    )
    keep("personalization", "Personalization (as Fig. 3)", drawn)
    names = [n for n in _FIG4 if n in system.template.blendshape_names]
    names = names or system.template.blendshape_names[:4]
    person = self._solved[0].person
    drawn = paper_figures.corrections_figure(renderer, system.template, person, names)
    keep("corrections", "Corrections (as Fig. 4)", drawn)

  def _curve(self, result: Result):
    key, limit, label = _CURVES[self._benchmark.name]
    errors = {name: values(result.of(name), key) for name in result.order}
    areas = {name: area_under_curve(e, limit) for name, e in errors.items()}
    caption = (
      f"{result.benchmark.title}: share of the samples whose error is at most that on "
      f"the horizontal axis; in brackets the area under the curve up to {limit:g}, "
      f"over {limit:g}. A sample without a face never counts."
    )
    return figures.error_curves(errors, limit, label, caption, areas)

  def _map(self, shown: Sequence[Shown], systems: Sequence[str]):
    """Of the first picture that the first system with a mesh has errors for."""
    if not hasattr(self._benchmark, "vertex_errors"):
      return None
    for system in systems:
      for item in shown:
        prediction = item.predictions.get(system)
        if prediction is None or prediction.triangles is None:
          continue
        errors = self._benchmark.vertex_errors(item.sample, prediction)
        caption = (
          f"As Fig. 7b of the paper. {system} on {item.sample.name}: distance of each "
          "vertex from the reference after the benchmark's alignment, mm; grey where "
          f"nothing corresponds. Mean {np.nanmean(errors):.2f} mm."
        )
        return figures.error_map(
          prediction.vertices, prediction.triangles, errors, _MAP_LIMIT_MM, caption
        )
    return None
