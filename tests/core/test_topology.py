"""core/topology.py against loop-written versions and meshes known by hand."""

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core import topology

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
TETRAHEDRON_VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])


def sphere(rings, segments):
  """A closed unit sphere, its poles of degree `segments`."""
  polar = np.linspace(0, np.pi, rings + 1)[1:-1]
  azimuth = np.linspace(0, 2 * np.pi, segments, endpoint=False)
  grid_polar, grid_azimuth = np.meshgrid(polar, azimuth, indexing="ij")
  sine = np.sin(grid_polar)
  body = np.stack(
    [sine * np.sin(grid_azimuth), np.cos(grid_polar), sine * np.cos(grid_azimuth)], -1
  )
  vertices = np.concatenate([body.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]])
  index = np.arange((rings - 1) * segments).reshape(rings - 1, segments)
  a, b = index[:-1], index[1:]
  c, d = np.roll(a, -1, 1), np.roll(b, -1, 1)
  top, bottom = len(vertices) - 2, len(vertices) - 1
  triangles = [
    np.stack([a, b, c], -1).reshape(-1, 3),
    np.stack([b, d, c], -1).reshape(-1, 3),
    np.stack([np.full(segments, top), index[0], np.roll(index[0], -1)], -1),
    np.stack([np.full(segments, bottom), np.roll(index[-1], -1), index[-1]], -1),
  ]
  return vertices, np.concatenate(triangles)


def loop_vertex_normals(vertices, triangles):
  sums = np.zeros_like(vertices)
  for a, b, c in triangles:
    area = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a]) / 2
    for corner in (a, b, c):
      sums[corner] += area
  return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def test_edges_preset():
  np.testing.assert_array_equal(
    topology.edges(np.array([[2, 1, 0], [1, 2, 3]])),
    [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]],
  )


def test_edges_of_a_closed_mesh_obey_euler():
  vertices, triangles = sphere(5, 8)
  assert len(vertices) - len(topology.edges(triangles)) + len(triangles) == 2


def test_uniform_laplacian_preset():
  # Two triangles 0 1 2 and 1 2 3; 4 has no neighbour.
  found = topology.uniform_laplacian(np.array([[2, 1, 0], [1, 2, 3]]), 5)
  values = np.array([6.0, 0, 3, 12, 7])
  # Vertices 0 and 3 have the neighbours 1 and 2; these each other, 0 and 3.
  np.testing.assert_allclose(found @ values, [4.5, -7, -3, 10.5, 7])


def test_boundary_loops_preset():
  #  0 - 1 - 2 - 3     a ring of four quads around the hole 5 6 10 9
  index = np.arange(16).reshape(4, 4)
  cells = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
  triangles = []
  for r, c in cells:
    a, b, low_a, low_b = (
      index[r, c],
      index[r, c + 1],
      index[r + 1, c],
      index[r + 1, c + 1],
    )
    triangles += [[a, low_a, b], [b, low_a, low_b]]
  outer, inner = topology.boundary_loops(np.array(triangles))
  np.testing.assert_array_equal(outer, [0, 4, 8, 12, 13, 14, 15, 11, 7, 3, 2, 1])
  np.testing.assert_array_equal(inner, [5, 6, 10, 9])


def test_boundary_loops_of_a_closed_mesh_are_none():
  assert topology.boundary_loops(TETRAHEDRON) == []


def test_boundary_loops_exception_raised():
  bow_tie = np.array([[0, 1, 2], [0, 3, 4]])
  with pytest.raises(ValueError, match="one vertex"):
    topology.boundary_loops(bow_tie)


def test_triangle_normals_preset_point_outward():
  normals = topology.triangle_normals(TETRAHEDRON_VERTICES, TETRAHEDRON).numpy()
  expected = [[0, 0, -1], [0, -1, 0], np.ones(3) / np.sqrt(3), [-1, 0, 0]]
  np.testing.assert_allclose(normals, expected, atol=1e-15)


def test_vertex_normals_of_a_sphere_point_from_its_centre():
  vertices, triangles = sphere(24, 40)
  normals = topology.vertex_normals(tf.constant(vertices), triangles).numpy()
  # 24 rings: the facets deviate by up to a quarter of 7.5 degrees next to the poles.
  assert (normals * vertices).sum(-1).min() > np.cos(np.radians(2))


def test_vertex_normals_equal_the_loop_version():
  rng = np.random.default_rng(0)
  # Segments 30 > 12: the poles need a second pass of the summing tables.
  vertices, triangles = sphere(6, 30)
  batch = vertices + rng.normal(scale=0.05, size=(2, 2, *vertices.shape))
  ours = topology.VertexNormals(triangles, len(vertices))(tf.constant(batch)).numpy()
  for b in range(2):
    for n in range(2):
      reference = loop_vertex_normals(batch[b, n], triangles)
      np.testing.assert_allclose(ours[b, n], reference, atol=1e-12)


def test_vertex_normals_jacobian_random():
  rng = np.random.default_rng(1)
  vertices, triangles = sphere(3, 14)
  vertices = tf.constant(vertices + rng.normal(scale=0.05, size=vertices.shape))
  normals = topology.VertexNormals(triangles, vertices.shape[0])
  theory, numeric = tf.test.compute_gradient(normals, [vertices], delta=1e-5)
  # Float64 central differences with step 1e-5.
  np.testing.assert_allclose(theory[0], numeric[0], atol=1e-8)


def test_vertex_normals_degenerate_is_zero_with_finite_gradient():
  vertices = tf.constant(np.repeat(TETRAHEDRON_VERTICES[:1], 4, axis=0), tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(vertices)
    normals = topology.vertex_normals(vertices, TETRAHEDRON)
  assert not normals.numpy().any()
  assert not tape.gradient(normals, vertices).numpy().any()


def test_vertex_normals_of_a_millimetre_mesh_are_unit_length():
  vertices = tf.constant(TETRAHEDRON_VERTICES * 1e-3, tf.float32)
  normals = topology.vertex_normals(vertices, TETRAHEDRON)
  np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)


def test_vertex_normals_compiled_equal_eager():
  vertices, triangles = sphere(6, 30)
  normals = topology.VertexNormals(triangles, len(vertices))
  vertices = tf.constant(vertices, tf.float32)
  compiled = tf.function(normals, jit_compile=True)
  # Fused multiply-add rounds differently: a few units in the last place.
  np.testing.assert_allclose(compiled(vertices), normals(vertices), atol=1e-6)
