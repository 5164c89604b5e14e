"""The rows of the paper's Table 1 for a fit: what is left out of its phases.

a      the bare prior: no corrections; only tracking is solved
b      + shape corrections
c      + albedo corrections
d      + the parsing loss
final  + the image-gradient loss
"""

import dataclasses

from personalized_face.fitting.fit import Phase
from personalized_face.losses.total import LossWeights

ABLATIONS = ("a", "b", "c", "d", "final")


# From fewer pictures, the corrections of blendshapes would only carry the identity.
FRAMES_FOR_EXPRESSIONS = 8


def identity_only(
  phases: list[tuple[Phase, LossWeights]],
) -> list[tuple[Phase, LossWeights]]:
  """The phases without what depends on the expression, for a few pictures.

  Args:
    phases: of the whole method.
  """
  return [
    (dataclasses.replace(phase, blendshapes=0.0, dynamic_albedo=0.0), weights)
    for phase, weights in phases
  ]


def ablated(
  phases: list[tuple[Phase, LossWeights]], ablation: str
) -> list[tuple[Phase, LossWeights]]:
  """The phases of a row of the table.

  Args:
    phases: of the whole method.
    ablation: one of ABLATIONS other than "a", which has nothing to fit.

  Raises:
    ValueError: another one.
  """
  if ablation not in ABLATIONS[1:]:
    raise ValueError(f"a fit's ablation is one of {ABLATIONS[1:]}, not {ablation!r}")
  level = ABLATIONS.index(ablation)
  found = []
  for phase, weights in phases:
    if level < ABLATIONS.index("c"):
      phase = dataclasses.replace(phase, static_albedo=0.0, dynamic_albedo=0.0)
    if level < ABLATIONS.index("d"):
      weights = weights._replace(parsing=0.0)
    if level < ABLATIONS.index("final"):
      weights = weights._replace(image_gradient=0.0)
    found.append((phase, weights))
  return found
