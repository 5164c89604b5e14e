"""Camera space to the clip space of other renderers' kernels.

Homogeneous (x, y, z, w) as OpenGL has it, but with row 0 of the image at y / w = -1:

  x / w = 2 x_pixel / W - 1,    y / w = 2 y_pixel / H - 1,    z / w = 1 - 2 near / depth

with w the depth; the near plane is at z / w = -1, what is infinitely far at 1.
"""

import math

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera


def to_clip_space(vertices_camera: Tensor, camera: Camera) -> Tensor:
  """Homogeneous clip coordinates.

  Args:
    vertices_camera: [..., 3] decimetres.
    camera: the camera.

  Returns:
    [..., 4], differentiable.
  """
  shapes.check(vertices_camera, "[..., 3]", "vertices_camera")
  x, y, z = tf.unstack(vertices_camera, axis=-1)
  depth = -z
  across, down = 2.0 / camera.width, 2.0 / camera.height
  return tf.stack(
    [
      across * camera.focal_pixels * x + (across * camera.principal_x - 1.0) * depth,
      -down * camera.focal_pixels * y + (down * camera.principal_y - 1.0) * depth,
      depth - 2.0 * camera.near,
      depth,
    ],
    axis=-1,
  )


def drawn_triangles(
  vertices_camera: Tensor, triangles: Tensor, camera: Camera
) -> Tensor:
  """Collapses what our rasterizers do not draw, where a kernel would clip it.

  Args:
    vertices_camera: [V, 3] decimetres, of one image.
    triangles: [T, 3] int32.
    camera: the camera.

  Returns:
    [T, 3] int32: triangles with a corner nearer than the near plane, or not finite,
    become (0, 0, 0), which has no area.
  """
  usable = tf.reduce_all(tf.abs(vertices_camera) < math.inf, axis=-1)
  usable &= -vertices_camera[:, 2] >= camera.near
  drawn = tf.reduce_all(tf.gather(usable, triangles), axis=-1, keepdims=True)
  return tf.where(drawn, triangles, 0)
