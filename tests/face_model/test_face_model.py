"""Eq. 1 and Eq. 2 against loop-written numpy, their Jacobians, and their edges."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.core.types import PersonModel
from personalized_face.face_model.face_model import FaceModel

_B, _N = 2, 3
_TEMPLATE = toy_template()
_K = _TEMPLATE.num_blendshapes
_U = _TEMPLATE.uv_size
_V = _TEMPLATE.num_vertices


@pytest.fixture(scope="module")
def model():
  return FaceModel(_TEMPLATE)


def _random_person(batch=_B, seed=0):
  rng = np.random.default_rng(seed)
  shapes = ((_U, _U, 3), (_U, _U, _K, 3)) * 2
  return PersonModel(
    *(rng.normal(size=(batch, *shape)).astype(np.float32) for shape in shapes)
  )


def _random_expression(batch=_B, frames=_N, seed=1):
  rng = np.random.default_rng(seed)
  return rng.random((batch, frames, _K)).astype(np.float32)


def _tensors(person):
  return PersonModel(*(tf.constant(value) for value in person))


def _sample(texels, uv):
  """F() at one vertex: [U, U] float64 map, bilinear between the texel centres."""
  x, y = (np.clip(value * _U - 0.5, 0, _U - 1) for value in np.float64(uv))
  total = 0.0
  for row in range(_U):
    for column in range(_U):
      weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
      total += weight * texels[row, column]
  return total


def _eq_1(person, w):
  """[B, N, V, 3] float64, term by term as Eq. 1 is printed."""
  template = _TEMPLATE
  delta_0 = np.float64(person.neutral_correction)
  delta_i = np.float64(person.blendshape_corrections)
  s_0 = np.float64(template.vertices)
  masks = np.float64(template.attention_masks)
  result = np.zeros((len(w), w.shape[1], _V, 3))
  for b in range(len(w)):
    for v in range(_V):
      uv = template.uv[v]
      for c in range(3):
        neutral = _sample(delta_0[b, ..., c], uv)
        corrected = [
          s_0[v, c]
          + np.float64(template.blendshape_deltas[i, v, c])
          + _sample(masks[..., i] * delta_i[b, ..., i, c], uv)
          for i in range(_K)
        ]
        for n in range(w.shape[1]):
          weights = np.float64(w[b, n])
          value = (1 - weights.sum()) * s_0[v, c] + neutral
          for i in range(_K):
            value += weights[i] * corrected[i]
          result[b, n, v, c] = value
  return result


def _eq_2(person, w):
  """[B, N, U, U, 3] float64, term by term as Eq. 2 is printed."""
  result = np.zeros((len(w), w.shape[1], _U, _U, 3))
  for b, n, row, column, c in np.ndindex(result.shape):
    value = np.float64(person.static_albedo[b, row, column, c])
    for i in range(_K):
      attended = np.float64(_TEMPLATE.attention_masks[row, column, i]) * np.float64(
        person.dynamic_albedo[b, row, column, i, c]
      )
      value += np.float64(w[b, n, i]) * attended
    result[b, n, row, column, c] = value
  return result


def _shape(model, person, w):
  return model.shape(model.geometry(*model.vertex_offsets(person)), w)


def test_eq_1_against_loops(model):
  person, w = _random_person(batch=1), _random_expression(batch=1, frames=2)
  got = _shape(model, _tensors(person), tf.constant(w))
  assert got.dtype == tf.float32
  # float32 against float64 over some ten terms of order 1: 1e-7 each.
  np.testing.assert_allclose(got, _eq_1(person, w), atol=2e-6)


def test_eq_2_against_loops(model):
  person, w = _random_person(), _random_expression()
  got = model.albedo(_tensors(person), tf.constant(w))
  assert got.dtype == tf.float32
  # As above.
  np.testing.assert_allclose(got, _eq_2(person, w), atol=2e-6)


def test_albedo_of_masked_maps_serves_frame_after_frame(model):
  person, w = _random_person(batch=1), _random_expression(batch=1, frames=3)
  masked = model.person_albedo(_tensors(person))
  texel, i, c = 9 * _TEMPLATE.uv_size + 11, 1, 2
  want = _TEMPLATE.attention_masks[9, 11, i] * person.dynamic_albedo[0, 9, 11, i, c]
  assert abs(want) > 1e-3 and _TEMPLATE.attention_masks[9, 11, i] < 0.99
  np.testing.assert_allclose(masked.dynamic[0, texel, i, c], want, rtol=1e-6)
  for frame in range(3):
    got = model.blend_albedo(masked, w[:, frame : frame + 1])
    # float32 against float64, as in Eq. 2's test above.
    np.testing.assert_allclose(got[:, 0], _eq_2(person, w)[:, frame], atol=2e-6)


def test_offsets_are_what_the_names_say(model):
  person = _random_person(batch=1)
  neutral, blendshapes = model.vertex_offsets(_tensors(person))
  assert neutral.shape == (1, _V, 3)
  assert blendshapes.shape == (1, _V, _K, 3)
  v, i, c = 37, 1, 2
  attended = np.float64(_TEMPLATE.attention_masks[..., i]) * np.float64(
    person.blendshape_corrections[0, ..., i, c]
  )
  want = _sample(attended, _TEMPLATE.uv[v])
  assert abs(want) > 1e-3  # the mask is not 0 there
  # float32 over four products of order 1.
  np.testing.assert_allclose(blendshapes[0, v, i, c], want, atol=1e-6)


def test_no_corrections_give_the_template(model):
  w = np.zeros((2, 4, _K), np.float32)
  w[:, 1, 0] = 1  # the first blendshape fully on
  w[:, 2] = [0.5, 0.25, 0]
  person = model.template_person(2)
  vertices = _shape(model, person, tf.constant(w))
  template = _TEMPLATE.vertices
  for b in range(2):
    np.testing.assert_array_equal(vertices[b, 0], template)
    np.testing.assert_array_equal(
      vertices[b, 1], template + _TEMPLATE.blendshape_deltas[0]
    )
    want = template + np.tensordot(w[b, 2], _TEMPLATE.blendshape_deltas, 1)
    # Three float32 terms of order 1 in another order.
    np.testing.assert_allclose(vertices[b, 2], want, atol=1e-6)
  albedo = model.albedo(person, tf.constant(w))
  np.testing.assert_array_equal(
    albedo, np.broadcast_to(_TEMPLATE.mean_albedo, albedo.shape)
  )


def test_identity_correction_is_not_scaled_by_w_0(model):
  """A person's F(Delta_0^S) stays whole when the mouth opens (DESIGN section 3)."""
  person = model.template_person()
  person = person._replace(neutral_correction=person.neutral_correction + 0.5)
  w = tf.constant([[[0.0] * _K, [1.0] * _K]])
  vertices = _shape(model, person, w)
  plain = _shape(model, model.template_person(), w)
  # 0.5 added to float32 values of order 1.
  np.testing.assert_allclose(vertices - plain, 0.5, atol=1e-6)


