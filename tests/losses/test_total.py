import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from scipy.spatial.transform import Rotation

from personalized_face.core import topology
from personalized_face.core.types import (
  Batch,
  Known,
  Outputs,
  PersonModel,
  Rendering,
  Tracking,
)
from personalized_face.losses.landmark import landmark_loss, landmark_weights
from personalized_face.losses.parsing import parsing_loss
from personalized_face.losses.photometric import image_gradient_loss, photometric_loss
from personalized_face.losses.regularization import regularization_loss
from personalized_face.losses.smoothness import shape_smoothness_loss
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.template.attention import bake_to_uv

_SIZE = 8
PAPER = (200.0, 200.0, 0.1, 50.0, 2.5, 1.5, 1e-3, 0.02)
_TERMS = LossWeights._fields[:7]  # the paper's


@pytest.fixture(autouse=True)
def clear_gin():
  yield
  gin.clear_config()


def _scene(perfect=False):
  """Random outputs of two persons with three frames each, and a batch."""
  rng = np.random.default_rng(0)
  uniform = lambda *shape: tf.constant(rng.uniform(size=(2, *shape)), tf.float32)  # noqa: E731
  labels = rng.integers(0, 8, size=(2, 3, _SIZE, _SIZE)).astype(np.int32)
  batch = Batch(
    images=uniform(3, _SIZE, _SIZE, 3), landmarks=8 * uniform(3, 68, 2), parsing=labels
  )
  if perfect:
    image, landmarks = batch.images, batch.landmarks
    parsing = tf.one_hot(labels, 8)
    neutral, blendshapes = tf.zeros([2, 64, 3]), tf.zeros([2, 64, 3, 3])
    tracking = (tf.zeros([2, 3, 3]), tf.zeros([2, 3, 9, 3]))
  else:
    image, landmarks = uniform(3, _SIZE, _SIZE, 3), 8 * uniform(3, 68, 2)
    parsing = tf.nn.softmax(uniform(3, _SIZE, _SIZE, 8))
    neutral, blendshapes = 0.1 * uniform(64, 3), 0.1 * uniform(64, 3, 3)
    tracking = (uniform(3, 3), uniform(3, 9, 3))
  outputs = Outputs(
    tracking=Tracking(tracking[0], rotation=None, translation=None, light=tracking[1]),
    person=None,
    geometry=None,
    neutral_offsets=neutral,
    blendshape_offsets=blendshapes,
    mesh=None,
    landmarks=landmarks,
    rendering=Rendering(
      image=image,
      mask=tf.ones([2, 3, _SIZE, _SIZE]),
      albedo=None,
      shading=None,
      normals=None,
      parsing=parsing,
    ),
  )
  return outputs, batch


def _face_loss(**arguments):
  return FaceLoss(toy_template(), image_size=_SIZE, **arguments)


def test_loss_weights_are_the_papers():
  assert LossWeights() == (*PAPER, *[0.0] * 6)


def test_loss_weights_by_gin_scope():
  gin.parse_config("stage2/losses.LossWeights.regularization = 0")
  with gin.config_scope("stage2"):
    assert LossWeights() == LossWeights()._replace(regularization=0)
  assert LossWeights().regularization == 1e-3


def test_total_is_the_weighted_sum_of_the_terms():
  outputs, batch = _scene()
  weights = LossWeights(*np.arange(1.0, 9.0))
  face_loss = _face_loss()
  total, terms = face_loss(outputs, batch, weights)
  pictures = (batch.images, outputs.rendering.image, outputs.rendering.mask)
  expected = {
    "photometric": photometric_loss(*pictures),
    "image_gradient": image_gradient_loss(*pictures),
    "landmark": landmark_loss(
      outputs.landmarks, batch.landmarks, _SIZE, landmark_weights()
    ),
    "parsing": parsing_loss(outputs.rendering.parsing, batch.parsing),
    "smoothness": shape_smoothness_loss(
      outputs.neutral_offsets, topology.edges(toy_template().triangles)
    ),
    "blendshape_gradient": terms["blendshape_gradient"],  # has its own tests
    "regularization": regularization_loss(
      outputs.tracking.expression, outputs.tracking.light, 8.0
    ),
  }
  assert list(terms) == list(_TERMS)
  for name, value in expected.items():
    assert float(terms[name]) == float(value) > 0, name
  # Seven float32 summands.
  summed = sum(getattr(weights, name) * float(terms[name]) for name in _TERMS)
  np.testing.assert_allclose(total, summed, rtol=1e-6)


def test_total_zero_at_ground_truth():
  total, terms = _face_loss()(*_scene(perfect=True), LossWeights())
  assert {name: float(value) for name, value in terms.items()} == dict.fromkeys(
    _TERMS, 0.0
  )
  assert float(total) == 0


@pytest.mark.parametrize("form", ["fourth_vertex", "in_plane"])
def test_blendshape_gradient_form_is_passed_on(form):
  outputs, batch = _scene()
  only = LossWeights(*[0] * 8)._replace(blendshape_gradient=1.0)
  face_loss = _face_loss(blendshape_gradient_form=form)
  values = {
    "fourth_vertex": _face_loss()(outputs, batch, only)[0],
    "in_plane": _face_loss(blendshape_gradient_form="in_plane")(outputs, batch, only)[
      0
    ],
  }
  assert values["fourth_vertex"] > values["in_plane"]
  assert float(face_loss(outputs, batch, only)[0]) == float(values[form])


