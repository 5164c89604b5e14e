"""core/spherical_harmonics.py against scipy."""

import numpy as np
import scipy.special
import tensorflow as tf
from scipy.spatial.transform import Rotation

from personalized_face.core import spherical_harmonics

ORDERS = [(order, m) for order in range(3) for m in range(-order, order + 1)]


def random_normals(*shape, seed=0):
  vectors = np.random.default_rng(seed).normal(size=(*shape, 3))
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def scipy_real_harmonic(order, m, normals):
  """The real harmonic made of scipy's complex ones, Condon-Shortley phase removed."""
  azimuth = np.arctan2(normals[:, 1], normals[:, 0])
  polar = np.arccos(normals[:, 2])
  if hasattr(scipy.special, "sph_harm_y"):
    value = scipy.special.sph_harm_y(order, abs(m), polar, azimuth)
  else:
    value = scipy.special.sph_harm(abs(m), order, azimuth, polar)
  if m == 0:
    return value.real
  return (-1) ** m * np.sqrt(2) * (value.real if m > 0 else value.imag)


def test_basis_equals_scipy_in_the_documented_order():
  normals = random_normals(100)
  ours = spherical_harmonics.basis(tf.constant(normals)).numpy()
  reference = [scipy_real_harmonic(order, m, normals) for order, m in ORDERS]
  # float64; scipy goes through arccos and back, which costs some digits.
  np.testing.assert_allclose(ours, np.stack(reference, -1), atol=1e-12)


def test_basis_is_orthonormal_over_the_sphere():
  nodes, node_weights = np.polynomial.legendre.leggauss(8)  # exact for these degrees
  azimuth = (np.arange(16) + 0.5) * 2 * np.pi / 16
  z, angle = np.meshgrid(nodes, azimuth, indexing="ij")
  radius = np.sqrt(1 - z**2)
  normals = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1)
  values = spherical_harmonics.basis(tf.constant(normals)).numpy()
  weights = np.broadcast_to(node_weights[:, None] * 2 * np.pi / 16, z.shape)
  gram = np.einsum("ij,ija,ijb->ab", weights, values, values)
  np.testing.assert_allclose(gram, np.eye(9), atol=1e-12)


def test_irradiance_is_the_weighted_sum_of_the_basis():
  normals, light = (
    random_normals(2, 3, 4, 5),
    np.random.default_rng(1).normal(size=(2, 3, 9, 3)),
  )
  ours = spherical_harmonics.irradiance(tf.constant(normals), tf.constant(light))
  values = spherical_harmonics.basis(tf.constant(normals)).numpy()
  for b in range(2):
    for n in range(3):
      expected = sum(values[b, n, ..., k, None] * light[b, n, k] for k in range(9))
      np.testing.assert_allclose(ours.numpy()[b, n], expected, atol=1e-12)


def test_irradiance_takes_one_light_for_one_list_of_normals():
  normals = random_normals(7)
  light = np.random.default_rng(2).normal(size=(9, 3))
  ours = spherical_harmonics.irradiance(tf.constant(normals), tf.constant(light))
  values = spherical_harmonics.basis(tf.constant(normals)).numpy()
  np.testing.assert_allclose(ours, values @ light, atol=1e-12)


def test_ambient_light_has_its_level_from_everywhere():
  normals = tf.constant(random_normals(20), tf.float32)
  light = spherical_harmonics.ambient_light(0.7)
  # A float32 product of two rounded numbers.
  np.testing.assert_allclose(
    spherical_harmonics.irradiance(normals, light), 0.7, atol=1e-6
  )


def test_first_order_coefficients_light_from_the_documented_sides():
  axes = tf.constant(np.eye(3))  # image right, above, the camera
  for coefficient, axis in ((3, 0), (1, 1), (2, 2)):
    light = np.zeros((9, 3))
    light[coefficient] = 1
    values = spherical_harmonics.irradiance(axes, tf.constant(light)).numpy()[:, 0]
    assert values.argmax() == axis
    assert np.count_nonzero(values) == 1


def test_irradiance_jacobian_random():
  arguments = [
    tf.constant(random_normals(2, 3)),
    tf.constant(np.random.default_rng(3).normal(size=(2, 9, 3))),
  ]
  theory, numeric = tf.test.compute_gradient(spherical_harmonics.irradiance, arguments)
  for ours, reference in zip(theory, numeric, strict=True):
    # Central differences of a quadratic have no truncation error.
    np.testing.assert_allclose(ours, reference, atol=1e-8)


def test_rotated_light_random_is_the_light_in_other_axes():
  rng = np.random.default_rng(0)
  light = rng.normal(size=(4, 9, 3))
  turns = Rotation.random(4, random_state=1).as_matrix()
  normals = random_normals(4, 30)
  turned = spherical_harmonics.rotated_light(light, turns)
  np.testing.assert_allclose(
    spherical_harmonics.irradiance(np.einsum("bij,bnj->bni", turns, normals), turned),
    spherical_harmonics.irradiance(normals, light),
    atol=1e-12,
  )