def test_corrections_outside_the_attention_masks_do_nothing(model):
  person = model.template_person()
  unattended = (_TEMPLATE.attention_masks == 0).astype(np.float32)[None, ..., None]
  assert unattended.any()
  person = person._replace(
    blendshape_corrections=person.blendshape_corrections + unattended,
    dynamic_albedo=person.dynamic_albedo + unattended,
  )
  w = tf.constant(_random_expression(batch=1))
  plain = model.template_person()
  np.testing.assert_array_equal(_shape(model, person, w), _shape(model, plain, w))
  np.testing.assert_array_equal(model.albedo(person, w), model.albedo(plain, w))


def test_two_people_in_one_batch_come_out_as_alone(model):
  person, w = _random_person(), _random_expression()
  shapes, albedos = _shape(model, _tensors(person), w), model.albedo(person, w)
  for b in range(_B):
    alone = PersonModel(*(tf.constant(value[b : b + 1]) for value in person))
    # Matrix products may be blocked otherwise for another batch: ulps.
    np.testing.assert_allclose(
      shapes[b], _shape(model, alone, w[b : b + 1])[0], atol=1e-6
    )
    np.testing.assert_allclose(
      albedos[b], model.albedo(alone, w[b : b + 1])[0], atol=1e-6
    )


def test_some_vertices_only(model):
  person, w = _tensors(_random_person()), tf.constant(_random_expression())
  geometry = model.geometry(*model.vertex_offsets(person))
  some = [5, 60, 7]
  part = type(geometry)(*(tf.gather(value, some, axis=1) for value in geometry))
  full = tf.gather(model.shape(geometry, w), some, axis=2)
  # A smaller matrix product: ulps.
  np.testing.assert_allclose(model.shape(part, w), full, atol=1e-6)


