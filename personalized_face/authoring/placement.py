"""Where a detector's 478 points lie on a mesh.

A detector's points and anatomical ones differ by up to 12 px at the jaw and 4-9 px at
the brows (DESIGN section 5). So the detector itself is run on renders of the mesh from
several sides, and its points are lifted to the surface. They give the template's 68
landmarks and, by the polygons that label the pictures' pixels, its parsing map.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from absl import logging
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from personalized_face.authoring import control_points
from personalized_face.authoring.preview import Viewer
from personalized_face.authoring.symmetry import asymmetry
from personalized_face.core import mediapipe_regions as regions
from personalized_face.metrics.alignment import align
from personalized_face.rendering.rasterize import rasterize
from personalized_face.template.face_template import FaceTemplate

Detect = Callable[[np.ndarray], np.ndarray | None]  # [S, S, 3] uint8 -> [478, >=2] px

SIZE = 512  # of the renders, pixels
# Pitch and yaw, degrees. Beyond 40 the detector guesses the far side.
VIEWS = ((0, 0), (0, -20), (0, 20), (0, -38), (0, 38), (-12, 0), (12, 0))
_FAR_DM = 0.15  # from the middle of the face, on the side that is turned away
_SAMPLE_DM = 0.01  # spacing of the surface's samples
_MOST_SAMPLES = 12  # along the side of one triangle
_SYMMETRIC_DM = 0.01  # a mesh counts as symmetric below this


class Surface:
  """Points all over a mesh, to find the nearest one of."""

  def __init__(self, template: FaceTemplate):
    corners = template.vertices[template.triangles].astype(np.float64)
    side = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).mean()
    steps = int(np.clip(np.ceil(side / _SAMPLE_DM), 1, _MOST_SAMPLES))
    grid = [
      (i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)
    ]
    shares = np.array(grid) / steps  # [G, 3]
    self._vertices = template.vertices
    self._corners = np.repeat(template.triangles, len(shares), axis=0)
    self._shares = np.tile(shares, (len(corners), 1))
    self._tree = cKDTree(np.einsum("gk,tkc->tgc", shares, corners).reshape(-1, 3))

  def values_at(self, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [V, C] at the vertices, read at the nearest samples to points [P, 3]."""
    _, nearest = self._tree.query(points)
    corners, shares = self._corners[nearest], self._shares[nearest]
    return (np.asarray(values, np.float64)[corners] * shares[..., None]).sum(1)

  def snap(self, points: np.ndarray) -> np.ndarray:
    """The nearest samples themselves, [P, 3]."""
    return self._tree.data[self._tree.query(points)[1]]


class _Lifted(NamedTuple):
  """What one view says of the 478 points."""

  points: np.ndarray  # [478, 3] model space, dm
  weights: np.ndarray  # [478]


def detect_points(template: FaceTemplate, detect: Detect) -> np.ndarray | None:
  """Runs the detector on renders of the template, lifts and averages its points.

  Args:
    template: its albedo helps the detector, grey will do; landmarks are not read.
    detect: such as `MediaPipeDetector().detect`.

  Returns:
    [478, 3] points of the surface, model space, dm; None where no view shows a face.
  """
  points = _averaged(template, template.vertices, detect, VIEWS)
  if points is None:
    return None
  opened = _jaw_opened(template)
  if opened is not None:
    # Shut lips hide their inner contours.
    lips = _averaged(template, opened, detect, VIEWS[:3])
    if lips is not None:
      inner = list(regions.LIPS_INNER)
      points[inner] = lips[inner]
  surface = Surface(template)
  return surface.snap(symmetrised(points, template))


def symmetrised(points: np.ndarray, template: FaceTemplate) -> np.ndarray:
  """Averages the 478 points with their mirror images if the mesh is symmetric."""
  if asymmetry(template.vertices, template.mirror_vertices) > _SYMMETRIC_DM:
    return points
  _, mirror = control_points.read_measurement(control_points.default_path())
  return (points + points[mirror] * [-1, 1, 1]) / 2


def warp_points(template: FaceTemplate) -> np.ndarray:
  """Carries the measured mean of the 478 points over by the anatomical landmarks alone.

  For meshes in which the detector finds no face. The contour of the jaw is left out of
  the fit, since detectors place it elsewhere.

  Returns:
    [478, 3] points of the surface, dm.
  """
  measured, _ = control_points.read_measurement(control_points.default_path())
  marks = list(regions.IBUG68)[17:]
  target = template.vertices[template.anatomical_landmarks[17:]].astype(np.float64)
  aligned = align(measured[marks], target, with_scale=True)(measured)
  # Landmarks may share a vertex: smoothing keeps the system solvable.
  warp = RBFInterpolator(aligned[marks], target, smoothing=1e-6, degree=1)
  return Surface(template).snap(warp(aligned))


def nearest_vertices(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
  """The vertex nearest to each point, [P] int32."""
  return cKDTree(vertices).query(points)[1].astype(np.int32)


def _averaged(template, shape, detect, views) -> np.ndarray | None:
  """Weighted mean over the views in which a face is found, in the neutral's places."""
  viewer = Viewer(template, SIZE, holes=True)
  lifted = [_lift(viewer, shape, detect, (*view, 0)) for view in views]
  lifted = [one for one in lifted if one is not None]
  if not lifted:
    return None
  logging.info("A face was found in %d of %d renders.", len(lifted), len(views))
  weights = np.stack([one.weights for one in lifted])[..., None]
  return (np.stack([one.points for one in lifted]) * weights).sum(0) / weights.sum(0)


def _lift(viewer: Viewer, shape: np.ndarray, detect: Detect, degrees) -> _Lifted | None:
  """Runs the detector on one render, and carries its points onto the surface."""
  template = viewer.template
  found = detect(viewer.textured(shape[None], degrees)[0])
  if found is None:
    return None
  triangles = np.concatenate([template.triangles, template.hole_triangles])
  posed = viewer.posed(shape[None], degrees)
  buffer = rasterize(posed, triangles, viewer.camera)
  ids = buffer.triangle_ids.numpy()[0]
  rows, columns = np.nonzero((ids >= 0) & (ids < len(template.triangles)))
  pixels = np.stack([columns, rows], -1) + 0.5
  distance, nearest = cKDTree(pixels).query(found[:, :2])
  rows, columns = rows[nearest], columns[nearest]
  corners = triangles[ids[rows, columns]]
  shares = buffer.barycentrics.numpy()[0, rows, columns][..., None]
  points = (template.vertices[corners] * shares).sum(1)
  # A face seen edge-on, or a point beside the face, says little about depth.
  a, b, c = (posed.numpy()[0][corners[:, i]] for i in range(3))
  normal = np.cross(b - a, c - a)
  facing = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=-1), 1e-12)
  weights = np.clip(facing, 0.02, 1) ** 2 / (1 + (distance / 4) ** 2)
  measured, _ = control_points.read_measurement(control_points.default_path())
  # The far side of a turned head is the detector's guess; its points fall on the cheek.
  far = measured[:, 0] * np.sign(degrees[1]) > _FAR_DM
  return _Lifted(points, np.where(far, 1e-4 * weights, weights))


def _jaw_opened(template: FaceTemplate) -> np.ndarray | None:
  """The shape with its jaw half open, [V, 3], if a blendshape's name says so."""
  for name, delta in zip(
    template.blendshape_names, template.blendshape_deltas, strict=True
  ):
    if name.lower().replace("_", "") in ("jawopen", "mouthopen"):
      return template.vertices + 0.5 * delta
  return None
