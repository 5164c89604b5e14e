"""A person's albedo as pictures that travel inside an avatar.

Colours: the networks see pictures as they come out of a file, sRGB-coded, and the
losses add and multiply these very values. So a value of our albedo *is* an sRGB value:
it goes into a PNG as round(255 x) without a curve, glTF's `baseColorTexture` (which is
sRGB by definition) shows the right colour, and nothing here may apply a gamma.

The dynamic albedo of Eq. 2, A_i Delta_i^R, is signed. All K maps lie in one picture,
`columns` tiles a row, tile i at row i // columns, column i % columns, as

    stored = 0.5 + difference / (2 scale)        difference = (2 stored - 1) scale

with `stored` the 8-bit value over 255, in the same units as the albedo. A viewer shows
static + sum_i w_i difference_i, computed on sRGB values as the renderer does.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

_EYE_SIZE = 128  # pixels
# Shares of the picture's half width: the limbus and the pupil, of an eye 27 mm wide
# between its corners whose iris is 11.7 mm across.
_IRIS, _PUPIL = 0.43, 0.17
_SCLERA = (0.86, 0.83, 0.80)
_IRIS_COLOUR = (0.33, 0.26, 0.20)


class DynamicAtlas(NamedTuple):
  """The K signed maps of Eq. 2 in one picture."""

  pixels: np.ndarray  # [rows * U, columns * U, 3] uint8
  columns: int
  scale: float  # the largest difference, > 0


def to_pixels(values: np.ndarray) -> np.ndarray:
  """Albedo in [0, 1] as 8 bits; what lies outside is clamped."""
  return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def png_bytes(pixels: np.ndarray) -> bytes:
  """[height, width, 3] uint8 as a PNG file."""
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, "PNG", optimize=True)
  return file.getvalue()


def pack_dynamic_albedo(maps: np.ndarray) -> DynamicAtlas:
  """Packs A_i Delta_i^R.

  Args:
    maps: [K, U, U, 3] signed differences, masked.
  """
  count, side = maps.shape[:2]
  columns = int(np.ceil(np.sqrt(count)))
  rows = -(-count // columns)
  scale = max(float(np.abs(maps).max(initial=0)), 1e-6)
  tiles = np.zeros([rows * columns, side, side, 3], np.float32)
  tiles[:count] = maps
  grid = tiles.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
  pixels = to_pixels(0.5 + grid.reshape(rows * side, columns * side, 3) / (2 * scale))
  return DynamicAtlas(pixels, columns, scale)


def unpack_dynamic_albedo(atlas: DynamicAtlas, count: int) -> np.ndarray:
  """[K, U, U, 3] float32, to `scale` / 255."""
  side = atlas.pixels.shape[1] // atlas.columns
  differences = (atlas.pixels / np.float32(255) * 2 - 1) * np.float32(atlas.scale)
  grid = differences.reshape(-1, side, atlas.columns, side, 3).transpose(0, 2, 1, 3, 4)
  return grid.reshape(-1, side, side, 3)[:count]


def eye_picture() -> np.ndarray:
  """A plain eye that looks straight ahead, [128, 128, 3] uint8.

  The template has no eyeballs (DESIGN section 5); this is what closes its lids.
  """
  place = (np.arange(_EYE_SIZE) + 0.5) / _EYE_SIZE * 2 - 1
  radius = np.hypot(place[:, np.newaxis], place)[..., np.newaxis]
  shade = 1 - 0.25 * np.clip(radius, 0, 1) ** 2  # the ball turns away at its side
  picture = np.array(_SCLERA) * shade
  ring = 1 - 0.5 * np.clip((radius - 0.8 * _IRIS) / (0.2 * _IRIS), 0, 1)
  picture = np.where(radius < _IRIS, np.array(_IRIS_COLOUR) * ring, picture)
  return to_pixels(np.where(radius < _PUPIL, 0.03, picture))
