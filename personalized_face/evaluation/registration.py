"""Non-rigid registration: where on a foreign mesh each vertex of ours belongs.

    ours --landmarks, ICP--> over the target --ever softer bending--> on the target
         --nearest place--> a triangle of the target and barycentric coordinates each

As Amberg, Romdhani and Vetter (CVPR 2007), with one displacement a vertex, held
together by the Laplacian of the displacement, and stiffness that falls from round to
round. The result, a Correspondence, turns any mesh of the target's topology into points
for our vertices: one file serves a whole data set of one topology (FaceWarehouse), one
a scan serves scans without (BU-3DFE).
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from personalized_face.core import topology
from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.evaluation.meshes import Mesh
from personalized_face.export.files import replacing
from personalized_face.metrics.alignment import align, icp
from personalized_face.metrics.surface_distance import MeshDistance

FORMAT_VERSION = 1
_MOST_BYTES = 1 << 30  # that a file may unpack to; 12,264 vertices take half a MB
# Weight of the displacement's Laplacian against a vertex' own distance, round by round.
STIFFNESS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
_ROUNDS = 3  # of closest points at each stiffness
_LANDMARK_WEIGHT = 20.0  # of a marked vertex, as long as the mesh is stiff
_FACING = 0.5  # cosine: a place whose surface faces elsewhere is no partner


class Correspondence(NamedTuple):
  """For each of V source vertices a place on a target topology of U vertices."""

  triangles: np.ndarray  # [V, 3] int, the target's vertices at the corners
  barycentrics: np.ndarray  # [V, 3]
  valid: np.ndarray  # [V] bool; False where the target has nothing that corresponds
  target_vertices: int  # U

  def points(self, vertices: np.ndarray) -> np.ndarray:
    """[U, 3] of a mesh of the target's topology to [V, 3].

    Raises:
      ValueError: a mesh of another size.
    """
    if len(vertices) != self.target_vertices:
      raise ValueError(
        f"the correspondences are for {self.target_vertices} vertices, the mesh has "
        f"{len(vertices)}"
      )
    return np.einsum("vc,vcd->vd", self.barycentrics, vertices[self.triangles])


def register(
  source: Mesh,
  target: Mesh,
  source_landmarks: Sequence[int],
  target_landmarks: np.ndarray,
  stiffness: Sequence[float] = STIFFNESS,
  reject: float = 0.05,
  largest_distance: float = 0.01,
) -> tuple[np.ndarray, Correspondence]:
  """Bends one mesh over another.

  Args:
    source: ours, any unit.
    target: the scan, any unit; its own scale is found.
    source_landmarks: vertices of the source.
    target_landmarks: [P, 3] the same points on the target, in its unit; at least 4.
    stiffness: see STIFFNESS.
    reject: a partner farther than this share of the source's extent is none.
    largest_distance: a vertex that ends farther from the target than this share of the
      extent, or at the target's border, has no correspondence.

  Returns:
    The bent source [V, 3] in the target's frame and unit, and where it lies.

  Raises:
    ValueError: too few landmarks.
  """
  marked = np.asarray(source_landmarks)
  if len(marked) < 4:
    raise ValueError(f"{len(marked)} landmarks do not place a face; give at least 4")
  surface = MeshDistance(target.vertices, target.triangles)
  start = align(source.vertices[marked], target_landmarks, with_scale=True)
  start = icp(source.vertices, surface, start, with_scale=False, keep=0.8)
  rigid = start(source.vertices)
  extent = np.ptp(rigid, axis=0).max()
  laplacian = topology.uniform_laplacian(source.triangles, len(rigid))
  bending = (laplacian.T @ laplacian).tocsc()
  facing_target = topology.triangle_normals(target.vertices, target.triangles).numpy()
  normals = topology.VertexNormals(source.triangles, len(rigid))
  moved = rigid
  for alpha in stiffness:
    for _ in range(_ROUNDS):
      distances, places, index, barycentrics = surface.locate(moved)
      facing = normals(moved.astype(np.float32)).numpy()
      cosine = np.sum(facing * facing_target[index], axis=-1)
      # What lies beyond the target's border would all be drawn onto it.
      beyond = _at_border(target.triangles, index, barycentrics)
      partner = (distances < reject * extent) & (cosine > _FACING) & ~beyond
      weights = partner.astype(float)
      goals = places - rigid
      # Landmarks lead while the mesh is stiff, and let go as it softens.
      weights[marked] = _LANDMARK_WEIGHT * alpha / stiffness[0] + weights[marked]
      share = _LANDMARK_WEIGHT * alpha / stiffness[0] / weights[marked, np.newaxis]
      goals[marked] += share * (target_landmarks - places[marked])
      system = (scipy.sparse.diags(weights) + alpha * bending).tocsc()
      # A hair's breadth of regularisation: a piece without any partner stays solvable.
      system = system + 1e-8 * scipy.sparse.identity(len(rigid), format="csc")
      solve = scipy.sparse.linalg.splu(system)
      moved = rigid + solve.solve(weights[:, np.newaxis] * goals)
  distances, _, index, barycentrics = surface.locate(moved)
  valid = distances < largest_distance * extent
  valid &= ~_at_border(target.triangles, index, barycentrics)
  return moved, Correspondence(
    target.triangles[index], barycentrics, valid, len(target.vertices)
  )


def save_correspondence(path: str, correspondence: Correspondence) -> None:
  """Writes a `.npz`, under its name only once it is complete."""
  with replacing(path) as temporary:
    with open(temporary, "wb") as file:
      np.savez_compressed(
        file, format_version=np.array(FORMAT_VERSION), **correspondence._asdict()
      )


def load_correspondence(path: str) -> Correspondence:
  """Reads one.

  Raises:
    UserError: missing or not such a file.
  """
  remedy = "make it with `pface_register`"
  if not os.path.isfile(path):
    raise UserError(f"There are no correspondences {path}; {remedy}.")
  try:
    data = read_npz(path, _MOST_BYTES)
    version = int(data.pop("format_version"))
    if version != FORMAT_VERSION:
      raise ValueError(f"format {version}")
    data["target_vertices"] = int(data["target_vertices"])
    result = Correspondence(**data)
    _check(result)
  except (KeyError, TypeError, ValueError, OverflowError) as error:
    raise UserError(f"{path} is no correspondence file ({error}); {remedy}.") from error
  return result


def _check(correspondence: Correspondence) -> None:
  """Raises ValueError, naming the field, unless every place is on the target."""
  count = len(np.atleast_1d(correspondence.valid))
  for name, shape, kinds in (
    ("triangles", (count, 3), "iu"),
    ("barycentrics", (count, 3), "f"),
    ("valid", (count,), "b"),
  ):
    array = getattr(correspondence, name)
    if array.shape != shape or array.dtype.kind not in kinds:
      raise ValueError(f"{name} is {array.dtype}{array.shape}")
  corners = correspondence.triangles
  if corners.size and not 0 <= corners.min() <= corners.max() < (
    correspondence.target_vertices
  ):
    raise ValueError("triangles point outside the target")
  if not np.isfinite(correspondence.barycentrics).all():
    raise ValueError("barycentrics are not finite")


def _at_border(
  triangles: np.ndarray, index: np.ndarray, barycentrics: np.ndarray
) -> np.ndarray:
  """Which places lie on an edge that only one triangle has."""
  pairs = np.sort(triangles[:, [[1, 2], [2, 0], [0, 1]]], axis=-1)  # opposite corners
  _, inverse, counts = np.unique(
    pairs.reshape(-1, 2), axis=0, return_inverse=True, return_counts=True
  )
  lonely = (counts == 1)[inverse.ravel()].reshape(-1, 3)
  return np.any(lonely[index] & (barycentrics < 1e-6), axis=-1)
