"""What a synthetic person might do: anything a blendshape allows, in any light.

`synthetic_motion.py` plays one scene for everybody: it shows each group of shapes, and
can be compared between people. A network that learned from that alone would know these
few faces; here people do different things, turn further, and stand in different light.
"""

from collections.abc import Sequence

import numpy as np

from personalized_face.core.mirror import ONE_SIDED
from personalized_face.core.types import Tracking
from personalized_face.data.synthetic_motion import (
  GESTURES,
  HEAD_PLACE,
  SUFFIXES,
  WHITE,
  drives,
  waves,
)

_EVENTS_PER_SECOND = 2.0
_EVENT_SECONDS = (0.5, 1.6)
_BLINKS_PER_SECOND = 0.5
_BLINK_SECONDS = (0.25, 0.5)
_GESTURE_SHARE = 0.5  # of the events; the others move one shape
_ONE_SIDED_SHARE = 0.3
_FURTHEST_DEG = (22.0, 45.0, 15.0)  # pitch, yaw, roll of those who turn most
# What no muscle does at once: the stronger one keeps the difference.
_OPPOSITES = (
  ("jawLeft", "jawRight"),
  ("mouthLeft", "mouthRight"),
  ("mouthSmile", "mouthFrown"),
  ("mouthPucker", "mouthStretch"),
  ("mouthFunnel", "mouthRollLower"),
  ("mouthFunnel", "mouthRollUpper"),
  ("browDown", "browOuterUp"),
  ("eyeWide", "eyeBlink"),
  ("eyeWide", "eyeSquint"),
  ("eyeLookUp", "eyeLookDown"),
  ("eyeLookIn", "eyeLookOut"),
)


def free_motion(names: Sequence[str], times: np.ndarray, seed: int = 0) -> Tracking:
  """The motion of one clip.

  Args:
    names: K blendshapes.
    times: [F] seconds.
    seed: of everything.

  Returns:
    Tracking of float32 arrays, leading dimension F.
  """
  rng = np.random.default_rng([seed, 5])
  turn = np.radians(_FURTHEST_DEG) * rng.uniform(0.2, 1.0, 3)
  return Tracking(
    expression=_expression(names, times, rng).astype(np.float32),
    rotation=waves(times, turn, rng).astype(np.float32),
    translation=(waves(times, [0.2, 0.15, 0.8], rng) + HEAD_PLACE).astype(np.float32),
    light=_light(times, rng).astype(np.float32),
  )


def _expression(
  names: Sequence[str], times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  stems = sorted({_stem(name) for name in names} - {"eyeBlink"})
  low, high = times.min() - _EVENT_SECONDS[1], times.max()
  weights = np.zeros([len(times), len(names)])
  for _ in range(rng.poisson(_EVENTS_PER_SECOND * (high - low))):
    if rng.uniform() < _GESTURE_SHARE:
      peaks = GESTURES[rng.integers(len(GESTURES))][2]
    else:
      peaks = {stems[rng.integers(len(stems))]: 1.0}
      if "mouthClose" in peaks:
        peaks["jawOpen"] = 0.7
    _add(weights, names, times, rng, (low, high), _EVENT_SECONDS, peaks)
  for _ in range(rng.poisson(_BLINKS_PER_SECOND * (high - low))):
    _add(weights, names, times, rng, (low, high), _BLINK_SECONDS, {"eyeBlink": 1.0})
  return _without_opposites(list(names), np.clip(weights, 0.0, 1.0))


def _add(
  weights: np.ndarray,
  names: Sequence[str],
  times: np.ndarray,
  rng: np.random.Generator,
  span: tuple[float, float],
  lengths: tuple[float, float],
  peaks: dict[str, float],
) -> None:
  """Adds one event, which rises and falls as sin^2."""
  start, length = rng.uniform(*span), rng.uniform(*lengths)
  phase = np.clip((times - start) / length, 0.0, 1.0)
  curve = rng.uniform(0.3, 1.1) * np.sin(np.pi * phase) ** 2
  sides = np.ones(2)
  if rng.uniform() < _ONE_SIDED_SHARE:
    sides[rng.integers(2)] = rng.uniform(0.0, 0.5)
  for stem, peak in peaks.items():
    for i, name in enumerate(names):
      if drives(stem, name):
        left = name.endswith(("_L", "Left"))
        side = 1.0 if name == stem else sides[int(left)]
        weights[:, i] += peak * side * rng.uniform(0.9, 1.1) * curve


def _without_opposites(names: list[str], weights: np.ndarray) -> np.ndarray:
  """[F, K], of what excludes each other one shape alone."""
  for first, second in _OPPOSITES:
    for suffix in SUFFIXES:
      if first + suffix in names and second + suffix in names:
        pair = [names.index(first + suffix), names.index(second + suffix)]
        weights[:, pair] -= weights[:, pair].min(axis=1, keepdims=True)
  if "mouthClose" in names and "jawOpen" in names:  # the lips meet, over an open jaw
    close, jaw = names.index("mouthClose"), names.index("jawOpen")
    weights[:, close] = np.minimum(weights[:, close], weights[:, jaw])
  return weights


def _stem(name: str) -> str:
  if name in ONE_SIDED:
    return name
  for suffix in SUFFIXES[1:]:
    name = name.removesuffix(suffix)
  return name


def _light(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A key light from anywhere in front, over a surround of any strength. [F, 9, 3]"""
  strength, colour = rng.uniform(0.45, 0.95), 1 + rng.uniform(-0.1, 0.1, 3)
  key = 1 + rng.uniform(-0.15, 0.15, 3)
  sway = waves(times, [0.06, 0.04], rng)
  light = np.zeros([len(times), 9, 3])
  light[:, 0] = strength * WHITE * colour
  above, side = rng.uniform(-0.1, 0.3), rng.uniform(-0.35, 0.35)
  light[:, 1] = (above + sway[:, 1:]) * WHITE * key
  light[:, 2] = rng.uniform(0.0, 0.25) * WHITE * key
  light[:, 3] = (side + sway[:, :1]) * 0.8 * WHITE * key
  light[:, 4:] = rng.normal(0.0, 0.03, 5)[:, np.newaxis] * WHITE
  return light
