"""What follows from a triangle list: edges, neighbours, borders and normals.

Triangles are [T, 3] integers, counter-clockwise seen from outside; normals point
outward.
"""

import numpy as np
import tensorflow as tf
from scipy import sparse

from personalized_face.core import shapes
from personalized_face.core.sparse import SparseOperator
from personalized_face.core.types import Tensor


def edges(triangles: np.ndarray) -> np.ndarray:
  """Unique undirected edges.

  Args:
    triangles: [T, 3] int.

  Returns:
    [E, 2] int32, smaller index first, sorted.
  """
  triangles = np.asarray(triangles)
  shapes.check(triangles, "[T, 3]", "triangles")
  pairs = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
  return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int32)


def adjacency(triangles: np.ndarray, num_vertices: int) -> sparse.csr_array:
  """[V, V] float64, 1 where an edge joins two vertices."""
  pairs = edges(triangles)
  both = np.concatenate([pairs, pairs[:, ::-1]]).T
  return sparse.csr_array(
    (np.ones(both.shape[1]), both), shape=(num_vertices, num_vertices)
  )


def uniform_laplacian(triangles: np.ndarray, num_vertices: int) -> sparse.csr_array:
  """Each vertex less the mean of its neighbours, [V, V] float64.

  A vertex without neighbours keeps its value.
  """
  near = adjacency(triangles, num_vertices)
  degrees = np.maximum(near.sum(axis=1), 1)
  return sparse.eye_array(num_vertices) - sparse.diags_array(1 / degrees) @ near


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
  """The closed lines along which the surface ends.

  Args:
    triangles: [T, 3] int, a manifold, consistently oriented.

  Returns:
    Loops of vertex indices, int32, in the direction of the triangles' own edges (the
    surface lies to the left), each starting at its smallest index; the longest first.

  Raises:
    ValueError: if two borders touch in one vertex, where a loop would be ambiguous.
  """
  triangles = np.asarray(triangles)
  directed = {(int(t[i]), int(t[(i + 1) % 3])) for t in triangles for i in range(3)}
  border = [(a, b) for a, b in directed if (b, a) not in directed]
  following = dict(border)
  if len(following) != len(border):
    raise ValueError("two borders of the mesh meet in one vertex")
  loops = []
  for start in sorted(following):
    loop = []
    while start in following:
      loop.append(start)
      start = following.pop(start)
    if loop:
      loops.append(np.array(loop, np.int32))
  return sorted(loops, key=len, reverse=True)


def triangle_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
  """Unit normals of the triangles; 0 where a triangle has no area.

  Args:
    vertices: [..., V, 3].
    triangles: [T, 3] int.

  Returns:
    [..., T, 3].
  """
  return normalize(_area_vectors(tf.gather(vertices, triangles, axis=-2)))


def vertex_normals(vertices: Tensor, triangles: np.ndarray) -> Tensor:
  """Area-weighted unit normals; see `VertexNormals`, which precomputes its tables.

  Args:
    vertices: [..., V, 3], V known statically.
    triangles: [T, 3] int, numpy.

  Returns:
    [..., V, 3].
  """
  return VertexNormals(triangles, vertices.shape[-2])(vertices)


class VertexNormals:
  """Area-weighted vertex normals over a fixed triangle list.

  Each normal is the normalised sum of the area vectors (half the cross product of two
  sides) of the triangles around the vertex. Both the gather of corners and its
  gradient, and the sum around a vertex and its gradient, read precomputed tables: no
  scatter, so the result is the same bit for bit in every run.
  """

  def __init__(self, triangles: np.ndarray, num_vertices: int):
    """Builds the tables.

    Args:
      triangles: [T, 3] int, numpy.
      num_vertices: V.
    """
    triangles = np.asarray(triangles)
    shapes.check(triangles, "[T, 3]", "triangles")
    count = len(triangles)
    # All first corners, then all second ones, then all third ones: [3 * T] rows.
    self._corners = SparseOperator(
      np.arange(3 * count), triangles.T.reshape(-1), 3 * count, num_vertices
    )

  def __call__(self, vertices: Tensor) -> Tensor:
    """Normals of one or more meshes.

    Args:
      vertices: [..., V, 3], any unit.

    Returns:
      [..., V, 3] unit length; 0, with a finite gradient, at a vertex without area.
    """
    shapes.check(vertices, "[..., V, 3]", "vertices")
    flat = tf.reshape(vertices, [-1, vertices.shape[-2], 3])
    a, b, c = tf.split(self._corners.apply(flat), 3, axis=1)  # [I, T, 3] each
    area_vectors = tf.linalg.cross(b - a, c - a)
    summed = self._corners.apply_transposed(tf.concat([area_vectors] * 3, axis=1))
    return tf.reshape(normalize(summed), tf.shape(vertices))


def _area_vectors(corners: Tensor) -> Tensor:
  """[..., 3 corners, 3] -> [..., 3], twice the area along the normal."""
  a, b, c = tf.unstack(corners, axis=-2)
  return tf.linalg.cross(b - a, c - a)


def normalize(vectors: Tensor) -> Tensor:
  """Unit vectors; the zero vector stays zero, and its gradient is zero, not NaN.

  Args:
    vectors: [..., 3]; shorter than 1e-12 counts as zero (the area vector of a triangle
      of 1 micrometre is 1e-10 square decimetres).

  Returns:
    [..., 3].
  """
  squared = tf.reduce_sum(vectors * vectors, axis=-1, keepdims=True)
  positive = squared > 1e-24
  # Selected before the root too: a gradient through an unused branch would be NaN.
  inverse = tf.math.rsqrt(tf.where(positive, squared, tf.ones_like(squared)))
  return tf.where(positive, vectors * inverse, tf.zeros_like(vectors))