def test_truth_is_a_term_where_it_is_known():
  outputs, batch = _scene()
  angles = np.random.default_rng(1).uniform(-0.5, 0.5, size=(2, 3, 3))
  matrices = Rotation.from_euler("xyz", angles.reshape(-1, 3)).as_matrix()
  dark = np.zeros([2, 3, 9, 3])
  flat = np.zeros([2, 4, 4, 3], np.float32)
  still = Known(np.zeros([2, 3, 3]), np.tile(np.eye(3), (2, 3, 1, 1)), dark, flat, flat)
  tracking = outputs.tracking._replace(rotation=tf.constant(angles, tf.float32))
  outputs = outputs._replace(tracking=tracking)
  weights = LossWeights(
    *[0] * 8,
    true_expression=2.0,
    true_rotation=3.0,
    true_light=4.0,
    true_expression_squares=5.0,
  )
  face_loss = _face_loss()
  assert face_loss(outputs, batch, weights)[1] == {}  # held-out frames know none
  still = tf.nest.map_structure(lambda part: part.astype(np.float32), still)
  total, terms = face_loss(outputs, batch._replace(truth=still), weights)
  # All are in [0, 1]: their sum over frames and shapes, a person.
  expression = np.sum(tracking.expression) / 2
  assert float(terms["true_expression"]) == pytest.approx(expression, rel=1e-6)
  turned = Rotation.from_matrix(matrices).magnitude()
  rotation = np.sum(2 * np.sqrt(2) * np.sin(turned / 2)) / 2
  assert float(terms["true_rotation"]) == pytest.approx(rotation, rel=1e-5)
  light = np.sum(np.linalg.norm(tracking.light, axis=(2, 3))) / 2
  squares = np.sum(np.square(tracking.expression)) / 2
  assert float(terms["true_expression_squares"]) == pytest.approx(squares, rel=1e-6)
  summed = 2 * expression + 3 * rotation + 4 * light + 5 * squares
  assert float(total) == pytest.approx(summed, rel=1e-5)
  matrices = matrices.reshape(2, 3, 3, 3).astype(np.float32)
  same = Known(tracking.expression, matrices, tracking.light, flat, flat)
  found = face_loss(outputs, batch._replace(truth=same), weights)[0]
  assert float(found) == pytest.approx(0, abs=1e-5)


def test_maps_of_known_persons():
  outputs, batch = _scene()
  template = toy_template()
  size = template.uv_size
  rng = np.random.default_rng(1)
  draw = lambda *shape: rng.uniform(size=shape).astype(np.float32)  # noqa: E731
  neutral, albedo = draw(2, size, size, 3), draw(2, size, size, 3)
  still = PersonModel(neutral, None, albedo, None)
  coarse = albedo.reshape(2, size // 2, 2, size // 2, 2, 3)[:, :, 0, :, 0]
  known = Known(draw(2, 3, 3), draw(2, 3, 3, 3), draw(2, 3, 9, 3), 0 * neutral, coarse)
  weights = LossWeights(*[0] * 8, true_neutral=2.0, true_albedo=3.0)
  outputs = outputs._replace(person=still)
  total, terms = _face_loss()(outputs, batch._replace(truth=known), weights)
  ones = np.ones([template.num_vertices, 1])
  inside = bake_to_uv(ones, template.uv, template.triangles, size, dilate=1)[..., 0]
  assert 0 < inside.mean() < 1  # else the mask is not tested
  there = np.linalg.norm(neutral, axis=-1)[:, inside > 0].mean()
  assert float(terms["true_neutral"]) == pytest.approx(there, rel=1e-5)
  large = tf.image.resize(coarse, [size, size]).numpy()
  off = np.linalg.norm(albedo - large, axis=-1)[:, inside > 0].mean()
  assert float(terms["true_albedo"]) == pytest.approx(off, rel=1e-5)
  assert float(total) == pytest.approx(2 * there + 3 * off, rel=1e-5)


def test_zero_weight_is_not_evaluated():
  outputs, batch = _scene()
  blind = outputs._replace(rendering=outputs.rendering._replace(parsing=None))
  with pytest.raises((AttributeError, ValueError)):
    _face_loss()(blind, batch, LossWeights())
  _, terms = _face_loss()(blind, batch, LossWeights(parsing=0.0))
  assert list(terms) == [name for name in _TERMS if name != "parsing"]


def test_all_weights_zero():
  total, terms = _face_loss()(*_scene(), LossWeights(*[0] * 8))
  assert float(total) == 0 and not terms


def test_weights_may_be_tensors_in_a_graph():
  outputs, batch = _scene()
  face_loss = _face_loss()

  @tf.function
  def scheduled(landmark_weight):
    return face_loss(outputs, batch, LossWeights(landmark=landmark_weight))[0]

  expected, terms = face_loss(outputs, batch, LossWeights(landmark=0))
  np.testing.assert_allclose(scheduled(tf.constant(0.0)), expected, rtol=1e-6)
  expected += 0.5 * landmark_loss(
    outputs.landmarks, batch.landmarks, _SIZE, landmark_weights()
  )
  np.testing.assert_allclose(scheduled(tf.constant(0.5)), expected, rtol=1e-6)


def test_every_output_gets_a_gradient():
  outputs, batch = _scene()
  rendering, tracking = outputs.rendering, outputs.tracking
  watched = {
    "image": rendering.image,
    "parsing": rendering.parsing,
    "landmarks": outputs.landmarks,
    "neutral_offsets": outputs.neutral_offsets,
    "blendshape_offsets": outputs.blendshape_offsets,
    "expression": tracking.expression,
    "light": tracking.light,
  }
  with tf.GradientTape() as tape:
    tape.watch(watched)
    total, _ = _face_loss()(outputs, batch, LossWeights())
  for name, found in tape.gradient(total, watched).items():
    found = tf.convert_to_tensor(found).numpy()
    assert np.isfinite(found).all() and found.any(), name
