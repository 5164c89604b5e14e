"""Pictures for people: the columns of the paper's Supp. Fig. 1, and contact sheets.

Takes `Outputs` or a `Rendering` and the input pictures; makes display values in [0, 1].
Pure functions: nothing here reads or writes a file. This is the one place where
colours are clamped; the losses and the files keep them as they are.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from personalized_face.core.types import Rendering, Tensor

COLUMN_LABELS = ("input", "overlay", "shape", "albedo", "lighting")

_PAPER = 1.0  # what lies behind the face in the columns that show only the face
_CLAY = 0.72  # reflectance of the grey material of "shape"
_CARD = 0.65  # reflectance of the grey material of "lighting"
# The fixed lamp of the "shape" column, camera space: from the upper left, in front.
_LAMP = (-0.35, 0.45, 0.82)
_AMBIENT = 0.25
_HEADER = 22  # pixels
_MARGIN = 54  # pixels, left of the rows, for their labels; more for long ones
_GAP = 6  # pixels, either side of a row's label
_LONGEST = 28  # characters of a row's label


def columns(images: Tensor, rendering: Rendering) -> Tensor:
  """The five columns of Supp. Fig. 1 side by side, one row for each picture.

  Args:
    images: [..., H, W, 3] the inputs, RGB in [0, 1].
    rendering: with the same leading dimensions.

  Returns:
    [I, H, 5 W, 3] float32 in [0, 1], in the order of COLUMN_LABELS; I is the product
    of the leading dimensions.
  """
  parts = [
    tf.convert_to_tensor(images, tf.float32),
    overlay(images, rendering),
    shape_picture(rendering),
    albedo_picture(rendering),
    lighting_picture(rendering),
  ]
  height, width = parts[1].shape[-3:-1]
  flat = [tf.reshape(part, [-1, height, width, 3]) for part in parts]
  return tf.clip_by_value(tf.concat(flat, axis=2), 0.0, 1.0)


def overlay(images: Tensor, rendering: Rendering) -> Tensor:
  """The rendered face on its input picture, [..., H, W, 3] in [0, 1]."""
  return _on(tf.convert_to_tensor(images, tf.float32), rendering.image, rendering.mask)


def shape_picture(rendering: Rendering) -> Tensor:
  """The geometry as grey clay under one fixed lamp, [..., H, W, 3] in [0, 1].

  Independent of albedo and of the estimated light, so that a dent shows as a dent.
  """
  lamp = tf.constant(_LAMP) / np.linalg.norm(_LAMP)
  lambert = tf.maximum(tf.reduce_sum(rendering.normals * lamp, -1, keepdims=True), 0.0)
  clay = _CLAY * (_AMBIENT + (1.0 - _AMBIENT) * lambert)
  return _on(_PAPER, tf.repeat(clay, 3, axis=-1), rendering.mask)


def albedo_picture(rendering: Rendering) -> Tensor:
  """The unlit colours, [..., H, W, 3] in [0, 1]."""
  return _on(_PAPER, rendering.albedo, rendering.mask)


def lighting_picture(rendering: Rendering) -> Tensor:
  """The estimated light on a grey face, [..., H, W, 3] in [0, 1]."""
  return _on(_PAPER, _CARD * rendering.shading, rendering.mask)


def on_grey(rendering: Rendering, level: float = 0.35) -> Tensor:
  """The rendered face on a plain grey ground, [..., H, W, 3] in [0, 1]."""
  return _on(level, rendering.image, rendering.mask)


def _on(background: Tensor | float, picture: Tensor, mask: Tensor) -> Tensor:
  mask = mask[..., tf.newaxis]
  return tf.clip_by_value(mask * picture + (1.0 - mask) * background, 0.0, 1.0)


def to_uint8(picture: Tensor) -> np.ndarray:
  """Display values in [0, 1] as 8 bits, rounded; what lies outside is clamped."""
  return np.round(np.clip(np.asarray(picture), 0.0, 1.0) * 255).astype(np.uint8)


def spread(count: int, wanted: int) -> np.ndarray:
  """At most `wanted` of the indices 0..count-1, evenly over the whole range.

  Each is the middle of one of `wanted` equal parts, so neither end is favoured.
  """
  wanted = min(count, wanted)
  return ((np.arange(wanted) + 0.5) * count / max(wanted, 1)).astype(int)


def sheet(
  rows: np.ndarray, column_labels: Sequence[str], row_labels: Sequence[str]
) -> np.ndarray:
  """A contact sheet: the rows under one another, their names beside, labels on top.

  Args:
    rows: [R, H, C * W, 3] in [0, 1], C pictures side by side in each.
    column_labels: C names.
    row_labels: R names, such as times; the middle of a long one is left out.

  Returns:
    [height, width, 3] uint8.

  Raises:
    ValueError: the labels do not fit the rows.
  """
  rows = to_uint8(rows)
  count, height, total_width, _ = rows.shape
  if len(row_labels) != count or total_width % len(column_labels):
    raise ValueError(
      f"{len(row_labels)} row and {len(column_labels)} column labels do not fit rows "
      f"{rows.shape}"
    )
  width = total_width // len(column_labels)
  font = ImageFont.load_default(13)
  row_labels = [_shortened(label) for label in row_labels]
  widest = max((font.getlength(label) for label in row_labels), default=0)
  margin = max(_MARGIN, int(np.ceil(widest)) + 2 * _GAP)
  canvas = np.full((_HEADER + count * height, margin + total_width, 3), 255, np.uint8)
  canvas[_HEADER:, margin:] = rows.reshape(count * height, total_width, 3)
  image = Image.fromarray(canvas)
  draw = ImageDraw.Draw(image)
  for i, label in enumerate(column_labels):
    centre = margin + (i + 0.5) * width
    draw.text((centre, _HEADER / 2), label, fill=0, font=font, anchor="mm")
  for i, label in enumerate(row_labels):
    centre = _HEADER + (i + 0.5) * height
    draw.text((margin / 2, centre), label, fill=0, font=font, anchor="mm")
  return np.asarray(image)


def _shortened(label: str) -> str:
  """With its beginning and its end, of which files' names differ in either."""
  if len(label) <= _LONGEST:
    return label
  kept = (_LONGEST - 3) // 2
  return f"{label[:kept]}...{label[-kept:]}"
