"""L_bg, Eq. 7: a corrected blendshape should deform the face as the template's does.

    L_bg = sum_i mean_t || G_t(S_0 -> S_i + F(A_i Delta_i)) - G_t(S_0 -> S_i) ||_F^2

G_t is the deformation gradient of triangle t (Sumner & Popovic 2004; Li et al. 2010,
the paper's [26]): the 3 x 3 matrix that takes the frame of the triangle in S_0 to its
frame in the deformed mesh. A frame V = [a b m] has two sides a = v2 - v1, b = v3 - v1
and the "fourth vertex" m = n / sqrt|n|, n = a x b; then G = V' V_0^-1.

Both gradients of Eq. 7 share V_0^-1, so their difference is D V_0^-1 with
D = [da db dm]: da and db are the sides of the correction alone, dm = m' - m_i is not
linear in it. In V_0 the column m_0 is orthogonal to the sides and |m_0|^2 = |n_0|. So

    ||D V_0^-1||_F^2 = ||[da db] E^+||_F^2 + |dm|^2 / |n_0|

with E^+ the pseudo-inverse of the sides [a_0 b_0]. The first summand is the linear
3 x 2 in-plane form; the fourth vertex adds the second one, which alone feels how a
triangle that S_i has turned or stretched is tilted and scaled by the correction. E^+ is
brought to triangular form, E^+ = [p 0; q r] Q with Q orthonormal rows, and drops out of
the norm: the in-plane part is |p da + q db|^2 + |r db|^2.
"""

import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.core.uv import VertexSampler
from personalized_face.template.face_template import FaceTemplate

FORMS = ("fourth_vertex", "in_plane")
# A triangle of S_0 whose height is below this share of its longest side is a sliver.
# Its inverse frame counts by 1 / height^2: two slivers of 0.05 um at the lids once
# outweighed 24,000 sound triangles 50 to 1, with frames that were rounding errors.
_LEAST_HEIGHT_SHARE = 1e-2
# A deformed triangle is taken to keep this share of its area in S_0: sqrt|n| has an
# infinite slope at 0, where a correction flattens it altogether.
_LEAST_AREA_SHARE = 1e-3


