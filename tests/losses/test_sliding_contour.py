"""The jaw landmarks on the outline of a turned head."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.authoring.cache import load_template
from personalized_face.core import rotation
from personalized_face.core.types import FaceMesh, Outputs, Tracking
from personalized_face.losses.sliding_contour import SlidingContour
from personalized_face.losses.total import FaceLoss
from personalized_face.rendering.camera import Camera, project
from personalized_face.template import contour

CAMERA = Camera.for_crop(224)


@pytest.fixture(scope="module")
def template():
  return load_template("default")


def outputs_of(template, vertices, degrees):
  """One person, a frame for each (pitch, yaw, roll)."""
  euler = tf.constant(np.radians(degrees)[None], tf.float32)
  place = tf.constant([0.0, 0, -10]) * tf.ones_like(euler)
  vertices = tf.repeat(vertices[None, None], len(degrees), axis=1)
  posed = rotation.transform(vertices, euler, place)
  marked = tf.gather(posed, template.landmark_vertices, axis=-2)
  return Outputs(
    tracking=Tracking(None, euler, place, None),
    person=None,
    geometry=None,
    neutral_offsets=None,
    blendshape_offsets=None,
    mesh=FaceMesh(vertices, None),
    landmarks=project(marked, CAMERA),
    rendering=None,
  ), project(posed, CAMERA).numpy()


def test_lines_start_at_the_landmarks_and_run_inwards(template):
  lines, outward = contour.contour_lines(template)
  np.testing.assert_array_equal(lines[:, 0], template.landmark_vertices[:17])
  np.testing.assert_allclose(np.linalg.norm(outward, axis=-1), 1, rtol=1e-6)
  x = template.vertices[lines][..., 0]
  assert (np.diff(np.abs(x[[0, 3, 13, 16]]), axis=1) < 0.02).all()  # dm
  assert (np.abs(x[:, -1]) <= np.abs(x[:, 0]) + 0.01).all()
  assert all(len(set(line)) > 6 for line in lines)


def test_frontal_view_stays_close(template):
  outputs, _ = outputs_of(template, template.vertices, [(0, 0, 0)])
  slid = SlidingContour(template, CAMERA)(outputs)
  moved = np.linalg.norm((slid - outputs.landmarks).numpy(), axis=-1)
  assert moved[0, 0, :17].max() < 8  # pixels of 224; a jaw that is the outline
  assert moved[0, 0, 17:].max() == 0


@pytest.mark.parametrize("yaw", [35, -35])
def test_far_side_lies_on_the_outline(template, yaw):
  outputs, pixels = outputs_of(template, template.vertices, [(0, yaw, 0)])
  slid = SlidingContour(template, CAMERA)(outputs).numpy()[0, 0]
  fixed = outputs.landmarks.numpy()[0, 0]
  # Turned to its left (yaw > 0) the person's left is far, on the right of the picture.
  far = [13, 14, 15] if yaw > 0 else [1, 2, 3]
  sign = np.sign(yaw)

  def to_outline(points):
    """How far the mesh reaches out beyond each point, at its height."""
    gaps = []
    for x, y in points:
      near = np.abs(pixels[0, 0, :, 1] - y) < 2
      gaps.append((sign * pixels[0, 0, near, 0]).max() - sign * x)
    return np.array(gaps)

  assert to_outline(slid[far]).max() < 3  # pixels: vertices are some 2 apart
  assert to_outline(fixed[far]).max() > 4  # the fixed ones are hidden behind the cheek


def test_turning_the_picture_changes_no_choice(template):
  sliding = SlidingContour(template, CAMERA)
  level, _ = outputs_of(template, template.vertices, [(0, 30, 0)])
  turned, _ = outputs_of(template, template.vertices, [(0, 30, 40)])
  angle = np.radians(40)
  turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
  centred = (sliding(level) - 112).numpy() @ turn.T
  np.testing.assert_allclose((sliding(turned) - 112).numpy(), centred, atol=1e-2)


def test_gradient_reaches_the_chosen_vertices_only(template):
  sliding = SlidingContour(template, CAMERA)
  vertices = tf.Variable(template.vertices)
  with tf.GradientTape() as tape:
    outputs, _ = outputs_of(template, vertices, [(0, 35, 0)])
    total = tf.reduce_sum(sliding(outputs)[..., :17, 0])
  gradient = tf.convert_to_tensor(tape.gradient(total, vertices)).numpy()
  assert np.isfinite(gradient).all()
  touched = np.flatnonzero(np.abs(gradient).max(1))
  assert set(touched) <= set(sliding._lines.ravel())
  assert 10 <= len(touched) <= 17


def test_off_by_default_and_needs_a_camera():
  template = toy_template()
  assert FaceLoss(template, 8)._contour is None
  with pytest.raises(ValueError, match="camera"):
    FaceLoss(template, 8, sliding_contour=True)
  assert FaceLoss(template, 8, sliding_contour=True, camera=CAMERA)._contour
