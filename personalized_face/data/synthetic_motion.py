"""What a synthetic person does: expression, head pose and light over time.

Smooth curves in closed form, so that a clip is fixed by its seed and its times. The
gestures name blendshapes by their ARKit stems ("mouthSmile" drives mouthSmile_L and
mouthSmile_R); a template that lacks one does without it.
"""

from collections.abc import Sequence

import numpy as np

from personalized_face.core.types import Tracking

PERIOD = 10.0  # seconds after which the gestures come again
SUFFIXES = ("", "_L", "_R", "Left", "Right")
# (start s, length s, {stem: peak coefficient}); each rises and falls as sin^2.
_COMMON_GESTURES = (
  (0.3, 1.3, {"browInnerUp": 0.75, "browOuterUp": 0.65}),
  (1.2, 1.5, {"mouthSmile": 0.9, "cheekSquint": 0.5, "eyeSquint": 0.3}),
  (2.3, 1.1, {"jawOpen": 0.75}),
  (3.0, 1.0, {"mouthPucker": 0.8}),
  (3.6, 1.1, {"browDown": 0.9, "noseSneer": 0.6, "eyeSquint": 0.4}),
  (4.3, 1.0, {"mouthFunnel": 0.6, "jawOpen": 0.25}),
  (4.9, 0.9, {"mouthLeft": 0.7}),
  (5.3, 1.2, {"jawOpen": 0.5, "mouthSmile": 0.6, "browInnerUp": 0.5}),
  (6.0, 1.0, {"mouthFrown": 0.7, "mouthShrugLower": 0.5}),
)
# With these, ten seconds show all nine groups of Table 3.
_RARE_GESTURES = (
  (7.0, 0.9, {"eyeWide": 0.8}),
  (7.8, 0.8, {"jawLeft": 0.8}),
  (8.4, 0.8, {"jawRight": 0.8}),
  (9.0, 0.9, {"mouthRollLower": 0.7, "mouthRollUpper": 0.7}),
)
GESTURES = _COMMON_GESTURES + _RARE_GESTURES
_BLINKS = (0.15, 2.0, 3.35, 4.7, 6.35, 8.2)  # start s
_BLINK_SECONDS = 0.36
# Of the origin of the template's space, between the eyes' height and the nose's; the
# hair keeps clear of the frame. Decimetres.
HEAD_PLACE = (0.0, -0.12, -10.0)
# An orthonormal basis: a constant irradiance of 1 needs 1 / H_00.
WHITE = np.sqrt(4 * np.pi)


def motion(names: Sequence[str], times: np.ndarray, seed: int = 0) -> Tracking:
  """The motion of one clip.

  Args:
    names: K blendshapes.
    times: [F] seconds.
    seed: moves the gestures' times and strengths, the head's path and the light.

  Returns:
    Tracking of float32 arrays, leading dimension F.
  """
  rng = np.random.default_rng([seed, 1])
  return Tracking(
    expression=_expression(names, times, rng).astype(np.float32),
    rotation=_rotation(times, rng).astype(np.float32),
    translation=_translation(times, rng).astype(np.float32),
    light=_light(times, rng).astype(np.float32),
  )


def drives(stem: str, name: str) -> bool:
  """Whether a blendshape is the stem's, or that of one side of it."""
  return any(name == stem + suffix for suffix in SUFFIXES)


def _bump(times: np.ndarray, start: float, length: float) -> np.ndarray:
  """0 outside of [start, start + length] modulo the period, sin^2 inside. [F]"""
  phase = np.mod(times - start, PERIOD) / length
  return np.where(phase < 1, np.sin(np.pi * np.minimum(phase, 1)) ** 2, 0.0)


def _expression(
  names: Sequence[str], times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  weights = np.zeros([len(times), len(names)])
  # Their own numbers: whoever was made before they were has the same pose and light.
  own = rng.spawn(1)[0]
  for gestures, numbers in ((_COMMON_GESTURES, rng), (_RARE_GESTURES, own)):
    for start, length, peaks in gestures:
      curve = _bump(times, start + numbers.uniform(-0.1, 0.1), length)
      for stem, peak in peaks.items():
        strength = peak * numbers.uniform(0.8, 1.1)
        for i, name in enumerate(names):
          if drives(stem, name):
            # Nobody smiles with both sides alike.
            weights[:, i] += strength * numbers.uniform(0.92, 1.08) * curve
  for start in _BLINKS:
    curve = _bump(times, start, _BLINK_SECONDS)
    for i, name in enumerate(names):
      if drives("eyeBlink", name):
        weights[:, i] += curve
  return np.clip(weights, 0.0, 1.0)


def waves(
  times: np.ndarray, amplitudes: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
  """A slow curve around 0 for each amplitude, [F, len(amplitudes)]."""
  columns = []
  for amplitude in amplitudes:
    slow, quick = rng.uniform(0.15, 0.22), rng.uniform(0.38, 0.5)  # Hz
    first, second = rng.uniform(0, 2 * np.pi, 2)
    columns.append(
      amplitude
      * (
        0.75 * np.sin(2 * np.pi * slow * times + first)
        + 0.25 * np.sin(2 * np.pi * quick * times + second)
      )
    )
  return np.stack(columns, axis=-1)


def _rotation(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  return waves(times, np.radians([8.0, 18.0, 5.0]), rng)


def _translation(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  return waves(times, [0.08, 0.06, 0.25], rng) + HEAD_PLACE


def _light(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A key light from above and one side, over a soft surround. [F, 9, 3]"""
  side = rng.choice([-1.0, 1.0]) * rng.uniform(0.22, 0.32)
  sway = waves(times, [0.06, 0.03], rng)
  warm, cool = np.array([1.03, 1.0, 0.95]), np.array([0.97, 1.0, 1.04])
  light = np.zeros([len(times), 9, 3])
  light[:, 0] = 0.72 * WHITE * cool
  light[:, 1] = (0.14 + sway[:, 1:]) * WHITE * warm  # (1, -1): from above
  light[:, 2] = 0.13 * WHITE * warm  # (1, 0): from the camera
  light[:, 3] = (side + sway[:, :1]) * 0.6 * WHITE * warm  # (1, 1): from image right
  light[:, 7] = 0.05 * np.sign(side) * WHITE  # (2, 1): rounds the lit cheek
  return light
