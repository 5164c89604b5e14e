"""What holds a fit together where the losses leave it free."""

import numpy as np
import tensorflow as tf
from helpers import toy_template

from personalized_face.core import topology
from personalized_face.core.types import PARSING_CLASSES, Batch, Rendering
from personalized_face.fitting.priors import (
  FitPriors,
  NeutralPrior,
  without_occlusions,
)
from personalized_face.template.traits import trait_fields


def grey_rendering(side=32):
  zeros = tf.zeros([1, 1, side, side, 3])
  return Rendering(
    image=zeros + 0.5,
    mask=tf.ones([1, 1, side, side]),
    albedo=zeros,
    shading=zeros,
    normals=zeros,
    parsing=zeros,
  )


def grey_batch(side=32):
  skin = PARSING_CLASSES.index("skin")
  return Batch(
    images=np.full([1, 1, side, side, 3], 0.52, np.float32),
    landmarks=None,
    parsing=np.full([1, 1, side, side], skin, np.int32),
  )


def test_a_hand_counts_little_and_the_face_fully():
  batch = grey_batch()
  batch.images[0, 0, :16] = 1.0  # something white before the upper half
  mask = without_occlusions(batch, grey_rendering(), 0.2).mask[0, 0]
  # e = .5 sqrt(3) = .87 against .2: 1 / 20; .035 against .2: .97.
  assert mask[:12].numpy().max() < 0.06
  assert mask[20:].numpy().min() > 0.95


def test_hair_beside_the_face_counts_less():
  batch = grey_batch()
  batch.parsing[0, 0, :, :8] = 0
  mask = without_occlusions(batch, grey_rendering(), 0.2, outside=0.25).mask[0, 0]
  np.testing.assert_allclose(mask[:, :8] / mask[:, 8:9], 0.25, rtol=1e-4)


def test_pixels_off_the_mesh_stay_off():
  rendering = grey_rendering()
  rendering = rendering._replace(mask=tf.zeros_like(rendering.mask))
  assert without_occlusions(grey_batch(), rendering, 0.2).mask.numpy().max() == 0


def test_a_symmetric_face_costs_nothing_and_a_one_sided_shadow_does():
  template = toy_template()
  priors = FitPriors(template)
  side = template.uv_size
  rising = np.abs(np.linspace(-1, 1, side, dtype=np.float32))  # equal on both sides
  albedo = np.broadcast_to(rising[None, None, :, None], [1, side, side, 3])
  still = tf.zeros([1, side, side, 3])
  offsets = tf.zeros([1, template.num_vertices, 3])
  assert priors.of_person(tf.constant(albedo), still, offsets) < 1e-6
  shaded = albedo.copy()
  shaded[:, :, : side // 2] -= 0.2
  assert priors.of_person(tf.constant(shaded), still, offsets) > 1


def test_a_wider_head_is_symmetric_and_a_shifted_one_is_not():
  template = toy_template()
  priors = FitPriors(template)
  u = np.linspace(-1, 1, template.uv_size, dtype=np.float32)
  wider = np.zeros([1, len(u), len(u), 3], np.float32)
  wider[..., 0] = 0.1 * u  # away from the middle on both sides
  grey = tf.zeros([1, len(u), len(u), 3])
  offsets = tf.zeros([1, template.num_vertices, 3])
  assert priors.of_person(grey, tf.constant(wider), offsets) < 1e-6
  shifted = tf.constant(np.float32([0.1, 0, 0])) + tf.zeros_like(grey)
  assert priors.of_person(grey, shifted, offsets) > 1


def test_a_trait_of_faces_costs_little_and_as_much_change_elsewhere_costs_more():
  template = toy_template()
  prior = NeutralPrior(template, size=100.0, trait=0.002, scale=0.0)
  fields = trait_fields(template, template.vertices)
  wider = fields[0]  # the jaw
  price = float(prior(tf.constant(2 * wider[np.newaxis], tf.float32)))
  # Two standard deviations; a little is bought from the size's term.
  assert 0.5 * 4 * 0.002 < price <= 4 * 0.002 + 1e-6
  noise = np.random.default_rng(0).normal(size=wider.shape)
  noise *= 2 * np.linalg.norm(wider) / np.linalg.norm(noise)
  assert float(prior(tf.constant(noise[np.newaxis], tf.float32))) > 5 * price


def test_the_price_is_the_least_over_the_traits():
  template = toy_template()
  prior = NeutralPrior(template, size=30.0, slide=30.0, trait=0.01, scale=0.0)
  rng = np.random.default_rng(1)
  offsets = 0.05 * rng.normal(size=template.vertices.shape)
  fields = trait_fields(template, template.vertices)
  fields = fields.reshape(len(fields), -1)
  # The same as ridge regression, its rows stacked.
  share = 30.0 / template.num_vertices
  system = np.vstack([np.sqrt(share) * fields.T, np.sqrt(0.01) * np.eye(len(fields))])
  target = np.append(np.sqrt(share) * offsets.ravel(), np.zeros(len(fields)))
  residual = np.linalg.lstsq(system, target, rcond=None)[1][0]
  price = prior(tf.constant(offsets[np.newaxis], tf.float32))
  np.testing.assert_allclose(float(price), residual, rtol=1e-4)


def test_what_slides_along_the_skin_costs_its_own_weight():
  template = toy_template()
  # No trait helps.
  prior = NeutralPrior(template, size=1.0, slide=50.0, trait=1e6, scale=0.0)
  normals = topology.vertex_normals(template.vertices, template.triangles).numpy()
  sideways = np.cross(normals, [0.0, 1.0, 0.0])
  outwards, along = (
    float(prior(tf.constant(0.1 * part[np.newaxis], tf.float32)))
    for part in (normals, sideways / np.linalg.norm(sideways, axis=1, keepdims=True))
  )
  np.testing.assert_allclose([outwards, along], [0.01, 0.5], rtol=1e-3)


def test_a_larger_head_costs_by_the_square_of_its_share():
  template = toy_template()
  offsets = 0.03 * (template.vertices - template.vertices.mean(axis=0)) + 0.2
  offsets = tf.constant(offsets[np.newaxis], tf.float32)
  with_scale, without = (
    float(NeutralPrior(template, scale=scale)(offsets)) for scale in (500.0, 0.0)
  )
  np.testing.assert_allclose(with_scale - without, 500 * 0.03**2, rtol=1e-3)
