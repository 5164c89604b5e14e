"""Deformation transfer: our blendshapes on a foreign neutral mesh.

Sumner and Popovic 2004, the paper's [43]: the deformation gradient of each triangle of
ours, S_0 -> S_i, is given to the triangle that corresponds to it, and the foreign
vertices are those whose gradients agree best. With u the displacement, G the gradient
operator of the foreign neutral, A its areas and S_t the gradient to be had at t:

    min_u sum_t A_t ||G_t u - (S_t - I)^T||^2 + e sum_v m_v ||u_v - d_v||^2

The first term is the paper's in the form of Botsch et al. 2006 (a Poisson system, whose
result is the same); the second, small, settles the translation that gradients leave
open: d_v is the displacement of our nearest vertex, 0 where nothing corresponds. One
factorisation serves every blendshape.

Skin alone does not know how far a lid has to go: on a face with large eyes the same
stretch of the same skin closes a fraction of the eye. So the eyes' openings take part,
as triangles across them between the lids' landmarks: they correspond by construction,
and shrink on both faces by the same share. (Closed lips span no area to take a share
of; the jaw's skin carries the mouth.)
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from personalized_face.export.registration import correspondences, jaw_free, register
from personalized_face.metrics.alignment import align

_ANCHOR = 1e-4  # e, over the mean vertex area
_STILL = 1e-2  # e of vertices that correspond to nothing
_OPENING_WEIGHT = 3.0  # of the eyes' openings, over that of skin of the same area
# Corner, upper, upper, corner, lower, lower of each eye (iBUG), as triangles.
_ACROSS = ((0, 5, 1), (1, 5, 4), (1, 4, 2), (2, 4, 3))
EYE_TRIANGLES = np.array(
  [[36 + i for i in t] for t in _ACROSS] + [[42 + i for i in t] for t in _ACROSS]
)
_LEAST_AREA_SHARE = 1e-6  # of the mean: a smaller triangle carries no gradient


def transfer_blendshapes(
  neutral: np.ndarray,
  displacements: np.ndarray,
  triangles: np.ndarray,
  landmarks: np.ndarray,
  foreign: np.ndarray,
  foreign_triangles: np.ndarray,
  foreign_landmarks: np.ndarray,
) -> np.ndarray:
  """Makes the blendshapes of a foreign mesh of any topology.

  Args:
    neutral: [V, 3] ours.
    displacements: [K, V, 3] of our blendshapes.
    triangles: [T, 3].
    landmarks: [68] vertices of ours.
    foreign: [X, 3] in any unit and orientation.
    foreign_triangles: [Y, 3].
    foreign_landmarks: [68] vertices of theirs.

  Returns:
    [K, X, 3] displacements, in the foreign mesh's own unit and axes.
  """
  neutral, foreign = np.asarray(neutral, np.float64), np.asarray(foreign, np.float64)
  into = align(
    foreign[jaw_free(foreign_landmarks)], neutral[jaw_free(landmarks)], with_scale=True
  )
  theirs = into(foreign)
  registered = register(
    neutral, triangles, landmarks, theirs, foreign_triangles, foreign_landmarks
  )
  match = correspondences(
    registered, triangles, theirs, foreign_triangles, foreign_landmarks
  )
  nearest = cKDTree(registered).query(theirs)[1]
  openings = np.arange(len(EYE_TRIANGLES))
  weights = np.where(
    np.arange(len(match) + len(openings)) < len(match), 1.0, _OPENING_WEIGHT
  )
  moved = transfer(
    neutral,
    displacements,
    np.concatenate([triangles, landmarks[EYE_TRIANGLES]]),
    theirs,
    np.concatenate([foreign_triangles, foreign_landmarks[EYE_TRIANGLES]]),
    np.concatenate([match, len(triangles) + openings]),
    nearest,
    weights,
  )
  return into.inverse().vectors(moved)


def transfer(
  neutral: np.ndarray,
  displacements: np.ndarray,
  triangles: np.ndarray,
  foreign: np.ndarray,
  foreign_triangles: np.ndarray,
  match: np.ndarray,
  nearest: np.ndarray,
  weights: np.ndarray | float = 1.0,
) -> np.ndarray:
  """Solves the above for given correspondences.

  Args:
    neutral, displacements, triangles: ours.
    foreign, foreign_triangles: theirs, in our space.
    match: [Y] our triangle for each of theirs, or -1.
    nearest: [X] our vertex for each of theirs, for the translation.
    weights: [Y] of the triangles, over their areas.

  Returns:
    [K, X, 3] displacements in our space.
  """
  gradient, areas = gradient_operator(foreign, foreign_triangles)
  areas = np.repeat(areas * weights, 3)
  weighted = (sparse.diags_array(areas) @ gradient).T.tocsr()
  count, matched = len(foreign), match >= 0
  moving = np.zeros(count, bool)
  moving[foreign_triangles[matched]] = True
  anchors = np.where(moving, _ANCHOR, _STILL)
  factors = splu((weighted @ gradient + sparse.diags_array(anchors)).tocsc())
  before = frames(neutral, triangles[match[matched]])
  inverse = np.linalg.pinv(before)
  result = np.empty([len(displacements), count, 3])
  for i, displacement in enumerate(np.asarray(displacements, np.float64)):
    after = frames(neutral + displacement, triangles[match[matched]])
    change = np.zeros([len(match), 3, 3])
    change[matched] = (after @ inverse - np.eye(3)).transpose(0, 2, 1)
    goal = np.where(moving[:, np.newaxis], displacement[nearest], 0)
    right = weighted @ change.reshape(-1, 3) + anchors[:, np.newaxis] * goal
    result[i] = factors.solve(right)
  return result


def frames(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
  """[T, 3, 3], columns two sides and the fourth vertex n / sqrt|n| of a triangle."""
  a, b, c = (vertices[triangles[:, i]] for i in range(3))
  normal = np.cross(b - a, c - a)
  length = np.linalg.norm(normal, axis=1, keepdims=True)
  fourth = normal / np.sqrt(np.maximum(length, 1e-16))
  return np.stack([b - a, c - a, fourth], axis=-1)


def gradient_operator(
  vertices: np.ndarray, triangles: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray]:
  """The gradient of a function on the vertices, constant in each triangle.

  Args:
    vertices: [V, 3].
    triangles: [T, 3].

  Returns:
    [3 T, V], rows d/dx, d/dy, d/dz of each triangle in turn; and the areas [T]. A
    triangle without area has zeros.
  """
  corners = vertices[triangles]
  normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  double = np.linalg.norm(normal, axis=1)
  sound = double > _LEAST_AREA_SHARE * double.mean()
  safe = np.where(sound, double, 1.0)
  # The gradient of corner i's hat function: n x (opposite side) / (2 A).
  opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
  unit = (normal / safe[:, np.newaxis])[:, np.newaxis]
  hats = np.cross(unit, opposite) / safe[:, np.newaxis, np.newaxis]
  hats[~sound] = 0
  count = len(triangles)
  rows = 3 * np.arange(count)[:, np.newaxis, np.newaxis] + np.arange(3)
  rows = np.broadcast_to(rows, [count, 3, 3])
  columns = np.broadcast_to(triangles[:, :, np.newaxis], [count, 3, 3])
  operator = sparse.csr_array(
    (hats.ravel(), (rows.ravel(), columns.ravel())), shape=(3 * count, len(vertices))
  )
  return operator, double / 2
