"""The kernels as functions of tensors, with their gradients.

Every function here needs `build.load()` to have found a library.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.kernels import build


def triangle_ids(
  vertices_camera: Tensor,
  triangles: np.ndarray,
  camera: Camera,
  jit_compile: bool = False,
) -> Tensor:
  """The nearest triangle at each pixel centre; the lower id where two are equally far.

  The same pixels as the xla backend's, as the arithmetic is the same.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space; float32 or float64.
    triangles: [T, 3] int, T < 2^24.
    camera: the camera.
    jit_compile: there is nothing to compile.

  Returns:
    [I, H, W] int32, -1 where there is none. No gradient.
  """
  del jit_compile
  return build.load().pface_triangle_ids(
    tf.stop_gradient(vertices_camera),
    tf.cast(triangles, tf.int32),
    _lens(camera),
    height=camera.height,
    width=camera.width,
  )


def _lens(camera: Camera) -> Tensor:
  """What an attribute would round to float32: [4] float64."""
  numbers = [camera.focal_pixels, camera.principal_x, camera.principal_y, camera.near]
  return tf.constant(numbers, tf.float64)
