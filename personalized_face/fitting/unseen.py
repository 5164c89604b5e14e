"""What a person's frames did not show, and a fit could therefore not learn."""

import numpy as np

from personalized_face.core.types import Tracking

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
