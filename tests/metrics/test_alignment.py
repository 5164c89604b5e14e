import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from personalized_face.metrics.alignment import IDENTITY, Similarity, align, icp
from personalized_face.metrics.surface_distance import (
  MeshDistance,
  closest_barycentrics,
  vertex_rmse,
)

# An L-shaped sheet, so that nothing about it is symmetric.
VERTICES = np.array(
  [[0, 0, 0], [4, 0, 0], [4, 1, 0], [0, 1, 0], [0, 3, 0], [1, 3, 1.0]], np.float64
)
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3], [3, 4, 5]])


def some_transform(scale=1.3, seed=0):
  rotation = Rotation.random(random_state=seed).as_matrix()
  return Similarity(rotation, scale, np.array([1.0, -2, 3]))


@pytest.mark.parametrize("with_scale", [False, True])
def test_align_recovers_a_transform(with_scale):
  transform = some_transform(1.3 if with_scale else 1.0)
  found = align(VERTICES, transform(VERTICES), with_scale)
  # Double precision, sums of six points.
  np.testing.assert_allclose(found.rotation, transform.rotation, atol=1e-12)
  np.testing.assert_allclose(found(VERTICES), transform(VERTICES), atol=1e-12)
  np.testing.assert_allclose(found.inverse()(found(VERTICES)), VERTICES, atol=1e-12)


def test_align_without_scale_keeps_the_size():
  found = align(VERTICES, 2 * VERTICES, with_scale=False)
  assert found.scale == 1.0
  centred = VERTICES - VERTICES.mean(axis=0)
  # What is left is the doubled size itself.
  np.testing.assert_allclose(2 * VERTICES - found(VERTICES), centred, atol=1e-12)


def test_align_never_mirrors():
  found = align(VERTICES, VERTICES * [-1, 1, 1], with_scale=True)
  assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_align_weights_ignore_an_outlier():
  target = VERTICES.copy()
  target[5] += 10
  found = align(VERTICES, target, False, weights=[1, 1, 1, 1, 1, 0])
  np.testing.assert_allclose(found(VERTICES), VERTICES, atol=1e-12)


@pytest.mark.parametrize(
  ("points", "message"), [(VERTICES[:2], "2 pairs"), (np.ones([4, 3]), "one place")]
)
def test_align_exception_raised(points, message):
  with pytest.raises(ValueError, match=message):
    align(points, points, False)


def test_vertex_rmse_preset():
  moved = VERTICES.copy()
  moved[0] += [3, 4, 0]  # 5 away
  assert vertex_rmse(moved, VERTICES) == pytest.approx(np.sqrt(25 / 6))
  assert vertex_rmse(moved, VERTICES, [1, 0, 0, 0, 0, 0]) == 5.0
  assert vertex_rmse(moved, VERTICES, [0, 1, 1, 1, 1, 1]) == 0.0
  assert np.isnan(vertex_rmse(moved, VERTICES, np.zeros(6)))


def test_mesh_distance_preset():
  mesh = MeshDistance(VERTICES, TRIANGLES)
  points = [
    [3, 0.5, 2],  # above the inside of a triangle
    [5, 1, 0],  # beyond a corner
    [2, -3, 4],  # beside an edge
    [2, 0.5, 0],  # on it
  ]
  distances, places = mesh(points)
  np.testing.assert_allclose(distances, [2, 1, 5, 0], atol=1e-12)
  np.testing.assert_allclose(places[:3], [[3, 0.5, 0], [4, 1, 0], [2, 0, 0]])


def test_mesh_distance_equals_all_triangles():
  # Few large and many small triangles: the first candidates are often the wrong ones.
  rng = np.random.default_rng(0)
  small = rng.normal(size=[300, 3, 3]) * 0.05 + rng.normal(size=[300, 1, 3])
  corners = np.concatenate([small, rng.normal(size=[5, 3, 3]) * 3])
  mesh = MeshDistance(corners.reshape(-1, 3), np.arange(3 * 305).reshape(-1, 3))
  points = rng.normal(size=[50, 3]) * 2
  weights = closest_barycentrics(points[:, None], corners[None])
  every = np.einsum("ptc,tcd->ptd", weights, corners)
  expected = np.linalg.norm(every - points[:, None], axis=-1).min(axis=1)
  distances, places, index, barycentrics = mesh.locate(points)
  np.testing.assert_allclose(distances, expected, atol=1e-12)
  np.testing.assert_allclose(
    np.einsum("pc,pcd->pd", barycentrics, corners[index]), places, atol=1e-12
  )


def test_mesh_distance_beside_a_torn_triangle():
  # By one bound for all sizes each point would try every small one: 400 million pairs.
  rng = np.random.default_rng(2)
  small = rng.normal(size=[20_000, 3, 3]) * 0.01 + rng.normal(size=[20_000, 1, 3])
  torn = np.array([[[-90, -90, 6.0], [90, -90, 6], [0, 90, 6]]])
  corners = np.concatenate([small, torn]).reshape(-1, 3)
  mesh = MeshDistance(corners, np.arange(len(corners)).reshape(-1, 3))
  distances, _, index, _ = mesh.locate(small[:, 0])
  np.testing.assert_allclose(distances, 0, atol=1e-12)
  assert (index < 20_000).all()
  distances, _, index, _ = mesh.locate(small[:, 0] * [1, 1, 0] + [0, 0, 5.5])
  np.testing.assert_allclose(distances, 0.5, rtol=1e-12)
  assert (index == 20_000).all()


