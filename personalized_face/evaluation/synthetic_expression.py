"""Retargeting on people whose coefficients are known: Table 3's comparison.

The layout of synthetic.py. Retargeting hands on nothing but coefficients (Section 3.3),
so its error is theirs, in the nine groups of the expression metric, and what it does to
a driven face: how far the template's vertices lie from where the true coefficients put
them. The paper's comparison is that of a run with a run of the bare prior (row A of
Table 1), trackers alike, given as two checkpoints.
"""

from collections.abc import Sequence

import gin
import numpy as np

from personalized_face.authoring.cache import DEFAULT
from personalized_face.data import specs
from personalized_face.evaluation.benchmark import Row, Sample, mean, values
from personalized_face.evaluation.expression import (
  HEADINGS,
  SHOWN_FROM,
  shown_group_errors,
)
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.synthetic import MM_PER_DM, Synthetic


@gin.configurable(module="evaluation")
class SyntheticExpression(Synthetic):
  """See the module docstring and `benchmark.Benchmark`."""

  name = "synthetic_expression"
  title = "Retargeted expression of synthetic people"
  needs = ("coefficients", "coefficient_names")
  columns = {**HEADINGS, "average": "Avg", "driven_mm": "driven face mm"}
  higher_is_better = ()

  def __init__(
    self,
    data_dir: str,
    template: str = DEFAULT,
    fps: float | None = 5.0,
    shown_from: float = SHOWN_FROM,
  ):
    """Lists the clips.

    Args:
      data_dir, template, fps: see Synthetic.
      shown_from: a frame shows a group whose largest true coefficient is at least this.

    Raises:
      UserError: see Synthetic.
    """
    super().__init__(data_dir, template, fps)
    self._stems = specs.load("expressions", "table3", ("groups",))["groups"]
    self._shown_from = shown_from
    self.protocol = (
      "Mean absolute error of the coefficients of each group's blendshapes, over the "
      f"frames in which one of them is truly at least {shown_from:g}; the average is "
      "over the groups. Driven face: RMSE over the template's vertices, mean over all "
      "frames. A frame without a face is in no mean."
    )

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """The error of each group that the frame shows, and of the driven face."""
    predicted = dict(
      zip(prediction.coefficient_names, prediction.coefficients, strict=True)
    )
    names = self._template.blendshape_names
    truth = dict(zip(names, sample.truth.expression.tolist(), strict=True))
    figures = shown_group_errors(predicted, truth, self._stems, self._shown_from)
    wrong = np.array([predicted.get(name, 0.0) - truth[name] for name in names])
    moved = np.tensordot(wrong, self._template.blendshape_deltas, axes=1)  # [V, 3]
    driven = MM_PER_DM * np.sqrt((moved**2).sum(axis=-1).mean())
    return figures | {"driven_mm": float(driven)}

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Means over the frames that show a group; over all frames for the driven face."""
    groups = {key: mean(values(rows, key)) for key in self._stems}
    average = mean(np.array(list(groups.values())))
    driven = mean(values(rows, "driven_mm"))
    return {**groups, "average": average, "driven_mm": driven}
