"""What a person's frames did not show, and a fit could therefore not learn."""

import numpy as np

from personalized_face.core.types import PersonModel, Tracking

# What a blendshape needs to be seen, and how people call it.
_EVENTS = {
  "eyeBlink_L": "closed eyes",
  "eyeBlink_R": "closed eyes",
  "jawOpen": "an open mouth",
  "mouthSmile_L": "a smile",
  "mouthSmile_R": "a smile",
  "mouthPucker": "puckered lips",
  "browInnerUp_L": "raised brows",
  "browInnerUp_R": "raised brows",
  "cheekPuff_L": "puffed cheeks",
  "cheekPuff_R": "puffed cheeks",
}
_SEEN = 0.25  # the least coefficient that shows what a blendshape looks like
_TURNED_DEG = 15.0


def without_unseen(person: PersonModel, tracking: Tracking) -> PersonModel:
  """Fades the corrections of blendshapes that the frames hardly showed.

  Adam's steps do not depend on a gradient's size: a blendshape whose coefficient never
  passes 0.01 gets corrections as large as any other's. The frames do not show them, but
  a slider does, and another's motion, a hundred times as strong. So of a blendshape
  that reached w < 0.25 a share of w / 0.25 is kept.

  Args:
    person: numpy, without B.
    tracking: [F, ...] of the frames that were fitted.
  """
  strongest = np.asarray(tracking.expression).max(axis=0)  # [K]
  share = np.minimum(strongest / _SEEN, 1).astype(np.float32)[:, np.newaxis]
  return person._replace(
    blendshape_corrections=person.blendshape_corrections * share,
    dynamic_albedo=person.dynamic_albedo * share,
  )


def unseen(tracking: Tracking, blendshape_names: tuple[str, ...]) -> list[str]:
  """Sentences on what is missing; empty where nothing is.

  Args:
    tracking: [F, ...] of the frames that were fitted.
    blendshape_names: K.
  """
  strongest = dict(
    zip(blendshape_names, np.asarray(tracking.expression).max(axis=0), strict=True)
  )
  missing: dict[str, list[str]] = {}
  for name, event in _EVENTS.items():
    if name in strongest and strongest[name] < _SEEN:
      missing.setdefault(event, []).append(name)
  sentences = []
  for event, names in missing.items():
    keeps = "keeps" if len(names) == 1 else "keep"
    sentences.append(
      f"No frame with {event}: {' and '.join(names)} {keeps} the template's shape."
    )
  yaw = np.degrees(np.asarray(tracking.rotation)[:, 1])
  if np.ptp(yaw) < _TURNED_DEG:
    sentences.append(
      f"The head turns by {np.ptp(yaw):.0f} degrees only: how far nose, brows and chin "
      "stand out is mostly the template's."
    )
  return sentences
