"""What a fit of a synthetic person found, beside what is true of them.

<stem>_motion.npz, <stem>_person.npz beside the video, as `pface_synthesize_data` writes
them -> KnownTruth
the same solver with the person's model and with the template -> errors of coefficients
(Table 3's comparison), of the shape in millimetres, of the albedo
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.data import specs
from personalized_face.evaluation.expression import SHOWN_FROM, shown_group_errors
from personalized_face.evaluation.synthetic import MM_PER_DM
from personalized_face.face_model.files import load_motion, load_person
from personalized_face.inference.track import bare_person, person_geometry
from personalized_face.metrics.alignment import align
from personalized_face.metrics.motion import correlation, expression_mae
from personalized_face.metrics.surface_distance import vertex_rmse
from personalized_face.pipelines.compare_persons import compare_persons
from personalized_face.pipelines.person_frames import Source
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate

_MOVES = 0.02  # standard deviation of a true coefficient that is more than rest


class KnownTruth(NamedTuple):
  """What is known of a person's frames."""

  expression: np.ndarray  # [F, K], NaN in frames of which nothing is known
  # Of the one video; None where there are several, or it is missing.
  person: PersonModel | None


def known_truth(sources: Sequence[Source], template: FaceTemplate) -> KnownTruth | None:
  """The truth of a person's frames, in the order of the sources.

  Returns:
    None where nothing is known of any source.
  """
  count = sum(len(source.rows) for source in sources)
  expression = np.full([count, template.num_blendshapes], np.nan)
  person = None
  for source in sources:
    stem = os.path.splitext(source.paths[0])[0]
    if not source.is_video or not os.path.isfile(f"{stem}_motion.npz"):
      continue
    try:
      motion = load_motion(f"{stem}_motion.npz", template)
      if len(sources) == 1 and os.path.isfile(f"{stem}_person.npz"):
        person = load_person(f"{stem}_person.npz", template)
    except UserError as error:
      logging.warning("The known truth is not compared: %s", error)
      continue
    apart = np.abs(motion.times[np.newaxis] - source.clip.times[:, np.newaxis])
    expression[source.rows] = motion.tracking.expression[apart.argmin(axis=1)]
  return None if np.isnan(expression).all() else KnownTruth(expression, person)


def expression_figures(
  names: Sequence[str], expression: np.ndarray, prior: np.ndarray, truth: np.ndarray
) -> dict[str, float | None]:
  """Mean absolute errors of coefficients, beside the prior's.

  Args:
    names: K blendshapes.
    expression: [F, K] with the person's model.
    prior: [F, K] with the template.
    truth: [F, K]; frames with NaN are left out.

  Returns:
    {expression_<group>: a group's mean over the frames that show it, None where none
    does; expression_average: of the groups; expression_mae: of all shapes and frames;
    expression_correlation: the median over the shapes that move; prior_* of each; and
    expression_mae_of_zero: of always answering 0}.
  """
  stems = specs.load("expressions", "table3", ("groups",))["groups"]
  known = ~np.isnan(truth).any(axis=1)
  figures: dict[str, float | None] = {}
  for prefix, values in (("", expression), ("prior_", prior)):
    rows = [
      shown_group_errors(
        dict(zip(names, found.tolist(), strict=True)),
        dict(zip(names, true.tolist(), strict=True)),
        stems,
        SHOWN_FROM,
      )
      for found, true in zip(values[known], truth[known], strict=True)
    ]
    groups = {}
    for group in stems:
      errors = [row[group] for row in rows if group in row]
      groups[group] = float(np.mean(errors)) if errors else None
    there = [error for error in groups.values() if error is not None]
    groups["average"] = float(np.mean(there)) if there else None
    groups["mae"] = float(expression_mae(values[known], truth[known]).mean())
    groups["correlation"] = _correlation(values[known], truth[known])
    figures |= {f"{prefix}expression_{name}": value for name, value in groups.items()}
  figures["expression_mae_of_zero"] = float(np.abs(truth[known]).mean())
  return figures


def _correlation(values: np.ndarray, truth: np.ndarray) -> float | None:
  """The median over the shapes that move; of one that never answers it is 0."""
  moving = np.flatnonzero(truth.std(axis=0) > _MOVES)
  found = [correlation(values[:, i], truth[:, i]) for i in moving]
  return float(np.median(np.nan_to_num(found))) if found else None


def shape_figures(
  system: PersonalizedFace,
  person: PersonModel,
  expression: np.ndarray,
  prior: np.ndarray,
  truth: KnownTruth,
) -> dict[str, float]:
  """Errors of shape and albedo, beside the template's.

  Args:
    system: its decode.
    person: found, without B.
    expression: [F, K] found with it.
    prior: [F, K] found with the template.
    truth: of the same frames, with a person.

  Returns:
    neutral_mm and vertex_mm: RMSE over the vertices after a rigid fit, of the neutral
    face and the mean over the frames; neutral_scaled_mm: after a similarity, since a
    head's size is beyond one camera; albedo_255: albedo_error_255 of the static albedo;
    and prior_* of each.
  """
  bare = bare_person(system)
  known = ~np.isnan(truth.expression).any(axis=1)
  frames = _shapes(system, truth.person, truth.expression[known])
  figures = {}
  for prefix, who, values in (("", person, expression), ("prior_", bare, prior)):
    compared = compare_persons(system, who, truth.person)
    moved = _shapes(system, who, values[known])
    errors = [_rmse_mm(a, b) for a, b in zip(moved, frames, strict=True)]
    for name in ("neutral_mm", "neutral_scaled_mm", "albedo_255"):
      figures[f"{prefix}{name}"] = compared[name]
    figures[f"{prefix}vertex_mm"] = float(np.mean(errors))
  return figures


def _shapes(
  system: PersonalizedFace, person: PersonModel, expression: np.ndarray
) -> np.ndarray:
  """The frames' shapes [F, V, 3], millimetres."""
  geometry = person_geometry(system, person)
  frames = expression[np.newaxis].astype(np.float32)
  moved = system.face_model.shape(geometry, frames)
  return MM_PER_DM * np.asarray(moved)[0].astype(np.float64)


def _rmse_mm(found: np.ndarray, truth: np.ndarray) -> float:
  """After the rigid fit, as the synthetic benchmark has it."""
  return vertex_rmse(align(found, truth, with_scale=False)(found), truth)
