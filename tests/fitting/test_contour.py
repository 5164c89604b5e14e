"""Contour points pull on the skin around them."""

import numpy as np
import pytest
import tensorflow as tf
from toy_person import toy_fitting_system, toy_truth

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.fitting.contour import SpreadContour

JAW = slice(0, 17)


@pytest.fixture(scope="module")
def reconstructed():
  system = toy_fitting_system()
  person, tracking = toy_truth(system, count=3)
  outputs = system.reconstruct(
    PersonModel(*(part[np.newaxis] for part in person)),
    Tracking(*(tf.constant(part[np.newaxis]) for part in tracking)),
  )
  return system, outputs


def with_offsets(system, outputs, neutral, moved):
  """The same motion with other corrections, [V, 3] and [V, K, 3]."""
  neutral = tf.constant(neutral[np.newaxis], tf.float32)
  moved = tf.constant(moved[np.newaxis], tf.float32)
  geometry = system.face_model.geometry(neutral, moved)
  vertices = system.face_model.shape(geometry, outputs.tracking.expression)
  return outputs._replace(
    neutral_offsets=neutral,
    blendshape_offsets=moved,
    mesh=outputs.mesh._replace(vertices=vertices),
    landmarks=system.project_landmarks(
      system.camera_vertices(vertices, outputs.tracking)
    ),
  )


def test_corrections_that_are_the_same_everywhere_leave_every_landmark(reconstructed):
  system, outputs = reconstructed
  template = system.template
  neutral = np.tile([0.1, -0.2, 0.05], [template.num_vertices, 1])
  moved = np.tile([0.03, 0.02, 0.1], [*neutral.shape[:1], template.num_blendshapes, 1])
  outputs = with_offsets(system, outputs, neutral, moved)
  found = SpreadContour(system, reach=0.3).landmarks(outputs)
  np.testing.assert_allclose(found, outputs.landmarks, atol=2e-4)


def test_without_reach_each_landmark_is_its_vertex(reconstructed):
  system, outputs = reconstructed
  random = np.random.default_rng(1)
  count, kinds = system.template.num_vertices, system.template.num_blendshapes
  neutral = random.normal(0, 0.05, [count, 3])
  moved = random.normal(0, 0.05, [count, kinds, 3])
  outputs = with_offsets(system, outputs, neutral, moved)
  found = SpreadContour(system, reach=0.0).landmarks(outputs)
  np.testing.assert_allclose(found, outputs.landmarks, atol=1e-4)
  spread = SpreadContour(system, reach=0.3).landmarks(outputs).numpy()
  assert np.abs(spread - outputs.landmarks)[..., JAW, :].max() > 0.1
  np.testing.assert_array_equal(spread[..., 17:, :], found[..., 17:, :])


@pytest.mark.parametrize("moves", ["neutral", "blendshapes"])
def test_a_residual_moves_the_skin_around_it_and_not_one_vertex(reconstructed, moves):
  system, outputs = reconstructed
  neutral, moved = outputs.neutral_offsets, outputs.blendshape_offsets
  contour = SpreadContour(system, reach=0.3)
  with tf.GradientTape() as tape:
    tape.watch([neutral, moved])
    geometry = system.face_model.geometry(neutral, moved)
    vertices = system.face_model.shape(geometry, outputs.tracking.expression)
    again = outputs._replace(
      neutral_offsets=neutral,
      blendshape_offsets=moved,
      mesh=outputs.mesh._replace(vertices=vertices),
    )
    total = tf.reduce_sum(contour.landmarks(again)[..., 8, :])
  source = neutral if moves == "neutral" else moved
  gradient = tape.gradient(total, source).numpy()[0]
  pull = np.linalg.norm(gradient.reshape(len(gradient), -1), axis=1)
  template = system.template
  chin = template.landmark_vertices[8]
  distance = np.linalg.norm(template.vertices - template.vertices[chin], axis=1)
  assert pull.argmax() == chin  # it is still nearest to itself
  assert pull[chin] < 0.9 * pull.sum()
  expected = np.exp(-0.5 * (distance / 0.3) ** 2)
  near = distance < 0.6
  np.testing.assert_allclose(pull[near] / pull[chin], expected[near], atol=1e-3)
  assert pull[distance > 0.95].max() == 0
