"""The forward graph: shapes, gradients to every variable, ablations, retargeting."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.core.types import Batch, Tracking
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.systems.personalized_face import build_system

SIZE = 32  # pixels of the crop; the toy face is 2 dm wide, 29 px at this size


def _system(**options):
  keras.utils.set_random_seed(1)
  return build_system(
    toy_template(),
    image_size=SIZE,
    model_net_width=0.125,
    track_net_width=0.125,
    track_net_hidden=16,
    **options,
  )


def _images(persons=2, frames=3, seed=0):
  generator = np.random.default_rng(seed)
  shape = (persons, frames, SIZE, SIZE, 3)
  return tf.constant(generator.uniform(size=shape), tf.float32)


def _randomize_heads(system, scale=0.3):
  """Zeroed heads block the gradient to what lies below them."""
  generator = np.random.default_rng(2)
  for variable in system.model_net.trainable_variables:
    if not np.any(variable.numpy()) and variable.ndim == 4:
      variable.assign(generator.normal(0, scale, variable.shape))


def test_untrained_system_shows_the_template():
  system = _system()
  outputs = system(_images())
  prior = system.reconstruct_prior(outputs.tracking)
  # Both compute S_0 + 0; the sums differ in order only: float32 at 2 dm.
  np.testing.assert_allclose(outputs.mesh.vertices, prior.mesh.vertices, atol=1e-6)
  np.testing.assert_allclose(outputs.rendering.image, prior.rendering.image, atol=1e-5)
  assert np.mean(outputs.rendering.mask) > 0.2  # the face is in the picture


def test_output_shapes():
  outputs = _system()(_images(2, 3))
  assert outputs.mesh.vertices.shape == (2, 3, 64, 3)
  assert outputs.landmarks.shape == (2, 3, 68, 2)
  assert outputs.rendering.image.shape == (2, 3, SIZE, SIZE, 3)
  assert outputs.rendering.parsing.shape == (2, 3, SIZE, SIZE, 8)
  assert outputs.blendshape_offsets.shape == (2, 64, 3, 3)


def test_every_variable_gets_a_gradient():
  system = _system()
  _randomize_heads(system)
  images = _images()
  batch = Batch(
    images=images,
    landmarks=tf.random.stateless_uniform([2, 3, 68, 2], [1, 2], maxval=SIZE),
    parsing=tf.ones([2, 3, SIZE, SIZE], tf.int32),
  )
  with tf.GradientTape() as tape:
    outputs = system(images, training=True)
    total, _ = FaceLoss(system.template, SIZE)(outputs, batch, LossWeights())
  variables = system.trainable_variables
  for variable, gradient in zip(
    variables, tape.gradient(total, variables), strict=True
  ):
    assert gradient is not None, variable.path
    assert np.any(np.asarray(gradient) != 0), variable.path
    assert np.all(np.isfinite(gradient)), variable.path


def test_trainable_variables_are_the_networks_and_the_mean_albedo():
  system = _system()
  count = len(system.model_net.trainable_variables)
  count += len(system.track_net.trainable_variables) + 1
  assert len(system.trainable_variables) == count


def test_mean_albedo_starts_at_the_templates():
  np.testing.assert_array_equal(_system().mean_albedo, toy_template().mean_albedo)


def test_the_unit_of_the_mean_albedo_changes_how_fast_it_learns_not_what_it_is():
  plain, fast = _system(), _system(mean_albedo_scale=10.0)
  images = _images()
  np.testing.assert_allclose(
    fast.model_face(images).static_albedo,
    plain.model_face(images).static_albedo,
    atol=1e-6,  # float32
  )

  # The bare template is as light, and so is what others read.
  np.testing.assert_allclose(
    fast.linear_mean_albedo, plain.linear_mean_albedo, atol=1e-6
  )
  tracking = plain.track(images[0])
  tracking = type(tracking)(*(value[tf.newaxis] for value in tracking))
  np.testing.assert_allclose(
    fast.reconstruct_prior(tracking).rendering.albedo,
    plain.reconstruct_prior(tracking).rendering.albedo,
    atol=1e-5,  # interpolation in float32
  )

  def gradient(system):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(system.model_face(images).static_albedo)
    return tape.gradient(loss, system.mean_albedo.value)

  # In units ten times as large a step of the same length goes ten times as far.
  np.testing.assert_allclose(gradient(fast), 10 * gradient(plain), rtol=1e-5)


@pytest.mark.parametrize(
  "shape, albedo, expected",
  [
    ("none", "all", (False, False, True, True)),
    ("neutral", "neutral", (True, False, True, False)),
    ("all", "none", (True, True, False, False)),
    ("all", "all", (True, True, True, True)),
  ],
)
def test_ablations_switch_corrections_off(shape, albedo, expected):
  system = _system(shape_corrections=shape, albedo_corrections=albedo)
  _randomize_heads(system)
  person = system.model_face(_images())
  parts = (
    person.neutral_correction,
    person.blendshape_corrections,
    person.static_albedo - system.template.mean_albedo,
    person.dynamic_albedo,
  )
  assert tuple(bool(np.any(part)) for part in parts) == expected


def test_unknown_correction_is_refused():
  with pytest.raises(ValueError, match="corrections are one of"):
    _system(shape_corrections="some")


def test_networks_that_crash_tensorflow_are_refused():
  with pytest.raises(UserError, match="at least 0.25"):
    build_system(toy_template(), image_size=224, track_net_width=0.125)


def test_prior_ignores_model_net():
  system = _system(shape_corrections="none", albedo_corrections="none")
  _randomize_heads(system)
  assert system.is_prior
  outputs = system(_images())
  assert not np.any(outputs.neutral_offsets)
  np.testing.assert_array_equal(outputs.mesh.albedo[0, 0], system.template.mean_albedo)


def test_retargeting_combines_ones_motion_with_anothers_model():
  system = _system()
  _randomize_heads(system)
  person = system.model_face(_images(1, 2, seed=3))
  tracking = system.track_groups(_images(1, 4, seed=4))
  strong = tracking._replace(expression=tf.ones_like(tracking.expression) * 0.5)
  outputs = system.reconstruct(person, strong)
  geometry = outputs.geometry
  expected = geometry.neutral[:, None] + 0.5 * tf.reduce_sum(
    geometry.displacements, axis=2
  )[:, None] * tf.ones([1, 4, 1, 1])
  # One float32 sum of K = 3 terms of about 1 dm.
  np.testing.assert_allclose(outputs.mesh.vertices, expected, atol=1e-5)


def test_grouped_tracking_equals_flat_tracking():
  system = _system()
  images = _images(2, 3)
  grouped = system.track_groups(images)
  flat = system.track(tf.reshape(images, [6, SIZE, SIZE, 3]))
  for field in Tracking._fields:
    value = np.asarray(getattr(grouped, field))
    np.testing.assert_array_equal(
      value.reshape((6, *value.shape[2:])), getattr(flat, field)
    )
