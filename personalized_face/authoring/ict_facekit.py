"""ICT-FaceKit (light) as a face template, from its folder as published.

The release (Li et al. 2020, "Learning Formation of Physically-Based Face Attributes";
MIT licence) keeps one OBJ per shape in `FaceXModel/`, all with the same vertices, in
centimetres, x to the person's left, y up, z out of the face. Its README numbers the
geometry: face first, then head and neck, then sockets, teeth and eyes, which a template
has no use for.
"""

import glob
import json
import os
from collections.abc import Sequence

import numpy as np

from personalized_face.authoring import import_mesh, obj_files, placement
from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.template.face_template import FaceTemplate

FOLDER = "FaceXModel"
NEUTRAL = "generic_neutral_mesh.obj"
# Polygons of each region, from the first one on (tables of the release's README).
REGIONS = {"narrow_face": 6560, "face": 9230, "head_and_neck": 11144}
DM_PER_UNIT = 0.1
SOURCE = (
  "ICT-FaceKit light, USC Institute for Creative Technologies, "
  "https://github.com/ICT-VGL/ICT-FaceKit"
)


def build_ict_template(
  input_dir: str,
  detect: placement.Detect | None,
  region: str = "narrow_face",
  identity_weights: Sequence[float] = (),
) -> FaceTemplate:
  """Builds the template.

  Args:
    input_dir: the release's folder, or its `FaceXModel`.
    detect: see `import_mesh.build_template`.
    region: one of REGIONS.
    identity_weights: of the first identity modes, in their standard deviations; the
      neutral is then that person's. Empty: the mean face.

  Raises:
    UserError: a file is missing, damaged, or does not match the neutral.
  """
  folder = find_folder(input_dir)
  whole = obj_files.read_obj(os.path.join(folder, NEUTRAL))
  polygons = REGIONS[region]
  if len(whole.starts) - 1 < polygons:
    raise UserError(
      f"{os.path.join(folder, NEUTRAL)} has {len(whole.starts) - 1} polygons, the "
      f"region {region} of ICT-FaceKit {polygons}; give the folder as published."
    )
  mesh = whole.first_polygons(polygons)
  neutral = mesh.vertices.copy()
  for mode, weight in zip(
    identity_modes(folder, neutral, len(identity_weights)),
    identity_weights,
    strict=True,
  ):
    mesh.vertices[:] += weight * mode
  deltas = {
    name: (_matching(path, len(neutral)) - neutral) * DM_PER_UNIT
    for name, path in _expressions(folder).items()
  }
  name = f"ict_facekit_{region}"
  if len(identity_weights):
    name += "_identity_" + "_".join(f"{weight:g}" for weight in identity_weights)
  source = import_mesh.Source(
    name=name,
    source=SOURCE,
    licence="MIT",
    mesh=mesh._replace(vertices=mesh.vertices * DM_PER_UNIT),
    deltas=deltas,
    landmarks=_landmarks(folder, len(neutral)),
  )
  return import_mesh.build_template(source, detect)


def find_folder(input_dir: str) -> str:
  """The folder with the shapes, given it or the one above.

  Raises:
    UserError: neither has the neutral mesh.
  """
  for folder in (os.path.join(input_dir, FOLDER), input_dir):
    if os.path.isfile(os.path.join(folder, NEUTRAL)):
      return folder
  raise UserError(
    f"There is no {FOLDER}/{NEUTRAL} in {input_dir}; give ICT-FaceKit's folder as "
    "published."
  )


def identity_modes(folder: str, neutral: np.ndarray, count: int) -> np.ndarray:
  """The first identity modes, one standard deviation each.

  Args:
    folder: with `identity000.obj` and so on.
    neutral: [V, 3] in the release's unit.
    count: how many.

  Returns:
    [count, V, 3] in the release's unit.

  Raises:
    UserError: a file is missing or does not match.
  """
  modes = np.zeros([count, *neutral.shape])
  for i in range(count):
    path = os.path.join(folder, f"identity{i:03d}.obj")
    modes[i] = _matching(path, len(neutral)) - neutral
  return modes


def _expressions(folder: str) -> dict[str, str]:
  """Name -> path of every shape that is neither the neutral nor an identity mode."""
  paths = sorted(glob.glob(os.path.join(folder, "*.obj")))
  names = {os.path.splitext(os.path.basename(path))[0]: path for path in paths}
  shapes = {
    name: path
    for name, path in names.items()
    if f"{name}.obj" != NEUTRAL and not name.startswith("identity")
  }
  if not shapes:
    raise UserError(
      f"There is no blendshape in {folder}; give the folder as published."
    )
  return shapes


def _matching(path: str, count: int) -> np.ndarray:
  """Positions of a shape that has as many vertices as the neutral."""
  vertices = obj_files.read_vertices(path)
  if len(vertices) != count:
    raise UserError(
      f"{path} has {len(vertices)} vertices and the neutral {count}; give shapes of "
      "one mesh."
    )
  return vertices


def _landmarks(folder: str, count: int) -> np.ndarray:
  """The release's own 68 (Multi-PIE), [68] vertices."""
  path = os.path.join(folder, "vertex_indices.json")
  try:
    with open(path, encoding="utf-8") as file:
      landmarks = np.array(json.load(file)["idx_to_landmark_verts"], np.int64)
    if landmarks.shape != (NUM_LANDMARKS,) or not 0 <= landmarks.min() < count:
      raise ValueError(f"{landmarks.shape} landmarks")
  except (OSError, KeyError, ValueError, TypeError) as error:
    raise UserError(
      f"{path} has no 68 landmarks ({error}); give the folder as published."
    ) from error
  return landmarks