class BlendshapeGradientLoss:
  """L_bg for one template; its constants, and the pairs that can be anything but 0.

  Corrections vanish off the attention masks. A (triangle, blendshape) pair whose three
  corners all have F(A_i) = 0 has no loss and no gradient, whatever Delta_i is, and is
  left out: exactly the same value for a fraction of the work. Only slivers of S_0,
  whose frames cannot be inverted in earnest, are dropped beside them.

  The gradient of a gather is an unsorted segment sum, which is deterministic on CPU:
  5 of the 27 ms that this takes for 278,000 pairs on two idle cores.

  Attributes:
    form: one of FORMS.
    num_pairs: how many (triangle, blendshape) pairs are evaluated.
  """

  def __init__(
    self,
    template: FaceTemplate,
    form: str = "fourth_vertex",
    dtype: tf.DType = tf.float32,
  ):
    """Precomputes the pairs and the frames of S_0 and S_i.

    Args:
      template: S_0, S_i and A_i.
      form: "fourth_vertex", or "in_plane" for the linear part alone.
      dtype: of the corrections that it will be called with.

    Raises:
      ValueError: for another form.
    """
    if form not in FORMS:
      raise ValueError(
        f"the blendshape gradient's form is one of {FORMS}, not {form!r}"
      )
    self.form = form
    self._num_triangles = len(template.triangles)
    self._shape = [template.num_vertices * template.num_blendshapes, 3]
    triangle, blendshape = _active_pairs(template)
    self.num_pairs = len(triangle)
    corners = template.triangles[triangle].astype(np.int64)  # [pairs, 3]
    rows = corners * template.num_blendshapes + blendshape[:, np.newaxis]
    self._rows = [tf.constant(rows[:, i], tf.int32) for i in range(3)]

    vertices = template.vertices.astype(np.float64)
    sides_0 = _sides(vertices[corners])
    self._p, self._q, self._r = (
      tf.constant(value[:, np.newaxis], dtype) for value in _in_plane(*sides_0)
    )
    if form == "fourth_vertex":
      deltas = template.blendshape_deltas.astype(np.float64)
      sides_i = _sides(vertices[corners] + deltas[blendshape[:, np.newaxis], corners])
      self._sides = [tf.constant(side, dtype) for side in sides_i]
      area_0 = np.linalg.norm(np.cross(*sides_0), axis=-1)[:, np.newaxis]  # |n_0|
      self._least = tf.constant(np.square(_LEAST_AREA_SHARE * area_0), dtype)
      self._normal_weight = tf.constant(1 / np.sqrt(area_0), dtype)
      # m_i, by the very operations that make m': no correction is exactly no loss.
      self._fourth = self._fourth_vertex(*self._sides)

  def __call__(self, blendshape_offsets: Tensor) -> Tensor:
    """Eq. 7: summed over blendshapes, averaged over triangles and over B.

    Args:
      blendshape_offsets: [B, V, K, 3] F(A_i Delta_i^S), decimetres; 0 wherever
        F(A_i) is 0, as the mask makes it (it is not looked at there).

    Returns:
      Scalar. Scale-free: a mesh and its correction twice as large give the same.
    """
    shapes.check(blendshape_offsets, "[B, V, K, 3]", "blendshape_offsets")
    flat = tf.reshape(blendshape_offsets, [-1, *self._shape])
    # One gather per corner: three from one [3, pairs] table are twice as slow.
    first, second, third = (tf.gather(flat, rows, axis=1) for rows in self._rows)
    a, b = second - first, third - first  # [B, pairs, 3]
    squared = _squared_sum(self._p * a + self._q * b) + _squared_sum(self._r * b)
    if self.form == "fourth_vertex":
      side_a, side_b = self._sides
      moved = self._fourth_vertex(side_a + a, side_b + b) - self._fourth
      squared += _squared_sum(self._normal_weight * moved)
    return tf.reduce_mean(squared) / self._num_triangles

  def _fourth_vertex(self, a: Tensor, b: Tensor) -> Tensor:
    """m = n / sqrt|n|, n = a x b, [..., pairs, 3]; finite where n vanishes."""
    normal = tf.linalg.cross(a, b)
    squared = tf.reduce_sum(tf.square(normal), axis=-1, keepdims=True)
    length = tf.sqrt(tf.maximum(squared, self._least))
    return normal / tf.sqrt(length)


def _active_pairs(template: FaceTemplate) -> tuple[np.ndarray, np.ndarray]:
  """Triangle and blendshape of each pair with a corner where F(A_i) > 0."""
  # The sampler that makes F(A_i Delta_i), so that both agree on what is exactly 0.
  sampler = VertexSampler(template.uv, template.uv_size)
  masks = sampler(tf.constant(template.attention_masks[np.newaxis]))[0].numpy()
  active = (masks != 0)[template.triangles].any(axis=1)  # [T, K]
  return np.nonzero(active & _has_frame(template)[:, np.newaxis])


def _has_frame(template: FaceTemplate) -> np.ndarray:
  """[T] whether a triangle of S_0 is none of the slivers."""
  corners = template.vertices.astype(np.float64)[template.triangles]
  area = np.linalg.norm(np.cross(*_sides(corners)), axis=-1)
  sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)
  sound = area > _LEAST_HEIGHT_SHARE * np.square(sides.max(axis=-1))
  if not sound.all():
    logging.warning(
      "L_bg leaves out %d slivers of template %s", np.sum(~sound), template.name
    )
  return sound


def _sides(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """[..., 3 corners, 3] to a = v2 - v1 and b = v3 - v1."""
  return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]


def _in_plane(
  a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """p, q, r with [p 0; q r][p 0; q r]^T = ([a b]^T [a b])^-1, each [pairs].

  Gram-Schmidt on the sides from the second one: with h the part of a that is
  orthogonal to b, p = 1 / |h|, q = -(a.b / b.b) / |h| and r = 1 / |b|.
  """
  length_b = np.linalg.norm(b, axis=-1)
  along = np.sum(a * b, axis=-1) / np.square(length_b)
  height = np.linalg.norm(np.cross(a, b), axis=-1) / length_b  # |h|
  return 1 / height, -along / height, 1 / length_b


def _squared_sum(values: Tensor) -> Tensor:
  """[B, pairs, 3] to [B]."""
  return tf.reduce_sum(tf.square(values), axis=[1, 2])
