"""Eq. 1 and Eq. 2: a person's corrections and expression to shape and albedo.

Between the networks' parameters and the renderer. Everything is linear in the maps and
in w, and differentiable in both.

Eq. 1:  S = w_0 S_0 + F(Delta_0^S) + sum_i w_i [S_i + F(A_i Delta_i^S)]
Eq. 2:  R = R_0^t + Delta_0^R + sum_i w_i [A_i Delta_i^R]

With w_0 = 1 - sum_i w_i, Eq. 1 is S_0 + F(Delta_0^S) + sum_i w_i D_i, where D_i = S_i -
S_0 + F(A_i Delta_i^S): F(Delta_0^S) is not scaled by w_0. This is the form computed
here: a neutral and K displacements per person, blended per frame.
"""

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import (
  PersonAlbedo,
  PersonGeometry,
  PersonModel,
  Tensor,
)
from personalized_face.core.uv import VertexSampler
from personalized_face.template.face_template import FaceTemplate


class FaceModel:
  """A template's part of Eq. 1 and Eq. 2. Holds constants only, no variables."""

  def __init__(self, template: FaceTemplate):
    self._size = template.uv_size
    self._num_blendshapes = template.num_blendshapes
    self._sample = VertexSampler(template.uv, template.uv_size)  # F()
    self._neutral = tf.constant(template.vertices)  # S_0 [V, 3]
    self._displacements = tf.constant(  # S_i - S_0 [V, K, 3]
      template.blendshape_deltas.transpose(1, 0, 2)
    )
    # A_i [U, U, 3K], three times each: a product without broadcasting its last axis
    # takes half the time.
    self._masks = tf.constant(template.attention_masks.repeat(3, axis=-1))
    self._mean_albedo = tf.constant(template.mean_albedo)  # R_0 [U, U, 3]

  def template_person(self, batch: int | Tensor = 1) -> PersonModel:
    """The person without corrections: Eq. 1 gives the template, Eq. 2 R_0.

    Args:
      batch: B, a number or a scalar tensor.
    """
    side, count = self._size, self._num_blendshapes
    maps = tf.zeros([batch, side, side, 3])
    blendshape_maps = tf.zeros([batch, side, side, count, 3])
    return PersonModel(
      neutral_correction=maps,
      blendshape_corrections=blendshape_maps,
      static_albedo=maps + self._mean_albedo,
      dynamic_albedo=blendshape_maps,
    )

  def vertex_offsets(self, person: PersonModel) -> tuple[Tensor, Tensor]:
    """The corrections at the vertices, F(Delta_0^S) and F(A_i Delta_i^S).

    A_i is applied in UV space, before F(), as Eq. 1 prints it.

    Args:
      person: maps [B, U, U, 3] and [B, U, U, K, 3]; B may be unknown.

    Returns:
      Neutral offsets [B, V, 3] and blendshape offsets [B, V, K, 3], decimetres.
    """
    neutral = self._sample(person.neutral_correction)
    blendshapes = self._sample(self._attended(person.blendshape_corrections))
    count = self._num_blendshapes
    blendshapes = tf.reshape(blendshapes, [-1, len(self._neutral), count, 3])
    return neutral, blendshapes

  def geometry(
    self, neutral_offsets: Tensor, blendshape_offsets: Tensor
  ) -> PersonGeometry:
    """Adds the template: the bracketed parts of Eq. 1, once per person.

    Args:
      neutral_offsets: [B, V, 3] F(Delta_0^S), decimetres.
      blendshape_offsets: [B, V, K, 3] F(A_i Delta_i^S), decimetres.
    """
    shapes.check(neutral_offsets, "[B, V, 3]", "neutral_offsets")
    shapes.check(blendshape_offsets, "[B, V, K, 3]", "blendshape_offsets")
    return PersonGeometry(
      neutral=self._neutral + neutral_offsets,
      displacements=self._displacements + blendshape_offsets,
    )

  def shape(self, geometry: PersonGeometry, expression: Tensor) -> Tensor:
    """Eq. 1: the face of each frame, before the head's pose.

    Args:
      geometry: of B persons; its vertices may also be some of the template's only.
      expression: [B, N, K] w_1..w_K.

    Returns:
      [B, N, V, 3] decimetres, model space.
    """
    shapes.check(expression, f"[B, N, {self._num_blendshapes}]", "expression")
    changes = _blend(geometry.displacements, expression)
    return geometry.neutral[:, tf.newaxis] + changes

  def albedo(self, person: PersonModel, expression: Tensor) -> Tensor:
    """Eq. 2: the albedo map of each frame.

    Args:
      person: static_albedo [B, U, U, 3] = R_0^t + Delta_0^R and dynamic_albedo
        [B, U, U, K, 3] = Delta_i^R, to which A_i is applied here.
      expression: [B, N, K] w_1..w_K.

    Returns:
      [B, N, U, U, 3] linear RGB, not clamped.
    """
    return self.blend_albedo(self.person_albedo(person), expression)

  def person_albedo(self, person: PersonModel) -> PersonAlbedo:
    """The bracketed parts of Eq. 2, once per person; A_i is applied here.

    Args:
      person: as `albedo` takes it.
    """
    attended = self._attended(person.dynamic_albedo)
    texels, count = self._size**2, self._num_blendshapes
    return PersonAlbedo(
      static=person.static_albedo,
      dynamic=tf.reshape(attended, [-1, texels, count, 3]),
    )

  def blend_albedo(self, albedo: PersonAlbedo, expression: Tensor) -> Tensor:
    """`albedo` of persons whose masks have been applied, for frame after frame.

    Args:
      albedo: of B persons.
      expression: [B, N, K] w_1..w_K.

    Returns:
      [B, N, U, U, 3] linear RGB, not clamped.
    """
    shapes.check(expression, f"[B, N, {self._num_blendshapes}]", "expression")
    side, frames = self._size, _size_of(expression, 1)
    changes = _blend(albedo.dynamic, expression)  # [B, N, U * U, 3]
    changes = tf.reshape(changes, [-1, frames, side, side, 3])
    return albedo.static[:, tf.newaxis] + changes

  def _attended(self, maps: Tensor) -> Tensor:
    """A_i Delta_i: [B, U, U, K, 3] -> [B, U, U, 3K], blendshape-major."""
    side, count = self._size, self._num_blendshapes
    shapes.check(maps, f"[B, {side}, {side}, {count}, 3]", "blendshape maps")
    return tf.reshape(maps, [-1, side, side, 3 * count]) * self._masks


