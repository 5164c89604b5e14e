"""From our blendshape coefficients to another face's, by name.

A character's shape takes the coefficient of ours with the same name in any spelling
(data/arkit.py); where ours are a left and a right one, their mean; where the
character splits one of ours, each half takes it whole. A mapping file says otherwise,
or adds what names do not tell; YAML, the character's name first:

    Blink_L: eyeBlink_L
    smile: {mouthSmile_L: 0.5, mouthSmile_R: 0.5}
    tongueOut: {}            # stays 0
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.data.arkit import spelling_key
from personalized_face.face_model.files import Motion


class ShapeMapping(NamedTuple):
  """A linear map between coefficients, and what it leaves out."""

  matrix: np.ndarray  # [K, K']; theirs = ours @ matrix
  still: tuple[str, ...]  # their shapes that nothing of ours moves
  unused: tuple[str, ...]  # our shapes that move nothing of theirs


def map_shapes(
  names: Sequence[str],
  foreign_names: Sequence[str],
  overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> ShapeMapping:
  """Matches names.

  Args:
    names: K of ours.
    foreign_names: K' of theirs.
    overrides: of `read_mapping`.

  Raises:
    UserError: nothing matches, or an override names a shape that is not there.
  """
  ours = {spelling_key(name): i for i, name in enumerate(names)}
  matrix = np.zeros([len(names), len(foreign_names)])
  given = dict(overrides or {})
  for column, foreign in enumerate(foreign_names):
    parts = given.pop(foreign, None)
    if parts is None:
      found = _by_name(ours, spelling_key(foreign))
      matrix[found, column] = 1 / max(len(found), 1)
      continue
    for name, weight in parts.items():
      if spelling_key(name) not in ours:
        raise UserError(
          f"The mapping gives {foreign} the blendshape {name}, which the template does "
          "not have; see its names in motion.csv."
        )
      matrix[ours[spelling_key(name)], column] = weight
  if given:
    raise UserError(
      f"The mapping names {', '.join(given)}, which the character does not have; its "
      f"shapes are {', '.join(foreign_names)}."
    )
  if not matrix.any():
    raise UserError(
      "None of the character's shapes is named like one of ARKit's; give a --mapping. "
      f"They are: {', '.join(foreign_names)}."
    )
  still = [n for n, used in zip(foreign_names, matrix.any(0), strict=True) if not used]
  unused = [n for n, used in zip(names, matrix.any(1), strict=True) if not used]
  return ShapeMapping(matrix, tuple(still), tuple(unused))


def _by_name(ours: Mapping[str, int], key: str) -> list[int]:
  """Indices of ours that make a shape of this key."""
  if key in ours:
    return [ours[key]]
  pair = [ours[f"{key}{side}"] for side in ("left", "right") if f"{key}{side}" in ours]
  if pair:
    return pair
  whole = key.removesuffix("left").removesuffix("right")
  # jawLeft is no half of a "jaw".
  return [ours[whole]] if whole != key and whole in ours else []


def read_mapping(path: str) -> dict[str, dict[str, float]]:
  """Reads a mapping file.

  Raises:
    UserError: missing, or not of the form above.
  """
  try:
    entries = specs.read_yaml(path)
    mapping = {
      str(name): {parts: 1.0}
      if isinstance(parts, str)
      else {str(own): float(weight) for own, weight in (parts or {}).items()}
      for name, parts in entries.items()
    }
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  except (AttributeError, TypeError, ValueError, OverflowError) as error:
    raise UserError(
      f"{path} is not a mapping ({error}); write a line `theirs: ours` for each shape."
    ) from error
  for name, parts in mapping.items():
    if not np.isfinite(list(parts.values())).all():
      raise UserError(f"{path} gives {name} a weight that is not finite; write one.")
  return mapping


def parse_gains(texts: Sequence[str]) -> dict[str, float]:
  """["jawOpen=1.2"] as {"jawOpen": 1.2}.

  Raises:
    UserError: not of this form.
  """
  gains = {}
  for text in texts:
    name, _, value = text.partition("=")
    try:
      gains[name] = float(value)
    except ValueError as error:
      raise UserError(
        f"{text!r} is not a gain; write a blendshape's name and a number, such as "
        "jawOpen=1.2."
      ) from error
  return gains


def adjust(
  motion: Motion,
  names: Sequence[str],
  gains: Mapping[str, float] | None = None,
  neutral_frame: int | None = None,
) -> Motion:
  """A motion calibrated by a neutral frame, then amplified shape by shape.

  What a coefficient reads when the face is at rest is taken off, and the rest of its
  range stretched to 1: (w - w_rest) / (1 - w_rest), not below 0.

  Args:
    motion: F frames.
    names: K, of its coefficients.
    gains: factors by name, in any spelling; the result stays in [0, 1].
    neutral_frame: its index.

  Raises:
    UserError: no such frame or blendshape.
  """
  weights = np.asarray(motion.tracking.expression, np.float32).copy()
  if neutral_frame is not None:
    if not 0 <= neutral_frame < len(weights):
      raise UserError(
        f"There is no frame {neutral_frame} in a motion of {len(weights)} frames; they "
        "count from 0."
      )
    rest = np.minimum(weights[neutral_frame], np.float32(0.99))
    weights = np.maximum((weights - rest) / (1 - rest), 0)
  index = {spelling_key(name): i for i, name in enumerate(names)}
  for name, gain in (gains or {}).items():
    if spelling_key(name) not in index:
      raise UserError(
        f"There is no blendshape {name} to amplify; there are {', '.join(names)}."
      )
    column = index[spelling_key(name)]
    weights[:, column] = np.clip(weights[:, column] * np.float32(gain), 0, 1)
  return motion._replace(tracking=motion.tracking._replace(expression=weights))
