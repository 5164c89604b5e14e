"""A face's pose, recovered by descent on a picture, outlines blended and not."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.core import rotation, spherical_harmonics
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.kernels import build
from personalized_face.rendering.renderer import RendererLayer

CAMERA = Camera(40, 40, 170.0, 20.0, 20.0)  # the face is 34 pixels wide
TRUTH = np.array([0.15, -0.3, 0.1, 0.1, -0.05, -10.0], np.float32)
# 2 to 3 degrees, 1 and 2 pixels, 2 % of the size.
OFFSET = np.array([0.05, 0.05, -0.04, 0.06, 0.1, 0.2], np.float32)
STEPS = 200


def recover(blend, backend):
  """The pose that descent on the squared difference of two pictures ends at.

  Where nothing blends, only pixels that both pictures cover can be compared; blended,
  the outline takes part, and a pixel that one of them does not cover counts.
  """
  template = toy_template()
  layer = RendererLayer(
    template.triangles,
    template.hole_triangles,
    template.uv,
    np.ones((1, 1, 1), np.float32),
    CAMERA,
    backend=backend,
    antialias=blend,
  )
  light = spherical_harmonics.ambient_light(0.8)
  light[1:4] = [[0.3, 0.2, 0.1], [0.2, 0.2, 0.2], [0.1, 0.3, 0.4]]
  maps, lights = (
    tf.constant(x[None, None], tf.float32) for x in (template.mean_albedo, light)
  )

  def draw(pose):
    posed = rotation.transform(tf.constant(template.vertices), pose[:3], pose[3:])
    return layer(posed[None, None], maps, lights)

  target = draw(tf.constant(TRUTH))

  @tf.function
  def slope(pose):
    with tf.GradientTape() as tape:
      tape.watch(pose)
      ours = draw(pose)
      both = 1.0 if blend else (ours.mask * target.mask)[..., tf.newaxis]
      loss = tf.reduce_sum(both * (ours.image - target.image) ** 2)
    return tape.gradient(loss, pose)

  pose = TRUTH + OFFSET
  rate = np.float32([1, 1, 1, 0.5, 0.5, 4.0])  # depth moves a picture least
  moment, power = np.zeros(6), np.zeros(6)
  for i in range(1, STEPS + 1):  # Adam, its rate falling to a tenth
    found = slope(tf.constant(pose)).numpy()
    moment = 0.9 * moment + 0.1 * found
    power = 0.99 * power + 0.01 * found**2
    direction = moment / (1 - 0.9**i) / (np.sqrt(power / (1 - 0.99**i)) + 1e-9)
    pose = (pose - 0.01 * 0.1 ** (i / STEPS) * rate * direction).astype(np.float32)
  return np.abs(pose - TRUTH)


@pytest.mark.parametrize(
  "blend, backend", [(False, "xla"), (True, "xla"), (True, "cpu")]
)
def test_face_pose_is_recovered_by_descent_on_a_picture(blend, backend):
  if backend == "cpu" and build.load() is None:
    pytest.skip("there is no C++ compiler here")
  error = recover(blend, backend)
  # Radians and decimetres; a pixel is 0.06 dm. What both pictures cover is smooth and
  # says less of where the face is than its outline: 0.07 pixels, and 0.002 with it.
  across = 5e-4 if blend else 8e-3
  limits = [0.003, 0.003, 0.005, across, across, 0.01]
  assert (error < limits).all(), error
