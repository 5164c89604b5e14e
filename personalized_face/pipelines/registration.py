"""Registers the template, or another mesh, to a target and writes correspondences."""

import numpy as np

from personalized_face.authoring.cache import DEFAULT, load_template
from personalized_face.core.errors import UserError
from personalized_face.evaluation.meshes import Mesh, read_landmarks, read_mesh
from personalized_face.evaluation.registration import register, save_correspondence
from personalized_face.export.obj import METRES_PER_DECIMETRE, write_obj


def register_files(
  target: str,
  landmarks: str,
  output: str,
  template: str = DEFAULT,
  bent: str | None = None,
  source: str | None = None,
  source_landmarks: str | None = None,
) -> tuple[float, float]:
  """What `pface_register` does.

  Args:
    target: a mesh file.
    landmarks: points on it, see `read_landmarks`.
    output: gets the correspondences.
    template: "default" or a path; what is registered unless `source` is given.
    bent: gets the registered mesh in the target's frame and unit, .obj.
    source: another mesh file to register.
    source_landmarks: lines "iBUG index, vertex" of that mesh.

  Returns:
    The share of the vertices that have a correspondence, and their mean distance from
    the target as a share of the face's extent.

  Raises:
    UserError: a file is missing or damaged, or too few landmarks are in common.
  """
  mesh, vertex_of = _source(template, source, source_landmarks)
  marks = read_landmarks(landmarks)
  common = [index for index in marks if index in vertex_of]
  scan = read_mesh(target)
  if not len(scan.triangles):
    raise UserError(f"{target} has no triangles; a surface is needed.")
  try:
    placed, match = register(
      mesh,
      scan,
      [vertex_of[index] for index in common],
      np.array([marks[index] for index in common]).reshape(-1, 3),
    )
  except ValueError as error:
    raise UserError(f"{target} cannot be registered: {error}.") from error
  save_correspondence(output, match)
  if bent:
    # write_obj turns decimetres into metres; the target's unit is to stay.
    write_obj(bent, placed / METRES_PER_DECIMETRE, mesh.triangles)
  away = np.linalg.norm(placed - match.points(scan.vertices), axis=-1)[match.valid]
  extent = np.ptp(placed, axis=0).max()
  distance = float(away.mean() / extent) if away.size else float("nan")
  return float(match.valid.mean()), distance


def _source(
  template: str, source: str | None, source_landmarks: str | None
) -> tuple[Mesh, dict[int, int]]:
  """The mesh to register and {iBUG index: vertex}."""
  if source is None:
    face = load_template(template)
    vertices = np.asarray(face.vertices, np.float64)
    marks = dict(enumerate(face.landmark_vertices.tolist()))
    return Mesh(vertices, face.triangles.astype(np.int64)), marks
  if source_landmarks is None:
    raise UserError("--source needs --source_landmarks, the vertices of its points.")
  try:
    rows = np.loadtxt(source_landmarks, dtype=np.int64, ndmin=2)
    return read_mesh(source), {int(index): int(vertex) for index, vertex in rows}
  except (OSError, ValueError) as error:
    raise UserError(
      f"{source_landmarks} is not a list of index and vertex ({error})."
    ) from error
