"""Who a synthetic person is: corrections of the template drawn from a seed.

The shape is a sum of traits (template/traits.py), each blendshape is a little stronger
or weaker than the template's, the skin has a tone, freckles and brows of its own, and
wrinkles come with the blendshapes that fold them. All of it is a PersonModel, so it is
ground truth in the very quantities that the system estimates.
"""

from typing import NamedTuple

import numpy as np

from personalized_face.core.types import PARSING_CLASSES, PersonModel
from personalized_face.data.synthetic_motion import drives
from personalized_face.template.attention import bake_to_uv
from personalized_face.template.face_template import FaceTemplate
from personalized_face.template.traits import (
  NUM_BUMPS,
  NUM_STRETCHES,
  gauss,
  trait_fields,
)

_STRENGTH_SPREAD = 0.15  # of each blendshape, as a share of its displacement
# Skin, hair and iris that go together; the values as a picture shows them.
_COLOURS = (
  ((0.80, 0.60, 0.50), (0.20, 0.13, 0.08), (0.25, 0.38, 0.45)),
  ((0.72, 0.52, 0.41), (0.10, 0.07, 0.05), (0.30, 0.20, 0.10)),
  ((0.84, 0.66, 0.56), (0.42, 0.29, 0.16), (0.28, 0.42, 0.32)),
  ((0.56, 0.38, 0.28), (0.05, 0.04, 0.04), (0.22, 0.14, 0.08)),
  ((0.42, 0.27, 0.19), (0.04, 0.03, 0.03), (0.18, 0.11, 0.07)),
)
_SHIRTS = ((0.22, 0.30, 0.42), (0.45, 0.20, 0.20), (0.25, 0.38, 0.30), (0.6, 0.58, 0.5))
_WRINKLE_DEPTH = 0.16  # of the light a fold takes away
_WRINKLE_WIDTH = 0.022  # decimetres


class Colours(NamedTuple):
  """RGB [3] of what the face model does not hold, and of its skin."""

  skin: np.ndarray
  hair: np.ndarray
  iris: np.ndarray
  shirt: np.ndarray


