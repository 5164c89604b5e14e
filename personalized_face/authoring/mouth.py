"""Shapes of the lips: corner pulls, half lips, pucker, funnel, rolls and shrugs.

A lip is keyed by a profile along it, t = -1 at the person's right corner to 1 at the
left one, and across it, from its outer edge (0) to where the lips meet (1).
"""

import numpy as np

from personalized_face.authoring import expression_keys, eyes
from personalized_face.authoring.anatomy import MM, Keys, Rig, bump

_FINEST = 0.025  # dm: what is finer in the rolls is ripples between keys


def _corner(t: float, power: float) -> float:
  """1 at the person's right corner, 0 from the middle on."""
  return float(np.maximum(-t, 0) ** power)


def mouth_pairs(rig: Rig) -> dict[str, np.ndarray]:
  """Shapes that pull one corner or one half of a lip."""
  shapes = {}
  for name, (corner, power, around) in expression_keys.CORNER_PULLS.items():
    out, up, forward = corner

    def profile(t, inner, out=out, up=up, forward=forward, power=power):
      share = _corner(t, power)
      return -out * share, up * share, forward * share

    keys = {**rig.lips(profile), **rig.right(around)}
    shapes[name] = rig.displace(keys, hold=[4, 1, 2, 152])
  shapes["mouthUpperUp"] = _half_lip(
    rig, "upper", (1.2, 6.2, -1.2), expression_keys.UPPER_UP
  )
  shapes["mouthLowerDown"] = _half_lip(
    rig, "lower", (0.9, -4.4, -1.4), expression_keys.LOWER_DOWN
  )
  return shapes


def _half_lip(rig: Rig, row: str, move, around) -> np.ndarray:
  """Raises or lowers the right half of one lip; the other lip stays."""
  out, up, forward = move

  def profile(t, inner):
    # Strongest half-way to the corner, a third in the middle, little in the corner.
    share = np.exp(-(((t + 0.5) / 0.48) ** 2))
    return -out * share, up * share, forward * share

  upper, lower = rig.lip_controls()
  keys = {**rig.lips(profile, row), **rig.right(around)}
  for corner in (61, 76, 62, 78):
    keys[corner] = np.array([-out, up, forward]) * MM * (0.3 if row == "upper" else 0.2)
  still = lower if row == "upper" else upper
  return rig.displace(keys, hold=[*still, 4, 1, 152, *eyes.CONTOURS])


def mouth_shapes(rig: Rig) -> dict[str, np.ndarray]:
  """Shapes of the whole mouth."""
  upper, lower = rig.lip_controls()
  shapes = {}
  shapes["mouthPucker"] = _pucker(rig)
  shapes["mouthFunnel"] = _funnel(rig)
  shapes["mouthRollLower"] = _roll_lower(rig)
  shapes["mouthRollUpper"] = _roll_upper(rig)
  shapes["mouthShrugLower"] = rig.displace(
    {
      **rig.lips(lambda t, i: (0, 6.0, 3.4 - 0.8 * i), "lower", taper=True),
      **rig.lips(lambda t, i: (0, 2.2 + 2.6 * i, 1.4 + 0.8 * i), "upper", taper=True),
      **rig.both({152: (0, 6.0, 1.2), 148: (0, 6.0, 1.2), 176: (0, 4.6, 0.8)}),
      **rig.both({175: (0, 9.6, 1.8), 171: (0, 9.2, 1.8), 199: (0, 11.0, 2.2)}),
      **rig.both({208: (0, 10.6, 2.2), 200: (0, 10.8, 2.6), 201: (0, 10.4, 2.6)}),
      **rig.both({140: (0, 7.0, 1.2), 32: (0, 8.0, 1.6), 194: (0, 7.6, 2.2)}),
      **rig.both({18: (0, 8.4, 3.2), 83: (0, 8.2, 3.2), 182: (0, 6.6, 2.4)}),
      **rig.both({211: (0, 4.6, 0.8), 204: (0, 4.2, 0.8), 170: (0, 3.6, 0.4)}),
      **rig.both({106: (0, 4.6, 1.2), 202: (0, 2.2, 0.2), 210: (0, 1.8, 0)}),
    },
    hold=[2, 97, 98, 4, *rig.points.rings[1]],
  )
  shapes["mouthShrugUpper"] = rig.displace(
    {
      **rig.lips(lambda t, i: (0, 5.8 - 1.4 * i, 1.0 + 0.6 * i), "upper", taper=True),
      **rig.both({164: (0, 4.8, 0.6), 167: (0, 4.8, 0.6), 165: (0, 3.8, 0.2)}),
      **rig.both({2: (0, 1.6, 0.2), 97: (0, 1.8, 0.2), 98: (0, 1.4, 0)}),
      **rig.both({92: (0, 3.0, -0.2), 206: (0, 1.6, 0), 203: (0, 1.4, 0)}),
    },
    hold=[*lower, 4, 1],
  )
  return shapes


