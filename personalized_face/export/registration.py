"""Which triangle of our face corresponds to which of a foreign one.

    68 landmarks on both --similarity--> the foreign mesh, in our face's space
      --thin plate through the landmarks--> our face, roughly on it
      --nearest points, Laplacian regularised--> our face, on its surface
      --nearest triangle with a like normal--> correspondence

As Sumner and Popovic (2004), section 5, with the landmarks as their markers and a
quadratic instead of their identity-and-smoothness energy: a sparse solve an iteration.
What lies far from our face (hair, neck, the back of the head) and parts that hang
together with no landmark (eyeballs, teeth) correspond to nothing and stay.
"""

import numpy as np
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from personalized_face.core import topology
from personalized_face.core.types import NUM_CONTOUR

# Weights of smoothness from loose to close; a landmark counts as much as ten points.
_STIFFNESS = (30.0, 10.0, 3.0, 1.0)
_LANDMARK_WEIGHT = 10.0
_LIKE_NORMAL = 0.3  # least cosine between normals that correspond
_FAR_SHARE = 0.06  # of the face's height: farther than this corresponds to nothing
_CANDIDATES = 12  # nearest triangles that are looked at


def register(
  vertices: np.ndarray,
  triangles: np.ndarray,
  landmarks: np.ndarray,
  foreign: np.ndarray,
  foreign_triangles: np.ndarray,
  foreign_landmarks: np.ndarray,
) -> np.ndarray:
  """Bends our face onto a foreign one that lies in the same space.

  Args:
    vertices, triangles, landmarks: ours, [V, 3], [T, 3] and [68] vertex indices.
    foreign, foreign_triangles, foreign_landmarks: theirs, aligned to ours.

  Returns:
    [V, 3] our vertices on their surface.
  """
  marks, first = np.unique(landmarks, return_index=True)
  goals = foreign[foreign_landmarks][first]
  # Two landmarks may share a place on a coarse mesh: smoothing keeps this solvable.
  bent = RBFInterpolator(vertices[marks], goals, smoothing=1e-6)(vertices)
  samples, sample_normals = _samples(foreign, foreign_triangles)
  tree = cKDTree(samples)
  laplacian = topology.uniform_laplacian(triangles, len(vertices))
  smooth = (laplacian.T @ laplacian).tocsc()
  normals = topology.VertexNormals(triangles, len(vertices))
  reach = _FAR_SHARE * np.ptp(vertices[:, 1])
  for stiffness in _STIFFNESS:
    distance, nearest = tree.query(bent)
    facing = normals(bent.astype(np.float32)).numpy()
    like = (facing * sample_normals[nearest]).sum(1) > _LIKE_NORMAL
    weights = np.where(like & (distance < reach), 1.0, 0.0)
    goal = samples[nearest]
    weights[marks], goal[marks] = _LANDMARK_WEIGHT, goals
    # Smooth is the change from the present shape, so that no feature is ironed out.
    right = stiffness * (smooth @ bent) + weights[:, np.newaxis] * goal
    system = stiffness * smooth + sparse.diags(weights + 1e-6)
    bent = splu(system.tocsc()).solve(right + 1e-6 * bent)
  return bent


def correspondences(
  registered: np.ndarray,
  triangles: np.ndarray,
  foreign: np.ndarray,
  foreign_triangles: np.ndarray,
  foreign_landmarks: np.ndarray,
) -> np.ndarray:
  """For each foreign triangle one of ours, -1 where none corresponds.

  Args:
    registered: [V, 3] of `register`.
    triangles: [T, 3] ours.
    foreign, foreign_triangles: [X, 3] and [Y, 3].
    foreign_landmarks: [68]; parts of the mesh without one correspond to nothing.

  Returns:
    [Y] int.
  """
  centres, normals = _centres(registered, triangles)
  wanted, wanted_normals = _centres(foreign, foreign_triangles)
  count = min(_CANDIDATES, len(centres))
  distance, nearest = cKDTree(centres).query(wanted, k=count)
  distance, nearest = distance.reshape(-1, count), nearest.reshape(-1, count)
  cosine = np.einsum("tkc,tc->tk", normals[nearest], wanted_normals)
  # An upper lip's triangle next to a lower lip's faces the other way.
  cost = np.where(cosine > _LIKE_NORMAL, distance, np.inf)
  best = cost.argmin(axis=1)
  rows = np.arange(len(wanted))
  near = cost[rows, best] < _FAR_SHARE * np.ptp(registered[:, 1])
  attached = _attached(foreign_triangles, len(foreign), foreign_landmarks)
  return np.where(near & attached, nearest[rows, best], -1)


def _attached(triangles: np.ndarray, count: int, landmarks: np.ndarray) -> np.ndarray:
  """Whether each triangle hangs together with a landmark, [T] bool."""
  graph = topology.adjacency(triangles, count)
  labels = connected_components(graph, directed=False)[1]
  return np.isin(labels[triangles[:, 0]], np.unique(labels[landmarks]))


def _centres(
  vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Centroids and unit normals of the triangles, [T, 3] each."""
  normals = topology.triangle_normals(vertices, triangles).numpy()
  return vertices[triangles].mean(axis=1), normals


def _samples(
  vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Points of a surface and their normals: 10 a triangle, its corners among them."""
  shares = np.array([(i, j, 3 - i - j) for i in range(4) for j in range(4 - i)]) / 3
  points = np.einsum("sk,tkc->tsc", shares, vertices[triangles])
  _, normals = _centres(vertices, triangles)
  return points.reshape(-1, 3), np.repeat(normals, len(shares), axis=0)


def jaw_free(landmarks: np.ndarray) -> np.ndarray:
  """The landmarks behind the contour of the jaw, for an alignment."""
  return landmarks[NUM_CONTOUR:]
