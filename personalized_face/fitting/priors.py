"""What holds a fit of one clip together, where the losses of Eq. 3 leave it free.

- Light and albedo: a picture is their product. The light of a scene is one (its frames
  differ by little) and smooth by its nine functions; the albedo is the same on both
  sides of the face, unless the pictures insist. So a shadow on one side is light.
- Depth, and what slides along the skin: little of it is seen; there the identity stays
  what faces of the same traits are like.
- Eyes and mouth: how far they are open counts beside where their points are.
- Occlusion: a pixel far from what the model can show is not the face.
"""

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core import topology
from personalized_face.core.types import (
  PARSING_CLASSES,
  Batch,
  Rendering,
  Tensor,
)
from personalized_face.fitting.openings import opening_loss
from personalized_face.losses.reductions import l2_norm
from personalized_face.template.face_template import FaceTemplate
from personalized_face.template.traits import trait_fields

_BACKGROUND = PARSING_CLASSES.index("background")
_SYMMETRIC = 1e-3  # of the UV square


@gin.configurable(module="fitting")
class NeutralPrior:
  """How unlikely a neutral face is: cheap along the traits of faces, dear beside them.

  The least, over z, of mean |x - sum_t z_t f_t|^2_W + trait * |z|^2, for the
  displacements x of the vertices and the fields f_t of template/traits.py: up to a
  constant the negative logarithm of a normal distribution. W weighs what points out of
  the template's surface less than what slides along it, of which even skin shows
  little. What no picture shows, such as depth in a frontal clip, stays where traits and
  template have it, and the size of the head is the template's.
  """

  def __init__(
    self,
    template: FaceTemplate,
    size: float = 100.0,
    slide: float = 100.0,
    trait: float = 0.002,
    scale: float = 1000.0,
  ):
    """Sets up.

    Args:
      template: of the traits.
      size: of the mean square of what no trait explains, along the normal, per square
        decimetre.
      slide: the same along the surface.
      trait: of a trait's square, in its standard deviations.
      scale: of the squared share by which the whole face is larger; one camera cannot
        tell it from a nearer one, so the fit would wander.
    """
    normals = np.asarray(topology.vertex_normals(template.vertices, template.triangles))
    outwards = normals[:, :, np.newaxis] * normals[:, np.newaxis]
    count = template.num_vertices
    # W's square root.
    root = np.sqrt(size / count) * outwards
    root += np.sqrt(slide / count) * (np.eye(3) - outwards)
    fields = np.einsum("vij,tvj->tvi", root, trait_fields(template, template.vertices))
    fields = fields.reshape(len(fields), -1)  # [T, 3V]
    inner = fields @ fields.T + trait * np.eye(len(fields))
    self._root = tf.constant(root, tf.float32)
    self._fields = tf.constant(fields, tf.float32)
    self._solve = tf.constant(np.linalg.solve(inner, fields).T, tf.float32)
    self._trait, self._scale = trait, scale
    rays = template.vertices - template.vertices.mean(axis=0)
    self._larger = tf.constant(rays / np.square(rays).sum(), tf.float32)

  def __call__(self, offsets: Tensor) -> Tensor:
    """Scalar, for F(Delta_0^S) [1, V, 3] in decimetres."""
    weighted = tf.linalg.matvec(self._root, offsets[0])
    flat = tf.reshape(weighted, [1, -1])
    traits = flat @ self._solve
    rest = flat - traits @ self._fields
    larger = tf.reduce_sum(offsets[0] * self._larger)
    total = tf.reduce_sum(tf.square(rest)) + self._scale * tf.square(larger)
    return total + self._trait * tf.reduce_sum(tf.square(traits))


@gin.configurable(module="fitting")
class FitPriors:
  """The weights, and whether the template's UV layout can be mirrored."""

  def __init__(
    self,
    template: FaceTemplate,
    albedo_symmetry: float = 40.0,
    shape_symmetry: float = 20.0,
    light_change: float = 5.0,
    opening: float = 0.4,
  ):
    """Sets up.

    Args:
      template: a layout that is not its own mirror image has no symmetry terms.
      albedo_symmetry: per unit of linear RGB, of a person.
      shape_symmetry: per decimetre, of a person.
      light_change: per frame, of the squared coefficients.
      opening: per frame, of `opening_loss`.
    """
    mirrored = template.uv[template.mirror_vertices] * [-1, 1] + [1, 0]
    symmetric = np.abs(mirrored - template.uv).max() < _SYMMETRIC
    self._albedo_symmetry = albedo_symmetry if symmetric else 0.0
    self._shape_symmetry = shape_symmetry if symmetric else 0.0
    self._neutral = NeutralPrior(template)
    self._light_change = light_change
    self._opening = opening

  def of_person(
    self, static_albedo: Tensor, neutral_map: Tensor, neutral_offsets: Tensor
  ) -> Tensor:
    """The terms that count once.

    Args:
      static_albedo: [1, U, U, 3] linear RGB.
      neutral_map: [1, U, U, 3] Delta_0^S, decimetres.
      neutral_offsets: [1, V, 3] F(Delta_0^S).

    Returns:
      Scalar. The symmetries are l_{2,1} over texels: a mole is worth its price.
    """
    total = self._neutral(neutral_offsets)
    if self._albedo_symmetry:
      difference = static_albedo - static_albedo[:, :, ::-1]
      total += self._albedo_symmetry * tf.reduce_mean(l2_norm(difference))
    if self._shape_symmetry:
      flip = tf.constant([-1.0, 1.0, 1.0])
      difference = neutral_map - neutral_map[:, :, ::-1] * flip
      total += self._shape_symmetry * tf.reduce_mean(l2_norm(difference))
    return total

  def of_light(self, change: Tensor) -> Tensor:
    """How the frames' light [n, 27] differs from their scene's: a scalar sum."""
    return self._light_change * tf.reduce_sum(tf.square(change))

  def of_openings(self, predicted: Tensor, target: Tensor, image_size: int) -> Tensor:
    """How lids and lips open otherwise than detected; see `opening_loss`."""
    return self._opening * opening_loss(predicted, target, image_size)


def without_occlusions(
  batch: Batch, rendering: Rendering, scale: float | Tensor, outside: float = 0.3
) -> Rendering:
  """The rendering with a mask that fades where the picture is not the face.

  The weight of a pixel is 1 / (1 + (e / scale)^2), e its l2 error smoothed over 5 x 5
  pixels: the second, redescending half of a robust norm, whose first half (no square)
  the photometric loss has itself. No gradient flows into it.

  Args:
    batch: of B persons.
    rendering: of the same frames.
    scale: error at which a pixel counts half.
    outside: weight of a pixel that the parsing calls background: hair and ears that the
      mesh covers are shown as well as they can be, but must not emboss its border.
  """
  images = batch.images
  error = l2_norm(tf.stop_gradient(images - rendering.image)) * rendering.mask
  height, width = error.shape[2:4]
  flat = tf.reshape(error, [-1, height, width, 1])
  mask = tf.reshape(rendering.mask, [-1, height, width, 1])
  error = tf.math.divide_no_nan(_box(flat), _box(mask))
  weight = 1.0 / (1.0 + tf.square(error / scale))
  weight = tf.reshape(weight, tf.shape(rendering.mask))
  weight = tf.where(batch.parsing == _BACKGROUND, outside * weight, weight)
  return rendering._replace(mask=rendering.mask * tf.stop_gradient(weight))


def _box(images: Tensor) -> Tensor:
  """Mean over 5 x 5 pixels, [I, H, W, 1]."""
  return tf.nn.avg_pool2d(images, 5, 1, "SAME")