def _roll_lower(rig: Rig) -> np.ndarray:
  """AU28: the red of the lip turns in over the teeth; the skin below comes after it."""
  upper, _ = rig.lip_controls()

  def profile(t, inner):
    return 0, 7.0 - 6.4 * inner, -3.6 - 9.6 * inner

  around = {
    **{18: (0, 6.7, -0.4), 83: (0, 6.5, -0.4), 182: (0, 5.6, -0.2)},
    **{200: (0, 5.6, 3.5), 201: (0, 5.6, 3.5), 194: (0, 4.3, 3.2)},
    **{106: (0, 3.9, 0.4), 204: (0, 2.8, 1.8), 208: (0, 2.8, 2.1)},
    **{199: (0, 2.8, 2.1), 175: (0, 0.7, 0.7)},
  }
  keys = {**rig.lips(profile, "lower", taper=True), **rig.both(around)}
  return rig.smoothed(rig.displace(keys, hold=[*upper, 152]), _FINEST)


def _roll_upper(rig: Rig) -> np.ndarray:
  """AU28 of the upper lip."""
  _, lower = rig.lip_controls()

  def profile(t, inner):
    return 0, -5.0 + 4.4 * inner, -5.0 - 6.6 * inner

  around = {
    **{164: (0, -3.5, -2.4), 167: (0, -3.4, -2.4), 165: (0, -2.5, -1.6)},
    **{92: (0, -1.0, -0.5)},
  }
  keys = {**rig.lips(profile, "upper", taper=True), **rig.both(around)}
  return rig.smoothed(rig.displace(keys, hold=[*lower, 2, 97, 98, 4]), _FINEST)


def _pucker(rig: Rig) -> np.ndarray:
  """AU18: the lips are drawn together and forward."""

  def profile(t, inner):
    side = np.sign(t) * np.abs(t) ** 1.2
    forward = 9.2 + 2.0 * np.abs(t) + 1.2 * inner * bump(t)
    return -5.2 * side, 0.6 + 1.4 * t * t, forward

  around = {
    **{57: (-4.6, 1.8, 9.4), 186: (-4.4, 1.2, 9.0), 43: (-4.2, 1.8, 8.4)},
    **{212: (-4.0, 1.4, 7.4), 92: (-3.0, 0.6, 7.6), 216: (-3.0, 0.6, 5.8)},
    **{165: (-1.8, -0.4, 5.6), 164: (0, -0.8, 5.4), 167: (-0.8, -0.6, 5.4)},
    **{206: (-1.6, 0, 3.4), 202: (-2.8, 1.6, 5.2), 214: (-2.2, 0.8, 3.4)},
    **{106: (-1.8, 1.6, 6.0), 182: (-1.2, 1.6, 6.2), 18: (0, 1.6, 6.2)},
    **{83: (-0.5, 1.6, 6.2), 204: (-1.4, 1.4, 3.6), 200: (0, 1.2, 3.0)},
    **{194: (-0.6, 1.2, 3.4), 201: (-0.3, 1.2, 3.2), 207: (-1.2, 0.2, 2.0)},
  }
  return rig.displace({**rig.lips(profile), **rig.both(around)}, hold=[2, 97, 98, 152])


