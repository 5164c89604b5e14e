"""The jaw landmarks where a view's outline runs, instead of at fixed vertices."""

import tensorflow as tf

from personalized_face.core import rotation
from personalized_face.core.types import NUM_CONTOUR, Outputs, Tensor
from personalized_face.rendering.camera import Camera, project
from personalized_face.template import contour
from personalized_face.template.face_template import FaceTemplate


class SlidingContour:
  """Chooses, per frame and contour landmark, the candidate farthest out.

  The choice has no gradient, as visibility has none; the place of the chosen vertex is
  differentiable in shape, pose and camera.
  """

  def __init__(self, template: FaceTemplate, camera: Camera):
    self._lines, self._outward = contour.contour_lines(template)  # [17, M], [17, 2]
    self._camera = camera

  def __call__(self, outputs: Outputs) -> Tensor:
    """The landmarks with the first 17 slid.

    Args:
      outputs: of a step.

    Returns:
      [B, N, L, 2] pixels.
    """
    tracking = outputs.tracking
    candidates = tf.gather(outputs.mesh.vertices, self._lines.reshape(-1), axis=-2)
    placed = rotation.transform(candidates, tracking.rotation, tracking.translation)
    pixels = project(placed, self._camera)  # [B, N, 17 * M, 2]
    leading = tf.shape(pixels)[:-2]
    pixels = tf.reshape(pixels, tf.concat([leading, [*self._lines.shape, 2]], 0))
    chosen = tf.gather(
      pixels, self.choose(pixels, tracking.rotation[..., 2]), axis=-2, batch_dims=3
    )
    rest = outputs.landmarks[..., NUM_CONTOUR:, :]
    return tf.concat([chosen, rest], axis=-2)

  def choose(self, pixels: Tensor, roll: Tensor) -> Tensor:
    """Which candidate of each line is the outline.

    Args:
      pixels: [B, N, 17, M, 2] projected candidates.
      roll: [B, N] radians; the head's other turns are what slides the contour.

    Returns:
      [B, N, 17] int32, without gradient; the frontal landmark, 0, at a tie.
    """
    outward = tf.constant(self._outward, pixels.dtype)
    cos, sin = tf.cos(roll)[..., None], tf.sin(roll)[..., None]
    x = cos * outward[:, 0] - sin * outward[:, 1]  # [B, N, 17]
    y = sin * outward[:, 0] + cos * outward[:, 1]
    # Picture rows run down.
    out = pixels[..., 0] * x[..., None] - pixels[..., 1] * y[..., None]
    return tf.argmax(tf.stop_gradient(out), axis=-1, output_type=tf.int32)
