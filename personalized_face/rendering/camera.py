"""The camera: a perspective pinhole at the origin that looks down -z.

A point (X, Y, Z) of camera space (x right in the image, y up, z towards the viewer,
decimetres; what is seen has Z < 0) falls on the pixel position

  x = principal_x + focal * X / -Z
  y = principal_y - focal * Y / -Z

x right, y down, (0, 0) the top-left corner of the image, pixel centres at .5.
"""

from typing import NamedTuple

import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor


class Camera(NamedTuple):
  """A pinhole camera and the size of its picture."""

  height: int  # pixels
  width: int  # pixels
  focal_pixels: float
  principal_x: float  # pixels from the left border
  principal_y: float  # pixels from the upper border
  near: float = 1.0  # decimetres; what comes nearer is not drawn

  @classmethod
  def for_crop(cls, size: int, focal_pixels_224: float = 1015.0) -> "Camera":
    """The camera of a square face crop.

    Args:
      size: side of the crop, pixels.
      focal_pixels_224: focal length for a crop of 224 pixels; 1015 is that of Deng et
        al. 2019 (the paper's [11]). It scales with the size: same field of view.

    Returns:
      The camera, its principal point at the centre.
    """
    focal = focal_pixels_224 * size / 224.0
    return cls(size, size, focal, size / 2.0, size / 2.0)


def project(points_camera: Tensor, camera: Camera) -> Tensor:
  """Camera space to pixels.

  Args:
    points_camera: [..., 3] decimetres, in front of the camera.
    camera: the camera.

  Returns:
    [..., 2] pixels, x right and y down. A point nearer than the near plane (or behind
    the camera) is projected as if it lay on that plane, with no gradient along z: the
    result stays finite, and a head that starts too near still has somewhere to go.
  """
  shapes.check(points_camera, "[..., 3]", "points_camera")
  x, y, z = tf.unstack(points_camera, axis=-1)
  scale = camera.focal_pixels / tf.maximum(-z, camera.near)
  return tf.stack([camera.principal_x + scale * x, camera.principal_y - scale * y], -1)