def test_unknown_batch_and_frames(model):
  def outputs(*values):
    person, w = PersonModel(*values[:4]), values[4]
    return _shape(model, person, w), model.albedo(person, w)

  specs = [tf.TensorSpec([None, *value.shape[1:]]) for value in _random_person()]
  traced = tf.function(
    outputs, input_signature=[*specs, tf.TensorSpec([None, None, _K])]
  )
  for batch, frames in ((1, 1), (2, 5)):
    values = [*_random_person(batch), _random_expression(batch, frames)]
    for value, other in zip(traced(*values), outputs(*values), strict=True):
      # The same operations, perhaps blocked otherwise.
      np.testing.assert_allclose(value, other, atol=1e-6)
  vertices, albedo = traced.get_concrete_function().structured_outputs
  assert vertices.shape.as_list()[2:] == [_V, 3]
  assert albedo.shape.as_list()[2:] == [_U, _U, 3]


def test_template_person_of_an_unknown_batch(model):
  traced = tf.function(
    lambda images: model.template_person(tf.shape(images)[0]),
    input_signature=[tf.TensorSpec([None, 3])],
  )
  person = traced(tf.zeros([4, 3]))
  assert person.dynamic_albedo.shape == (4, _U, _U, _K, 3)
  assert person.static_albedo.shape == (4, _U, _U, 3)


def test_compiles_under_xla(model):
  person, w = _tensors(_random_person()), tf.constant(_random_expression())
  compiled = tf.function(
    lambda p, x: (_shape(model, p, x), model.albedo(p, x)), jit_compile=True
  )
  plain = _shape(model, person, w), model.albedo(person, w)
  for value, other in zip(compiled(person, w), plain, strict=True):
    # XLA fuses and orders sums its own way: a few ulp of values of order 3.
    np.testing.assert_allclose(value, other, atol=5e-6)


def test_exports_in_a_saved_model(model, tmp_path):
  module = tf.Module()
  module.face_model = model
  specs = [tf.TensorSpec([None, *value.shape[1:]]) for value in _random_person()]
  module.albedo = tf.function(
    lambda a, b, c, d, w: model.albedo(PersonModel(a, b, c, d), w),
    input_signature=[*specs, tf.TensorSpec([None, None, _K])],
  )
  tf.saved_model.save(module, str(tmp_path))
  loaded = tf.saved_model.load(str(tmp_path))
  person, w = _tensors(_random_person()), tf.constant(_random_expression())
  # The same graph: any difference is a blocking of the matrix product.
  np.testing.assert_allclose(
    loaded.albedo(*person, w), model.albedo(person, w), atol=1e-6
  )


def test_wrong_sizes_are_named(model):
  w = tf.zeros([1, 1, _K + 1])
  with pytest.raises(ValueError, match="expression has shape"):
    model.albedo(model.template_person(), w)
  other = FaceModel(toy_template(uv_size=8)).template_person()
  with pytest.raises(ValueError, match="blendshape maps has shape"):
    model.albedo(other, w[..., 1:])


