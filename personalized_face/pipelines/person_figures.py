"""The figures of one person's held-out frames (DESIGN section 8), beside the prior's.

PersonModel, Tracking, the prior's Tracking, Frames -> a flat dictionary
"""

from collections.abc import Callable

import numpy as np

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.fitting.frames import Frames, take_tracking
from personalized_face.inference.render import CHUNK, ClipRenderer
from personalized_face.inference.track import bare_person
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.metrics.pictures import (
  coverage_percent,
  face_iou,
  photometric_255_common,
)
from personalized_face.metrics.surface import turned_triangles_percent
from personalized_face.systems.personalized_face import PersonalizedFace


def person_figures(
  system: PersonalizedFace,
  person: PersonModel,
  tracking: Tracking,
  prior_tracking: Tracking,
  frames: Frames,
) -> dict[str, float | None]:
  """Medians and means over frames that the fit did not see.

  Args:
    system: decode and renderer.
    person: without B.
    tracking: [F, ...] of the frames with the person's model.
    prior_tracking: [F, ...] with the bare template.
    frames: F.

  Returns:
    nme_percent, photometric_255, their prior_*: medians over the frames;
    nme_percent_max; parsing_iou: the mean over skin, brows and lips;
    turned_triangles_percent and coverage_percent: means. None where no frame has a
    value, such as the coverage of faces without parsed skin.
  """
  renderer = ClipRenderer(system)
  template = bare_person(system)
  rows, labels = [], []
  for first in range(0, frames.count, CHUNK):
    part = frames.take(np.arange(first, min(first + CHUNK, frames.count)))
    picked = np.arange(first, first + part.count)
    ours = renderer.all(person, take_tracking(tracking, picked))
    # The template at the same w, for the triangles that turned.
    same = renderer.all(template, take_tracking(tracking, picked))
    prior = renderer.all(template, take_tracking(prior_tracking, picked))
    photometric, prior_photometric = photometric_255_common(
      part.images / 255,
      ours.rendering.image,
      ours.rendering.mask,
      prior.rendering.image,
      prior.rendering.mask,
    )
    rows.append(
      {
        "nme_percent": nme_percent(ours.landmarks, part.landmarks),
        "photometric_255": photometric,
        "prior_nme_percent": nme_percent(prior.landmarks, part.landmarks),
        "prior_photometric_255": prior_photometric,
        "turned_triangles_percent": turned_triangles_percent(
          ours.vertices, same.vertices, system.template.triangles
        ),
        "coverage_percent": coverage_percent(ours.rendering.mask, part.parsing),
      }
    )
    labels.append(ours.rendering.parsing.argmax(axis=-1))
  values = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
  figures = {
    key: _reduced(value, np.median if _is_error(key) else np.mean)
    for key, value in values.items()
  }
  figures["nme_percent_max"] = float(values["nme_percent"].max())
  iou = face_iou(np.concatenate(labels), frames.parsing)
  figures["parsing_iou"] = _reduced(np.array([iou]), np.mean)
  return figures


def _reduced(values: np.ndarray, reduce: Callable) -> float | None:
  """Over the frames that have a value; None, which JSON can hold, where none has."""
  known = values[np.isfinite(values)]
  return float(reduce(known)) if len(known) else None


def _is_error(key: str) -> bool:
  return "nme" in key or "photometric" in key