def test_mesh_distance_against_dense_samples():
  rng = np.random.default_rng(1)
  grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), -1).reshape(-1, 2)
  vertices = np.concatenate([grid, 0.3 * rng.normal(size=[12, 1])], -1)
  cells = [(r * 4 + c) for r in range(2) for c in range(3)]
  triangles = np.array(
    [t for i in cells for t in ((i, i + 1, i + 5), (i, i + 5, i + 4))]
  )
  points = rng.uniform([-1, -1, -1], [4, 3, 1], [40, 3])
  found, _, triangle, barycentric = MeshDistance(vertices, triangles).locate(points)
  spots = (barycentric[..., None] * vertices[triangles[triangle]]).sum(1)
  distance = np.linalg.norm(points - spots, axis=-1)
  np.testing.assert_allclose(found, distance, atol=1e-12)
  # Dense samples of all triangles: never nearer, and close to as near.
  steps = [(i / 60, j / 60) for i in range(61) for j in range(61 - i)]
  weights = np.array([(1 - v - w, v, w) for v, w in steps])
  samples = (weights @ vertices[triangles]).reshape(-1, 3)
  brute = np.linalg.norm(points[:, None] - samples[None], axis=-1).min(1)
  assert (found <= brute + 1e-12).all()
  np.testing.assert_allclose(found, brute, atol=0.02)  # spacing of samples


def test_closest_barycentrics_is_a_minimum():
  rng = np.random.default_rng(1)
  points, corners = rng.normal(size=[200, 3]), rng.normal(size=[200, 3, 3])
  weights = closest_barycentrics(points, corners)
  assert weights.min() >= -1e-15
  np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)
  best = np.linalg.norm(np.einsum("pc,pcd->pd", weights, corners) - points, axis=-1)
  samples = rng.dirichlet([1, 1, 1], size=400)
  tried = np.einsum("sc,pcd->psd", samples, corners) - points[:, None]
  assert np.all(np.linalg.norm(tried, axis=-1).min(axis=1) >= best - 1e-12)


def test_closest_barycentrics_of_a_collapsed_triangle():
  corners = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0.0]])
  weights = closest_barycentrics(np.array([1.0, 0, 0]), corners)
  assert np.isfinite(weights).all() and weights.sum() == 1


def bump(side=15):
  """A hill, whose position on itself is fixed by its shape."""
  x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
  z = 0.8 * np.exp(-2 * (x - 0.2) ** 2 - 5 * (y + 0.1) ** 2)
  vertices = np.stack([x, y, z], -1).reshape(-1, 3)
  corner = np.arange(side * (side - 1)).reshape(side - 1, side)[:, :-1].ravel()
  lower = np.stack([corner, corner + 1, corner + side], -1)
  upper = np.stack([corner + 1, corner + side + 1, corner + side], -1)
  return vertices, np.concatenate([lower, upper])


@pytest.mark.parametrize("with_scale", [False, True])
def test_icp_comes_home(with_scale):
  vertices, triangles = bump()
  mesh = MeshDistance(vertices, triangles)
  inner = vertices[np.abs(vertices[:, :2]).max(axis=1) < 0.75]
  rotation = Rotation.from_euler("xyz", [5, -4, 3], degrees=True).as_matrix()
  away = Similarity(rotation, 1.05 if with_scale else 1.0, np.array([0.05, 0.02, -0.1]))
  found = icp(away(inner), mesh, IDENTITY, with_scale, iterations=500, tolerance=1e-7)
  # ICP creeps along the surface: it stops near the truth, not on it.
  np.testing.assert_allclose(found(away(inner)), inner, atol=5e-3)


def test_icp_keeps_the_scale_of_its_start():
  vertices, triangles = bump()
  start = Similarity(np.eye(3), 0.01, np.array([0.01, 0, 0]))
  found = icp(100 * vertices, MeshDistance(vertices, triangles), start)
  assert found.scale == pytest.approx(0.01)
  np.testing.assert_allclose(found(100 * vertices), vertices, atol=2e-2)


def test_icp_trimmed_leaves_out_what_is_not_there():
  vertices, triangles = bump()
  mesh = MeshDistance(vertices, triangles)
  inner = vertices[np.abs(vertices[:, :2]).max(axis=1) < 0.75]
  hair = inner[:8] + [0, 0, 3.0]
  points = np.concatenate([inner, hair])
  kept = icp(points, mesh, keep=0.9)
  np.testing.assert_allclose(kept(inner), inner, atol=1e-6)
  pulled = icp(points, mesh, keep=1.0)
  assert np.abs(pulled(inner) - inner).max() > 0.05