def _check_jacobian(function, reference, values, seed):
  """Float32 gradients along random directions against float64 central differences.

  Args:
    function: of float32 tensors, differentiated.
    reference: the loop-written function of float64 arrays.
    values: list of float32 arrays.
    seed: of the directions.
  """
  rng = np.random.default_rng(seed)
  tensors = [tf.constant(value) for value in values]
  with tf.GradientTape() as tape:
    tape.watch(tensors)
    result = function(*tensors)
    weights = rng.normal(size=result.shape)
    loss = tf.reduce_sum(result * weights.astype(np.float32))
  gradients = tape.gradient(loss, tensors)
  for index, gradient in enumerate(gradients):
    direction = rng.normal(size=values[index].shape)
    both = []
    for sign in (1, -1):
      moved = [np.float64(value) for value in values]
      # All is linear in each argument: the step is exact whatever its size.
      moved[index] = moved[index] + sign * 0.5 * direction
      both.append(np.sum(reference(*moved) * weights))
    numeric = both[0] - both[1]
    analytic = np.sum(np.float64(gradient) * direction)
    scale = np.sqrt(np.sum(np.square(np.float64(gradient))))  # of a random direction
    assert scale > 0
    # float32 sums of hundreds of terms: 1e-5 of the gradient's norm.
    assert abs(analytic - numeric) < 1e-5 * scale, (index, analytic, numeric)


def test_jacobian_of_eq_1(model):
  person, w = _random_person(batch=1), _random_expression(batch=1, frames=2)
  rest = model.template_person()

  def place(neutral, blendshapes):
    return rest._replace(neutral_correction=neutral, blendshape_corrections=blendshapes)

  _check_jacobian(
    lambda neutral, blendshapes, x: _shape(model, place(neutral, blendshapes), x),
    lambda neutral, blendshapes, x: _eq_1(place(neutral, blendshapes), x),
    [person.neutral_correction, person.blendshape_corrections, w],
    seed=2,
  )


def test_jacobian_of_eq_2(model):
  person, w = _random_person(batch=1), _random_expression(batch=1, frames=2)
  rest = model.template_person()

  def place(static, dynamic):
    return rest._replace(static_albedo=static, dynamic_albedo=dynamic)

  _check_jacobian(
    lambda static, dynamic, x: model.albedo(place(static, dynamic), x),
    lambda static, dynamic, x: _eq_2(place(static, dynamic), x),
    [person.static_albedo, person.dynamic_albedo, w],
    seed=3,
  )


def test_full_size():
  """12,264 vertices, 56 blendshapes, 128 x 128 maps: shapes, finite, linear in w."""
  rng = np.random.default_rng(4)
  count, shapes, side = 12264, 56, 128

  class Full:
    uv = rng.random((count, 2)).astype(np.float32)
    uv_size = side
    num_blendshapes = shapes
    vertices = rng.normal(size=(count, 3)).astype(np.float32)
    blendshape_deltas = rng.normal(size=(shapes, count, 3)).astype(np.float32)
    attention_masks = rng.random((side, side, shapes), np.float32)
    mean_albedo = rng.random((side, side, 3), np.float32)

  model = FaceModel(Full)
  person = model.template_person()
  person = person._replace(
    blendshape_corrections=tf.random.normal(person.blendshape_corrections.shape),
    dynamic_albedo=tf.random.normal(person.dynamic_albedo.shape),
  )
  w = np.zeros((1, 2, shapes), np.float32)
  w[0, 1, 17] = 1
  vertices, albedo = _shape(model, person, w), model.albedo(person, w)
  assert vertices.shape == (1, 2, count, 3)
  assert albedo.shape == (1, 2, side, side, 3)
  np.testing.assert_array_equal(vertices[0, 0], Full.vertices)
  attended = Full.attention_masks[..., 17:18] * person.dynamic_albedo[0, ..., 17, :]
  # One float32 product and sum.
  np.testing.assert_allclose(albedo[0, 1], Full.mean_albedo + attended, atol=1e-6)
