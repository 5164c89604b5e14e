"""The expression metric (Table 3): error of blendshape coefficients in nine groups.

  <data_dir>/coefficients.csv   header: image,group,<blendshape>,...; a line a picture
  <data_dir>/<image>            the pictures that it names

The test set of [8] is private; this is the layout for one's own. `group` is the
expression that the picture shows, one of Table 3's, or empty for any. A group's figure
is the mean absolute error of its blendshapes (data_specs/expressions/table3.yaml) over
the pictures that show it, or over all if none is labelled; "average" is the mean of the
groups that have one. Names are matched by whole name and side, however they are spelt;
where one side knows left and right and the other does not, the mean of both counts.
"""

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, values
from personalized_face.evaluation.predictions import Prediction

# The least true coefficient with which a frame without a label shows a group.
SHOWN_FROM = 0.2
HEADINGS = {
  "eye_close": "Eye Close",
  "eye_wide": "Eye Wide",
  "brow_raise": "Brow Raise",
  "brow_anger": "Brow Anger",
  "mouth_open": "Mouth Open",
  "jaw_lr": "Jaw L/R",
  "lip_roll": "Lip Roll",
  "smile": "Smile",
  "kiss": "Kiss",
}
_LAYOUT = "coefficients.csv (image,group,<blendshape>,...) and the pictures it names"


@gin.configurable(module="evaluation")
class Expression:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "expression"
  title = "Expression metric"
  needs = ("coefficients", "coefficient_names")
  columns = {**HEADINGS, "average": "Avg"}
  higher_is_better = ()
  annotated_points = False
  protocol = (
    "Mean absolute error of the coefficients of each group's blendshapes, over the "
    "pictures labelled with that group (over all, if none is); the average is over the "
    "groups; a picture without a face is in no mean."
  )

  def __init__(self, data_dir: str):
    """Reads the table.

    Raises:
      UserError: the folder is not laid out so.
    """
    self._folder = data_dir
    self._stems = specs.load("expressions", "table3", ("groups",))["groups"]
    path = os.path.join(data_dir, "coefficients.csv")
    try:
      with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
      self._rows = [_read_line(line, path) for line in lines]
    except (OSError, csv.Error) as error:
      raise self._fail("has no readable coefficients.csv") from error
    if not self._rows:
      raise self._fail("has a coefficients.csv without a line")
    for image, group, _ in self._rows:
      if group and group not in self._stems:
        raise self._fail(f"has the group {group!r}, not one of {list(self._stems)}")
      if not os.path.isfile(os.path.join(data_dir, image)):
        raise self._fail(f"has no {image}")

  def samples(self) -> Iterator[Sample]:
    """In the order of the table."""
    for image, group, truth in self._rows:
      path = os.path.join(self._folder, image)
      name = os.path.splitext(image)[0]
      yield Sample(name, lambda path=path: [read_image(path)], group, truth=truth)

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """The error of each group in this picture."""
    predicted = dict(
      zip(prediction.coefficient_names, prediction.coefficients, strict=True)
    )
    return group_errors(predicted, sample.truth, self._stems)

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """A group over the pictures that show it."""
    groups = {
      key: mean(values(rows, key, key if any(r.group == key for r in rows) else None))
      for key in self._stems
    }
    return {**groups, "average": mean(np.array(list(groups.values())))}

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The table's coefficients."""
    return Prediction(
      True,
      coefficients=np.array(list(sample.truth.values())),
      coefficient_names=tuple(sample.truth),
    )

  def _fail(self, problem: str) -> UserError:
    return layouts.wrong_layout(
      "an expression test set", self._folder, problem, _LAYOUT
    )


def group_errors(
  predicted: Mapping[str, float],
  truth: Mapping[str, float],
  stems: Mapping[str, Sequence[str]],
) -> dict[str, float]:
  """Mean absolute error of each group's blendshapes.

  Args:
    predicted, truth: {blendshape: coefficient in [0, 1]}, ARKit names in any spelling.
    stems: {group: stems}.

  Returns:
    {group: error}; without the groups that one of the two knows nothing of.
  """
  predicted, truth = by_side(predicted), by_side(truth)
  errors = {}
  for group, members in stems.items():
    found = []
    for stem in members:
      sides_p, sides_t = predicted.get(stem.lower()), truth.get(stem.lower())
      if sides_p is None or sides_t is None:
        continue
      if sides_p.keys() == sides_t.keys():
        found += [abs(sides_p[side] - sides_t[side]) for side in sides_t]
      else:
        found.append(
          abs(np.mean(list(sides_p.values())) - np.mean(list(sides_t.values())))
        )
    if found:
      errors[group] = float(np.mean(found))
  return errors


def shown_group_errors(
  predicted: Mapping[str, float],
  truth: Mapping[str, float],
  stems: Mapping[str, Sequence[str]],
  shown_from: float,
) -> dict[str, float]:
  """`group_errors` of the groups that a picture without a label shows.

  Args:
    predicted, truth, stems: see `group_errors`.
    shown_from: a group is shown if its largest true coefficient is at least this.
  """
  sides = by_side(truth)
  largest = {
    group: max(
      (w for stem in members for w in sides.get(stem.lower(), {}).values()),
      default=0.0,
    )
    for group, members in stems.items()
  }
  errors = group_errors(predicted, truth, stems)
  return {group: e for group, e in errors.items() if largest[group] >= shown_from}


# jawLeft and its like are directions, not the left half of a pair.
_DIRECTIONS = ("jawleft", "jawright", "mouthleft", "mouthright")


def by_side(coefficients: Mapping[str, float]) -> dict[str, dict[str, float]]:
  """{"mouthSmile_L": w} or {"mouthSmileLeft": w} to {"mouthsmile": {"l": w}}."""
  result: dict[str, dict[str, float]] = {}
  for name, value in coefficients.items():
    stem, side = name.lower(), ""
    match = re.fullmatch(r"(.+?)(_l|_r|left|right)", stem)
    if match and stem.replace("_", "") not in _DIRECTIONS:
      stem, side = match[1], match[2].strip("_")[0]
    result.setdefault(stem.replace("_", ""), {})[side] = float(value)
  return result


def _read_line(line: dict[str, str], path: str) -> tuple[str, str, dict[str, float]]:
  """Image, group and {blendshape: coefficient}."""
  try:
    image, group = line.pop("image"), line.pop("group")
    truth = {name: float(value) for name, value in line.items()}
  except (KeyError, TypeError, ValueError) as error:
    raise UserError(
      f"{path} has a line that is not image, group and numbers ({error})."
    ) from error
  if not all(0 <= value <= 1 for value in truth.values()):
    raise UserError(f"{path} has a coefficient outside [0, 1] for {image}.")
  return image, group, truth