def _blend(values: Tensor, expression: Tensor) -> Tensor:
  """sum_i w_i x_i, [B, P, K, 3] by [B, N, K] -> [B, N, P, 3].

  As one matrix product [P, 3K] x [3K, 3N] with a block-diagonal right side: `values`
  is megabytes and stays as it lies in memory, only the small result is transposed.
  Against an einsum, which transposes `values` forward and backward, three times the
  multiplications take a quarter of the time (3.4 for 13.5 ms, Eq. 2 and its gradient
  at U = 128, K = 56, N = 4 on two CPU cores).
  """
  points, count = _size_of(values, 1), values.shape[2]
  frames = _size_of(expression, 1)
  channels = tf.eye(3, dtype=expression.dtype)
  # W[b, (k, c), (n, d)] = w[b, n, k] if c = d else 0.
  weights = tf.transpose(expression, [0, 2, 1])[:, :, tf.newaxis, :, tf.newaxis]
  weights = tf.reshape(
    weights * channels[:, tf.newaxis, :], [-1, 3 * count, 3 * frames]
  )
  blended = tf.reshape(values, [-1, points, 3 * count]) @ weights  # [B, P, 3N]
  blended = tf.reshape(blended, [-1, points, frames, 3])
  return tf.transpose(blended, [0, 2, 1, 3])


def _size_of(tensor: Tensor, axis: int) -> int | Tensor:
  """The size of a dimension: a number where it is known, else a scalar tensor."""
  size = tensor.shape[axis]
  return tf.shape(tensor)[axis] if size is None else size
