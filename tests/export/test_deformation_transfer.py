import numpy as np
import pytest
from evaluation import scan_fixtures
from export import puppet
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from personalized_face.authoring.cache import load_template
from personalized_face.export.deformation_transfer import (
  gradient_operator,
  transfer,
  transfer_blendshapes,
)
from personalized_face.export.registration import correspondences, register
from personalized_face.metrics.alignment import align
from personalized_face.metrics.landmarks import eye_opening, mouth_opening
from personalized_face.metrics.motion import correlation
from personalized_face.metrics.surface_distance import MeshDistance


@pytest.fixture(scope="module")
def template():
  return load_template()


@pytest.fixture(scope="module")
def made(template):
  """The puppet, and its blendshapes."""
  doll = puppet.build()
  return doll, transfer_blendshapes(
    template.vertices,
    template.blendshape_deltas,
    template.triangles,
    template.landmark_vertices,
    *doll,
  )


def test_gradient_operator_of_a_linear_function():
  rng = np.random.default_rng(0)
  vertices = rng.normal(size=[30, 3])
  triangles = np.array([rng.choice(30, 3, replace=False) for _ in range(20)])
  operator, areas = gradient_operator(vertices, triangles)
  slope = np.array([0.3, -1.0, 2.0])
  found = (operator @ (vertices @ slope + 5)).reshape(-1, 3)
  corners = vertices[triangles]
  normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
  # A surface sees the part of the slope that lies in it.
  expected = slope - unit * (unit @ slope)[:, np.newaxis]
  np.testing.assert_allclose(found, expected, atol=1e-9)
  np.testing.assert_allclose(areas, np.linalg.norm(normal, axis=1) / 2)


def test_align_recovers_a_similarity():
  points = np.random.default_rng(0).normal(size=[40, 3])
  turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
  moved = 7.0 * points @ turn.T + [1, 2, 3]
  found = align(points, moved, with_scale=True)
  np.testing.assert_allclose(found(points), moved, atol=1e-9)
  back = found.inverse().vectors(moved[1:] - moved[:1])
  np.testing.assert_allclose(back, points[1:] - points[:1], atol=1e-9)


def test_transfer_onto_the_same_mesh_is_the_identity(template):
  picked = ["jawOpen", "eyeBlink_L", "mouthSmile_R", "browInnerUp_L"]
  picked = [template.blendshape_names.index(name) for name in picked]
  shapes = template.blendshape_deltas[picked]
  moved = transfer(
    template.vertices,
    shapes,
    template.triangles,
    template.vertices.astype(np.float64),
    template.triangles,
    np.arange(len(template.triangles)),
    np.arange(template.num_vertices),
  )
  # Gradients and anchors both agree: what is left are slivers, which carry none.
  np.testing.assert_allclose(moved, shapes, atol=1e-3)
  assert np.abs(shapes).max() > 0.2


def test_correspondence_of_a_mesh_with_itself(template):
  match = correspondences(
    template.vertices.astype(np.float64),
    template.triangles,
    template.vertices.astype(np.float64),
    template.triangles,
    template.landmark_vertices,
  )
  assert (match == np.arange(len(match))).mean() > 0.999


def test_register_reaches_the_surface_between_the_landmarks():
  # A patch of 160 mm and another, which bulges elsewhere: 9 mm apart, far from marks.
  ours, theirs = scan_fixtures.face(33), scan_fixtures.face(45, tilt=2.0)
  surface = MeshDistance(theirs.vertices, theirs.triangles)
  marks = np.array([[2, 2], [2, 30], [16, 16], [30, 2], [30, 30]]) @ [33, 1]
  their_marks = cKDTree(theirs.vertices[:, :2]).query(ours.vertices[marks, :2])[1]
  bent = register(*ours[:2], marks, *theirs[:2], their_marks)
  inside = np.abs(ours.vertices[:, :2]).max(axis=1) < 70
  assert surface.locate(ours.vertices)[0][inside].max() > 5
  # The stiffest weight is 1, so the last step leaves a trace of the change: 0.1 mm.
  assert surface.locate(bent)[0][inside].max() < 0.3


def test_puppet_follows_mouth_and_eyes(template, made):
  doll, shapes = made
  rng = np.arange(60) / 60 * 2 * np.pi
  weights = np.zeros([60, template.num_blendshapes])
  for name, speed in (("jawOpen", 2), ("eyeBlink_L", 3), ("eyeBlink_R", 4)):
    column = template.blendshape_names.index(name)
    weights[:, column] = 0.5 - 0.5 * np.cos(speed * rng)
  # Others take part, as they do in a clip.
  others = np.random.default_rng(0).uniform(0, 0.15, weights.shape)
  weights = np.where(weights.any(axis=0), weights, others)
  ours = template.vertices[template.landmark_vertices] + np.tensordot(
    weights, template.blendshape_deltas[:, template.landmark_vertices], 1
  )
  theirs = doll.vertices[doll.landmarks] + np.tensordot(
    weights, shapes[:, doll.landmarks], 1
  )
  ours, theirs = ours[..., :2], theirs[..., :2]
  assert correlation(mouth_opening(ours), mouth_opening(theirs)) >= 0.85
  for side in range(2):
    opening = eye_opening(theirs)[:, side]
    assert correlation(eye_opening(ours)[:, side], opening) >= 0.85
    # The eyes are four times as high as a person's, and still close by the same share.
    assert opening.min() < 0.35 * opening.max()


def test_puppet_s_other_parts_stay(template, made):
  doll, shapes = made
  on_face = np.zeros(len(doll.vertices), bool)
  on_face[: np.unique(doll.landmarks).max() + 1] = True
  balls = np.arange(len(doll.vertices)) >= len(doll.vertices) - 3 * 96
  # The hat and the eyeballs hang together with no landmark.
  assert np.abs(shapes[:, balls]).max() < 1e-3
  forehead = doll.vertices[:, 1] > 0.9 * puppet.HEIGHT
  jaw = template.blendshape_names.index("jawOpen")
  assert np.abs(shapes[jaw][forehead]).max() < 0.1 * np.abs(shapes[jaw]).max()


def test_transfer_does_not_depend_on_unit_and_pose(template, made):
  doll, shapes = made
  turn = Rotation.from_euler("xyz", [0.4, 0.2, -0.3])
  moved = transfer_blendshapes(
    template.vertices,
    template.blendshape_deltas[:3],
    template.triangles,
    template.landmark_vertices,
    turn.apply(doll.vertices) * 0.01 + [5, 0, 0],
    *doll[1:],
  )
  expected = np.stack([turn.apply(shape) for shape in shapes[:3]]) * 0.01
  # A choice between equally near triangles may fall otherwise.
  error = np.linalg.norm(moved - expected, axis=-1)
  assert np.quantile(error, 0.99) < 0.05 * np.abs(expected).max()