class SyntheticPerson:
  """One person; the same seed and template give the same one.

  Attributes:
    template: what the person is a correction of.
    colours: see Colours.
    seed: what it was drawn from.
  """

  def __init__(self, template: FaceTemplate, seed: int = 0):
    self.template = template
    self.seed = seed
    rng = np.random.default_rng([seed, 0])
    bumps = np.clip(rng.normal(size=NUM_BUMPS), -1.7, 1.7)
    stretches = np.clip(rng.normal(size=NUM_STRETCHES), -1.6, 1.6)
    self._traits = np.concatenate([bumps, stretches])
    self._strengths = rng.normal(size=template.num_blendshapes) * _STRENGTH_SPREAD
    palette = _COLOURS[seed % len(_COLOURS)]
    shirt = _SHIRTS[rng.integers(len(_SHIRTS))]
    self.colours = Colours(*(np.array(colour) for colour in (*palette, shirt)))

  def model(self) -> PersonModel:
    """The person's corrections and albedo, float32, without the dimension B."""
    template, size = self.template, self.template.uv_size
    count = template.num_blendshapes
    positions = _bake(template, template.vertices, size)  # [U, U, 3]
    deltas = template.blendshape_deltas.transpose(1, 0, 2).reshape(-1, 3 * count)
    deltas = _bake(template, deltas, size).reshape(size, size, count, 3)
    return PersonModel(
      neutral_correction=self._shape(positions).astype(np.float32),
      blendshape_corrections=(deltas * self._strengths[:, None]).astype(np.float32),
      static_albedo=self._skin(positions).astype(np.float32),
      dynamic_albedo=self._wrinkles(positions).astype(np.float32),
    )

  def detail(self, size: int) -> np.ndarray:
    """Fine structure beyond the model's maps, as footage of a real face has it.

    Args:
      size: of the map, texels.

    Returns:
      [size, size, 3] factors on the albedo, 1 on average: pores, hairs of the brows,
      lashes.
    """
    import cv2

    rng = np.random.default_rng([self.seed, 2])
    noise = rng.normal(size=(size, size)).astype(np.float32)
    fine, coarse = (
      cv2.GaussianBlur(noise, (0, 0), 1.0),
      cv2.GaussianBlur(noise, (0, 0), 4),
    )
    factor = 1 + 0.012 * fine / fine.std() + 0.008 * coarse / coarse.std()
    # Hairs: noise smeared along the brow, which runs along u.
    hairs = cv2.GaussianBlur(noise, (0, 0), 3.0, sigmaY=0.7)
    brows = cv2.resize(self._part("brows"), (size, size))
    factor += brows * 0.22 * hairs / hairs.std()
    positions = _bake(self.template, self.template.vertices, size)
    lashes = np.zeros([size, size])
    for lid in ((36, 37, 38, 39), (42, 43, 44, 45)):
      distance = _distance(positions, self._landmarks(lid))
      lashes = np.maximum(lashes, np.exp(-((distance / 0.012) ** 2)))
    factor *= 1 - 0.65 * lashes
    return np.repeat(np.clip(factor, 0.1, 1.5)[..., None], 3, axis=-1)

  def _landmarks(self, indices: tuple[int, ...]) -> np.ndarray:
    return self.template.vertices[self.template.landmark_vertices[list(indices)]]

  def _part(self, name: str) -> np.ndarray:
    return self.template.parsing_map[..., PARSING_CLASSES.index(name)]

  def _shape(self, positions: np.ndarray) -> np.ndarray:
    """Delta_0^S as a field over space, at positions [..., 3] dm."""
    return np.tensordot(self._traits, trait_fields(self.template, positions), 1)

  def _skin(self, positions: np.ndarray) -> np.ndarray:
    """R_0^t + Delta_0^R, [U, U, 3]."""
    rng = np.random.default_rng([self.seed, 3])
    mean, skin = self.template.mean_albedo, self._part("skin") > 0.9
    tone = self.colours.skin / np.maximum(mean[skin].mean(axis=0), 1e-3)
    albedo = mean * tone
    brows = self._part("brows")[..., None]
    albedo = albedo * (1 - brows) + brows * (0.35 * albedo + 0.65 * self.colours.hair)
    cheeks = [
      self._landmarks(indices).mean(axis=0) for indices in ((2, 31, 41), (14, 35, 46))
    ]
    for centre in (*cheeks, self._landmarks((30,))[0]):
      weight = gauss(np.linalg.norm(positions - centre, axis=-1), 0.2)[..., None]
      albedo = albedo * (1 + weight * np.array([0.02, -0.03, -0.03]))
    spots = positions[skin][rng.integers(skin.sum(), size=40)]
    sizes, depths = rng.uniform(0.010, 0.022, 40), rng.uniform(0.04, 0.13, 40)
    depths[0] = 0.45  # a mole
    for spot, size, depth in zip(spots, sizes, depths, strict=True):
      weight = gauss(np.linalg.norm(positions - spot, axis=-1), size)
      albedo = albedo * (1 - depth * weight * skin)[..., None]
    return np.clip(albedo, 0.01, 0.98)

  def _wrinkles(self, positions: np.ndarray) -> np.ndarray:
    """Delta_i^R, [U, U, K, 3]: folds darken the skin, red least."""
    template = self.template
    dynamic = np.zeros([*positions.shape[:2], template.num_blendshapes, 3])
    colour = self.colours.skin * _WRINKLE_DEPTH * np.array([0.85, 1.0, 1.05])
    for stems, lines in self._folds():
      fold = np.zeros(positions.shape[:2])
      for line in lines:
        fold = np.maximum(fold, gauss(_distance(positions, line), _WRINKLE_WIDTH))
      for i, name in enumerate(template.blendshape_names):
        if any(drives(stem, name) for stem in stems):
          dynamic[:, :, i] -= fold[..., None] * colour
    return dynamic

  def _folds(self):
    """What folds with which blendshapes: (stems, lines [P, 3] in decimetres)."""
    inner, outer = self._landmarks((21, 22)), self._landmarks((17, 26))
    width = np.abs(outer[:, 0]).mean()
    across = np.linspace(-0.8 * width, 0.8 * width, 9)
    bow = 0.05 * np.cos(across / width * np.pi / 2)
    depth = inner[:, 2].mean()
    forehead = [
      np.stack([across, inner[:, 1].mean() + height + bow, np.full(9, depth)], -1)
      for height in (0.14, 0.23, 0.32)
    ]
    root = self._landmarks((27,))[0]
    frown = [
      np.array([root * [0, 1, 1] + [x, 0, 0], inner[0] * [0, 1, 1] + [x, 0.05, 0]])
      for x in (-0.05, 0.05)
    ]
    smile, squint = [], []
    for side, wing, corner, eye in ((-1, 31, 48, 36), (1, 35, 54, 45)):
      wing, corner, eye = self._landmarks((wing, corner, eye))
      out = np.array([side, 0.0, 0.0])
      smile.append(
        np.array(
          [
            wing + 0.05 * out + [0, 0.03, 0],
            (wing + corner) / 2 + 0.10 * out,
            corner + 0.10 * out - [0, 0.03, 0],
          ]
        )
      )
      for slope in (-0.35, 0.0, 0.35):
        start = eye + 0.05 * out
        squint.append(np.array([start, start + 0.14 * (out + [0, slope, -0.6])]))
    return (
      (("browInnerUp", "browOuterUp"), forehead),
      (("browDown",), frown),
      (("mouthSmile", "noseSneer", "mouthDimple"), smile),
      (("eyeSquint", "cheekSquint"), squint),
    )


def _bake(template: FaceTemplate, values: np.ndarray, size: int) -> np.ndarray:
  return bake_to_uv(values, template.uv, template.triangles, size)


def _distance(positions: np.ndarray, line: np.ndarray) -> np.ndarray:
  """From positions [..., 3] to a polyline [P, 3], as seen from the front.

  Depth counts for a quarter: the lines are drawn before a face, not on it.
  """
  scale = np.array([1.0, 1.0, 0.25])
  points, line = positions * scale, line * scale
  nearest = np.full(points.shape[:-1], np.inf)
  for start, end in zip(line[:-1], line[1:], strict=True):
    along = end - start
    share = np.clip((points - start) @ along / max(along @ along, 1e-12), 0, 1)
    foot = start + share[..., None] * along
    nearest = np.minimum(nearest, np.linalg.norm(points - foot, axis=-1))
  return nearest