def _funnel(rig: Rig) -> np.ndarray:
  """AU22: the lips part and turn outward like a funnel."""

  def upper(t, inner):
    return -3.6 * t, (2.2 + 2.0 * inner) * bump(t), 6.4 + 2.0 * inner * bump(t)

  def lower(t, inner):
    return -3.6 * t, -(4.4 + 3.4 * inner) * bump(t), 6.4 + 1.8 * inner * bump(t)

  around = {
    **{57: (-3.2, -0.4, 5.2), 186: (-2.8, 0.6, 5.4), 43: (-2.6, -1.4, 4.8)},
    **{212: (-2.4, -0.4, 4.0), 92: (-1.8, 1.2, 5.0), 216: (-1.8, 0.6, 3.2)},
    **{165: (-1.0, 1.2, 4.2), 164: (0, 1.4, 4.2), 167: (-0.5, 1.4, 4.2)},
    **{106: (-1.0, -2.8, 4.0), 182: (-0.6, -3.4, 4.2), 18: (0, -3.8, 4.4)},
    **{83: (-0.2, -3.6, 4.4), 202: (-1.4, -1.8, 3.0), 200: (0, -2.4, 1.8)},
    **{201: (0, -2.4, 1.8), 194: (-0.2, -2.2, 2.0), 204: (-0.8, -2.0, 2.0)},
    **{206: (-0.8, 0.6, 2.0), 214: (-1.2, -0.6, 2.0), 199: (0, -1.2, 0.6)},
  }
  keys = {**rig.lips(upper, "upper"), **rig.lips(lower, "lower")}
  return rig.displace({**keys, **rig.both(around)}, hold=[2, 97, 98, 152])


def mouth_right(rig: Rig) -> np.ndarray:
  """The mouth shifts to the person's right, and turns with the curve of the teeth."""

  def profile(t, inner):
    return -14.0 - 3.2 * t, -0.4 - 0.6 * t, 1.0 + 6.6 * t

  right = {
    **{57: (10.4, 0, -5.6), 186: (10.2, 0.2, -4.4), 43: (10.0, -0.2, -4.6)},
    **{212: (8.6, 0, -4.2), 216: (7.0, 0.4, -2.0), 92: (9.0, 0.2, -2.2)},
    **{206: (4.4, 0.4, -0.2), 202: (7.4, 0, -3.0), 214: (6.0, 0, -2.2)},
    **{207: (3.6, 0.4, 0), 165: (5.8, 0, 0), 106: (8.4, 0, -1.0)},
    **{182: (8.2, 0, 0), 204: (6.0, 0, -1.0), 210: (3.4, 0, -0.6)},
    **{164: (6.0, 0, 0.4), 18: (8.6, 0, 1.0), 200: (5.0, 0, 0.6), 199: (3.0, 0, 0.4)},
  }
  left = {
    **{57: (-15.4, -0.6, 7.2), 186: (-14.0, -0.4, 6.4), 43: (-13.6, -0.6, 6.2)},
    **{212: (-12.6, -0.6, 6.2), 216: (-9.4, -0.2, 4.4), 92: (-11.0, -0.2, 4.4)},
    **{206: (-6.0, 0, 2.4), 202: (-10.2, -0.4, 5.0), 214: (-8.6, -0.2, 4.0)},
    **{207: (-5.4, 0, 2.4), 165: (-6.6, 0, 1.8), 106: (-10.0, -0.2, 3.4)},
    **{182: (-9.2, 0, 2.0), 204: (-7.2, -0.2, 2.8), 210: (-4.6, 0, 1.8)},
  }
  keys: Keys = {**rig.lips(profile), **rig.right(right)}
  for control, move in rig.right(left).items():
    keys[int(rig.points.mirror[control])] = move * [-1, 1, 1]
  return rig.displace(keys, hold=[4, 1, 152, 2])
