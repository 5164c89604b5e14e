"""How far each blendshape is corrected, as pictures of its UV map."""

import math

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from personalized_face.core.types import Tensor
from personalized_face.template.face_template import FaceTemplate

FULL_SCALE_MM = 3.0  # the same at every step: pictures of one run can be compared
_MM_PER_DM = 100.0
_TILE = 96  # pixels
_LABEL = 12  # pixels under each tile


def correction_sheet(corrections: Tensor, template: FaceTemplate) -> np.ndarray:
  """The length of A_i Delta_i over the face, a tile for each blendshape.

  Args:
    corrections: [U, U, K, 3] Delta_i, decimetres, of one person.
    template: gives the attention masks A_i and the names.

  Returns:
    [height, width, 3] uint8; black is 0, white FULL_SCALE_MM and more.
  """
  masked = np.asarray(corrections) * template.attention_masks[..., np.newaxis]
  lengths = _MM_PER_DM * np.linalg.norm(masked, axis=-1)  # [U, U, K] mm
  colors = matplotlib.colormaps["inferno"](np.clip(lengths / FULL_SCALE_MM, 0, 1))
  pixels = np.round(255 * colors[..., :3]).astype(np.uint8)  # [U, U, K, 3]
  columns = math.ceil(math.sqrt(template.num_blendshapes))
  rows = math.ceil(template.num_blendshapes / columns)
  sheet = Image.new("RGB", (columns * _TILE, rows * (_TILE + _LABEL)), "white")
  draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
  for i, name in enumerate(template.blendshape_names):
    left, top = i % columns * _TILE, i // columns * (_TILE + _LABEL)
    tile = Image.fromarray(np.ascontiguousarray(pixels[:, :, i]))
    sheet.paste(tile.resize((_TILE - 1, _TILE - 1)), (left, top))
    largest = lengths[..., i].max()
    draw.text((left + 1, top + _TILE - 1), f"{name} {largest:.1f}", 0, font)
  return np.asarray(sheet)
