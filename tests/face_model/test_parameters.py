"""Raw outputs to parameters with units."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.face_model.parameters import person_from_raw, tracking_from_raw
from personalized_face.networks.model_net import ModelNetOutput

_K = 4  # not 3, so that blendshapes and channels cannot be mixed up unseen
_WIDTH = _K + 3 + 3 + 27


def test_zeros_say_neutral_frontal_at_head_distance_in_white_light():
  tracking = tracking_from_raw(tf.zeros([2, 56 + 33]), 56)
  total = np.sum(tracking.expression, axis=-1)
  # 56 sigmoid(-5) = 0.3748; the print of DESIGN section 3 has two digits.
  np.testing.assert_allclose(total, 0.37, atol=0.005)
  np.testing.assert_array_equal(tracking.rotation, np.zeros((2, 3)))
  np.testing.assert_array_equal(tracking.translation, [[0, 0, -10]] * 2)
  np.testing.assert_array_equal(tracking.light, [ambient_light(1.0)] * 2)


def test_tracking_preset():
  raw = np.zeros((1, 2, _WIDTH), np.float32)
  raw[0, 1, :4] = [5, 6, 7, 9]
  raw[0, 1, 4:7] = [1, -2, 3]
  raw[0, 1, 7:10] = [1, 2, 3]
  raw[0, 1, 10:] = np.arange(27)
  tracking = tracking_from_raw(
    tf.constant(raw),
    _K,
    expression_bias=-6.0,
    rotation_scale=0.5,
    translation_scale=(0.1, 0.2, 2.0),
    head_distance=8.0,
    light_scale=0.1,
    ambient_level=2.0,
  )
  # float32 arithmetic on values below 10: 1e-6 is some ulp.
  np.testing.assert_allclose(
    tracking.expression[0, 1], 1 / (1 + np.exp([1, 0, -1, -3])), atol=1e-6
  )
  np.testing.assert_allclose(tracking.rotation[0, 1], [0.5, -1, 1.5], atol=1e-6)
  np.testing.assert_allclose(tracking.translation[0, 1], [0.1, 0.4, -2], atol=1e-6)
  want = 2 * ambient_light(1.0) + 0.1 * np.arange(27).reshape(9, 3)
  np.testing.assert_allclose(tracking.light[0, 1], want, atol=1e-6)
  assert all(value.dtype == tf.float32 for value in tracking)
  assert [value.shape.as_list() for value in tracking] == [
    [1, 2, _K],
    [1, 2, 3],
    [1, 2, 3],
    [1, 2, 9, 3],
  ]


def test_tracking_with_unknown_leading_dimensions():
  traced = tf.function(
    lambda raw: tracking_from_raw(raw, _K),
    input_signature=[tf.TensorSpec([None, None, _WIDTH])],
  )
  assert traced(tf.zeros([2, 5, _WIDTH])).light.shape == (2, 5, 9, 3)
  static = traced.get_concrete_function().structured_outputs
  assert static.light.shape.as_list() == [None, None, 9, 3]


def test_tracking_rejects_another_number_of_blendshapes():
  with pytest.raises(ValueError, match="raw has shape"):
    tracking_from_raw(tf.zeros([1, _WIDTH]), _K + 1)


def _raw_person(batch=2, side=4):
  rng = np.random.default_rng(0)
  return ModelNetOutput(
    *(
      tf.constant(rng.normal(size=(batch, side, side, channels)), tf.float32)
      for channels in (3, 3 * _K, 3, 3 * _K)
    )
  )


def test_person_against_loops():
  raw = _raw_person()
  mean_albedo = tf.Variable(tf.random.uniform([4, 4, 3], seed=1))
  person = person_from_raw(raw, mean_albedo, shape_scale=0.2, albedo_scale=0.5)
  assert all(value.dtype == tf.float32 for value in person)
  for b, row, column, i, c in np.ndindex(2, 4, 4, _K, 3):
    at = (b, row, column)
    # float32 products: one ulp of values below 4.
    close = lambda value, other: abs(float(value) - float(other)) < 1e-6  # noqa: E731
    assert close(person.neutral_correction[(*at, c)], 0.2 * raw.shape_neutral[(*at, c)])
    assert close(
      person.blendshape_corrections[(*at, i, c)],
      0.2 * raw.shape_blendshapes[(*at, 3 * i + c)],
    )
    assert close(
      person.static_albedo[(*at, c)],
      mean_albedo[row, column, c] + 0.5 * raw.albedo_neutral[(*at, c)],
    )
    assert close(
      person.dynamic_albedo[(*at, i, c)],
      0.5 * raw.albedo_blendshapes[(*at, 3 * i + c)],
    )


def test_mean_albedo_is_trained_through_the_person():
  mean_albedo = tf.Variable(tf.zeros([4, 4, 3]))
  with tf.GradientTape() as tape:
    person = person_from_raw(_raw_person(), mean_albedo)
    loss = tf.reduce_sum(person.static_albedo)
  np.testing.assert_array_equal(tape.gradient(loss, mean_albedo), np.full((4, 4, 3), 2))
