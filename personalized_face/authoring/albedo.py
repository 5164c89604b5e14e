"""The maps of the default template in its UV layout: mean albedo R_0, parsing map T.

Both are painted from the polygons that label the pixels of training pictures
(core/mediapipe_regions.py), so that template and pictures mean the same regions.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from personalized_face.authoring.layout import inside_polygon
from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.types import NUM_PARSING_CLASSES, PARSING_CLASSES
from personalized_face.template import attention

_OVERSAMPLE = 4  # samples per texel and axis, for clean borders
PARSING_BLUR_TEXELS = 1.0

# Mid-tones of light skin under white light, in picture values (the loss compares
# linear renderings with pictures as they are, DESIGN section 3).
SKIN = (0.74, 0.56, 0.48)
CHEEK = (0.76, 0.52, 0.45)
LIPS = (0.66, 0.39, 0.37)
BROWS = (0.42, 0.31, 0.26)
NOSTRILS = (0.36, 0.21, 0.18)
LIDS = (0.66, 0.47, 0.40)
SCLERA = (0.80, 0.77, 0.74)
IRIS = (0.33, 0.25, 0.19)
PUPIL = (0.06, 0.05, 0.05)
MOUTH = (0.28, 0.13, 0.12)

# Painted in this order, each over the ones before; as in data/parsing.py.
_POLYGONS = (
  ("skin", regions.FACE_OVAL),
  ("nose", regions.NOSE),
  ("brows", regions.LEFT_BROW),
  ("brows", regions.RIGHT_BROW),
  ("upper_lip", regions.UPPER_LIP),
  ("lower_lip", regions.LOWER_LIP),
  ("inner_mouth", regions.LIPS_INNER),
  ("eyes", regions.LEFT_EYE),
  ("eyes", regions.RIGHT_EYE),
)


def parsing_map(control_uv: np.ndarray, size: int) -> np.ndarray:
  """The class probabilities T.

  Args:
    control_uv: [C, 2] UV of the control points.
    size: U, texels.

  Returns:
    [U, U, P] float32, rows sum to 1. Blurred by a texel, but not from one lip (or lid)
    to the other across the slit.
  """
  maps = np.zeros([size, size, NUM_PARSING_CLASSES])
  maps[..., 0] = 1
  for name, polygon in _POLYGONS:
    share = coverage(control_uv[list(polygon)], size)[..., None]
    maps = maps * (1 - share)
    maps[..., PARSING_CLASSES.index(name)] += share[..., 0]
  right = np.ones([size, size - 1], bool)
  down = np.ones([size - 1, size], bool)
  for line in _slit_lines(control_uv):
    cut_right, cut_down = attention.crossings(line, size)
    right &= ~cut_right
    down &= ~cut_down
  maps = attention.diffuse(maps, (right, down), PARSING_BLUR_TEXELS)
  return (maps / maps.sum(-1, keepdims=True)).astype(np.float32)


def mean_albedo(control_uv: np.ndarray, size: int) -> np.ndarray:
  """The mean albedo R_0: an average skin without shading.

  In the holes, which only the parsing render draws, eyes and a mouth's inside are
  painted, for pictures of the template.

  Args:
    control_uv: [C, 2] UV of the control points.
    size: U, texels.

  Returns:
    [U, U, 3] float32 linear RGB.
  """
  image = np.empty([size, size, 3])
  image[:] = SKIN
  for centre in (50, 280):
    image = _blend(image, CHEEK, 0.7 * _spot(control_uv[centre], 0.07, size))
  for upper, lower in (_lid_rows(True), _lid_rows(False)):
    ring = control_uv[[*upper, *lower]]
    image = _blend(image, LIDS, 0.3 * gaussian_filter(coverage(ring, size), 1.2))
  for brow in (regions.RIGHT_BROW, regions.LEFT_BROW):
    share = gaussian_filter(coverage(control_uv[list(brow)], size), 0.8)
    image = _blend(image, BROWS, 0.9 * share)
  lips = coverage(control_uv[list(regions.LIPS_OUTER)], size)
  image = _blend(image, LIPS, 0.95 * gaussian_filter(lips, 0.6))
  for nostril in (regions.RIGHT_NOSTRIL, regions.LEFT_NOSTRIL):
    opening = _ellipse_through(control_uv[list(nostril)])
    share = coverage(opening.mean(0) + 1.15 * (opening - opening.mean(0)), size)
    image = _blend(image, NOSTRILS, np.minimum(1.6 * gaussian_filter(share, 0.6), 1))
  return _holes_painted(image, control_uv).astype(np.float32)


def coverage(polygon: np.ndarray, size: int) -> np.ndarray:
  """The share of each texel inside a polygon in UV, [U, U] in [0, 1]."""
  fine = (np.arange(size * _OVERSAMPLE) + 0.5) / (size * _OVERSAMPLE)
  low, high = polygon.min(0), polygon.max(0)
  columns = np.flatnonzero((fine >= low[0]) & (fine <= high[0]))
  rows = np.flatnonzero((fine >= low[1]) & (fine <= high[1]))
  inside = np.zeros([size * _OVERSAMPLE] * 2)
  grid = np.stack(np.meshgrid(fine[columns], fine[rows]), -1).reshape(-1, 2)
  inside[np.ix_(rows, columns)] = inside_polygon(grid, polygon).reshape(
    len(rows), len(columns)
  )
  return inside.reshape(size, _OVERSAMPLE, size, _OVERSAMPLE).mean((1, 3))


def _ellipse_through(corner: np.ndarray) -> np.ndarray:
  """A polygon like the ellipse through four corners spread evenly about it. [32, 2]"""
  turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
  root = np.linalg.cholesky(2 * np.cov(corner.T, bias=True))
  return corner.mean(0) + np.stack([np.cos(turn), np.sin(turn)], -1) @ root.T


# Skin around each eye that is a little darker: crease above, bags below.
def _lid_rows(right: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
  if right:
    return (130, 247, 30, 29, 27, 28, 56, 190, 243), (112, 26, 22, 23, 24, 110, 25)
  above = (359, 467, 260, 259, 257, 258, 286, 414, 463)
  return above, (341, 256, 252, 253, 254, 339, 255)


def _slit_lines(control_uv: np.ndarray) -> list[np.ndarray]:
  """The middle lines of mouth and eyes, corner to corner. [S, 2] each"""
  pairs = (
    (regions.UPPER_LIP_INNER, regions.LOWER_LIP_INNER),
    (regions.RIGHT_UPPER_LID, regions.RIGHT_LOWER_LID),
    (regions.LEFT_UPPER_LID, regions.LEFT_LOWER_LID),
  )
  return [(control_uv[list(a)] + control_uv[list(b)]) / 2 for a, b in pairs]


def _holes_painted(image: np.ndarray, control_uv: np.ndarray) -> np.ndarray:
  size = len(image)
  mouth = _well_inside(control_uv[list(regions.LIPS_INNER)], size)
  image = _blend(image, MOUTH, mouth)
  for eye in (regions.RIGHT_EYE, regions.LEFT_EYE):
    contour = control_uv[list(eye)]
    inside = _well_inside(contour, size)
    image = _blend(image, SCLERA, inside)
    # The iris is 11.7 of the opening's 27 mm wide; the layout opens the eye, so in
    # the map it is an ellipse as high as the opening.
    middle = (contour[4] + contour[12]) / 2
    radius = np.array([0.21 * np.ptp(contour[:, 0]), (contour[12] - contour[4])[1] / 2])
    for colour, scale in ((IRIS, 1.0), (PUPIL, 0.42)):
      turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
      disc = middle + scale * radius * np.stack([np.cos(turn), np.sin(turn)], -1)
      image = _blend(image, colour, inside * coverage(disc, size))
  return image


def _well_inside(contour: np.ndarray, size: int) -> np.ndarray:
  """0 up to a texel inside a contour, so that sampling at the rim reads skin; 1 from
  two texels on."""
  blurred = gaussian_filter(coverage(contour, size), 1.0)
  return np.clip((blurred - 0.84) / (0.97 - 0.84), 0, 1)


def _blend(image: np.ndarray, colour, share: np.ndarray) -> np.ndarray:
  return image + share[..., None] * (np.array(colour) - image)


def _spot(centre: np.ndarray, radius: float, size: int) -> np.ndarray:
  rows, columns = (np.indices([size, size]) + 0.5) / size
  square = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
  return np.exp(-square / (2 * radius**2))
