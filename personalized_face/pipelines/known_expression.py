"""Table 3's comparison for a fit, on synthetic people: the coefficients are known.

<stem>_motion.npz beside the video, as `pface_synthesize_data` writes it -> [F, K]
the same solver with the person's model and with the template -> errors in nine groups
"""

import os
from collections.abc import Sequence

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.evaluation.expression import SHOWN_FROM, shown_group_errors
from personalized_face.face_model.files import load_motion
from personalized_face.pipelines.person_frames import Source
from personalized_face.template.face_template import FaceTemplate


def known_expression(
  sources: Sequence[Source], template: FaceTemplate
) -> np.ndarray | None:
  """The true coefficients of a person's frames, in the order of the sources.

  Returns:
    [F, K], NaN in the frames of a source of which nothing is known; None where that is
    so of every source.
  """
  count = sum(len(source.rows) for source in sources)
  truth = np.full([count, template.num_blendshapes], np.nan)
  for source in sources:
    path = f"{os.path.splitext(source.paths[0])[0]}_motion.npz"
    if not source.is_video or not os.path.isfile(path):
      continue
    try:
      motion = load_motion(path, template)
    except UserError as error:
      logging.warning("The known coefficients are not compared: %s", error)
      continue
    apart = np.abs(motion.times[np.newaxis] - source.clip.times[:, np.newaxis])
    truth[source.rows] = motion.tracking.expression[apart.argmin(axis=1)]
  return None if np.isnan(truth).all() else truth


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
    does; expression_average: of the groups; and prior_* of each}.
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
    figures |= {f"{prefix}expression_{name}": value for name, value in groups.items()}
  return figures
