"""Eq. 3: the weighted sum of all terms.

The data flow: Outputs, Batch -> FaceLoss -> total, {name: raw term}.
"""

from functools import partial
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core import topology
from personalized_face.core.types import Batch, Outputs, Tensor
from personalized_face.losses.blendshape_gradient import BlendshapeGradientLoss
from personalized_face.losses.landmark import landmark_loss, landmark_weights
from personalized_face.losses.parsing import parsing_loss
from personalized_face.losses.photometric import image_gradient_loss, photometric_loss
from personalized_face.losses.regularization import regularization_loss
from personalized_face.losses.sliding_contour import SlidingContour
from personalized_face.losses.smoothness import shape_smoothness_loss
from personalized_face.losses.supervision import (
  expression_loss,
  expression_squares,
  light_loss,
  map_loss,
  rotation_loss,
)
from personalized_face.rendering.camera import Camera
from personalized_face.template.attention import bake_to_uv
from personalized_face.template.face_template import FaceTemplate

SUPERVISED = (
  "true_expression",
  "true_rotation",
  "true_light",
  "true_neutral",
  "true_albedo",
  "true_expression_squares",
)  # terms that need Batch.truth


@gin.configurable(module="losses")
class LossWeights(NamedTuple):
  """The lambdas of Eq. 3 and 8, with the paper's values (Supplement, section 1).

  Each is a number, or a scalar tensor where a schedule sets it. A term whose weight is
  the number 0 is not evaluated; one whose weight is a tensor always is.
  """

  photometric: float | Tensor = 200.0
  image_gradient: float | Tensor = 200.0
  landmark: float | Tensor = 0.1
  parsing: float | Tensor = 50.0
  smoothness: float | Tensor = 2.5
  blendshape_gradient: float | Tensor = 1.5
  regularization: float | Tensor = 1e-3
  light_gamma: float | Tensor = 0.02  # lambda_gamma, inside the regularization
  # Not the paper's: what is known of rendered people, for the networks' beginning.
  true_expression: float | Tensor = 0.0
  true_rotation: float | Tensor = 0.0
  true_light: float | Tensor = 0.0
  true_neutral: float | Tensor = 0.0
  true_albedo: float | Tensor = 0.0
  true_expression_squares: float | Tensor = 0.0


@gin.configurable(module="losses")
class FaceLoss:
  """Eq. 3 for one template and one crop size; holds what its terms precompute."""

  def __init__(
    self,
    template: FaceTemplate,
    image_size: int,
    jaw_weight: float = 0.5,
    blendshape_gradient_form: str = "fourth_vertex",
    dtype: tf.DType = tf.float32,
    sliding_contour: bool = False,
    camera: Camera | None = None,
    parsing_outline: bool = True,
  ):
    """Builds the edge list and the constants of the blendshape gradient loss.

    Args:
      template: what the outputs are expressed in.
      image_size: side of the crops, pixels.
      jaw_weight: of the 17 contour landmarks, the others weigh 1.
      blendshape_gradient_form: one of blendshape_gradient.FORMS.
      dtype: of the outputs.
      sliding_contour: whether L_lm takes the jaw where each view's outline runs
        (losses/sliding_contour.py) instead of at fixed vertices.
      camera: the system's; only the sliding contour needs it.
      parsing_outline: see `parsing_loss`.

    Raises:
      ValueError: a sliding contour without camera.
    """
    if sliding_contour and camera is None:
      raise ValueError("FaceLoss.sliding_contour needs the camera")
    self._contour = SlidingContour(template, camera) if sliding_contour else None
    self._parsing_outline = parsing_outline
    self._image_size = image_size
    self._landmark_weights = landmark_weights(jaw_weight)
    self._edges = topology.edges(template.triangles)
    self._texels = _texel_weights(template)
    self._blendshape_gradient_loss = BlendshapeGradientLoss(
      template, blendshape_gradient_form, dtype
    )

  def __call__(
    self, outputs: Outputs, batch: Batch, weights: LossWeights
  ) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 3: L = sum of lambda_term * L_term.

    Args:
      outputs: what the system made of the batch.
      batch: what it is compared to.
      weights: the lambdas.

    Returns:
      The weighted sum, a scalar, and the raw terms by their names in LossWeights,
      without those whose weight is 0, and without the true_* where the batch does
      not know the truth (held-out frames).
    """
    total = tf.zeros([], outputs.landmarks.dtype)
    raw = {}
    for name, term in self._terms(outputs, batch, weights.light_gamma).items():
      weight = getattr(weights, name)
      if not tf.is_tensor(weight) and weight == 0:
        continue
      if name in SUPERVISED and batch.truth == ():
        continue
      raw[name] = term()
      total += weight * raw[name]
    return total, raw

  def _terms(self, outputs: Outputs, batch: Batch, light_gamma: float | Tensor) -> dict:
    """Every term, ready to be evaluated."""
    rendering, tracking, person = outputs.rendering, outputs.tracking, outputs.person
    pictures = (batch.images, rendering.image, rendering.mask)
    landmarks = self._contour(outputs) if self._contour else outputs.landmarks
    return {
      "photometric": partial(photometric_loss, *pictures),
      "image_gradient": partial(image_gradient_loss, *pictures),
      "landmark": partial(
        landmark_loss,
        landmarks,
        batch.landmarks,
        self._image_size,
        self._landmark_weights,
      ),
      "parsing": partial(
        parsing_loss, rendering.parsing, batch.parsing, self._parsing_outline
      ),
      "smoothness": partial(
        shape_smoothness_loss, outputs.neutral_offsets, self._edges
      ),
      "blendshape_gradient": partial(
        self._blendshape_gradient_loss, outputs.blendshape_offsets
      ),
      "regularization": partial(
        regularization_loss, tracking.expression, tracking.light, light_gamma
      ),
      "true_expression": lambda: expression_loss(
        tracking.expression, batch.truth.expression
      ),
      "true_expression_squares": lambda: expression_squares(
        tracking.expression, batch.truth.expression
      ),
      "true_rotation": lambda: rotation_loss(tracking.rotation, batch.truth.rotation),
      "true_light": lambda: light_loss(tracking.light, batch.truth.light),
      "true_neutral": lambda: map_loss(
        person.neutral_correction, batch.truth.neutral_correction, self._texels
      ),
      "true_albedo": lambda: map_loss(
        person.static_albedo, batch.truth.static_albedo, self._texels
      ),
    }


def _texel_weights(template: FaceTemplate) -> Tensor:
  """[U, U]: 0 where the layout is empty, elsewhere alike, 1 on average."""
  ones = np.ones([template.num_vertices, 1], np.float32)
  size = template.uv_size
  charts = bake_to_uv(ones, template.uv, template.triangles, size, dilate=1)
  return tf.constant(charts[..., 0] / charts.mean(), tf.float32)
