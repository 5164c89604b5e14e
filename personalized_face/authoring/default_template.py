"""The default face template, from measured control points and anatomy.

control points -> plane layout -> triangulation -> positions -> blendshapes -> maps.
No one else's mesh or blendshape fields are in it. See measure.py for what the control
points are, anatomy.py for how expressions are made, and expression_keys.py for what
their sizes were set against.
"""

import numpy as np

from personalized_face.authoring import (
  albedo,
  blendshapes,
  flips,
  landmark_offsets,
  layout,
  meshing,
  surface,
)
from personalized_face.authoring.anatomy import Rig
from personalized_face.authoring.control_points import (
  build_control_points,
  default_path,
)
from personalized_face.authoring.reference_landmarks import landmark_vertices
from personalized_face.core import mediapipe_regions as regions
from personalized_face.template import attention
from personalized_face.template.face_template import FaceTemplate

UV_SIZE = 128  # Section 4 of the paper
SOURCE = (
  "personalized_face.authoring: control points measured with MediaPipe FaceMesh on "
  "MIT and Apache-2.0 licensed clips, laid on the positions of 68 landmarks of "
  "ICT-FaceKit's neutral (MIT; both in data_specs/default_template), blendshapes keyed "
  "by hand after FACS, their sizes set against ICT-FaceKit's"
)


def build_default_template(control_points_path: str | None = None) -> FaceTemplate:
  """Builds the default template; deterministic.

  Args:
    control_points_path: a CSV of authoring/measure.py; None: the shipped one.

  Raises:
    UserError: the file is missing or not such a CSV.
  """
  points = build_control_points(control_points_path or default_path())
  plane = layout.flatten(points)
  mesh = meshing.triangulate(points, plane)
  vertices = surface.lift(points, plane, mesh)
  creases = [mesh.rims[name] for name in ("lips", "left_lids", "right_lids")]
  triangles = flips.mend(mesh.triangles, vertices, mesh.plane, mesh.mirror, creases)
  mesh = mesh._replace(triangles=triangles)
  free = np.ones(len(vertices), bool)
  free[np.concatenate([*mesh.rims.values(), mesh.control_vertices])] = False
  vertices = flips.relax(vertices, triangles, free, mesh.mirror)
  names, deltas = blendshapes.build_blendshapes(Rig(points, mesh, vertices))
  uv = layout.to_uv(mesh.plane).astype(np.float32)
  deltas = deltas.astype(np.float32)
  control_uv = uv[mesh.control_vertices]
  return FaceTemplate(
    name="default",
    source=SOURCE,
    licence="Apache-2.0",
    vertices=vertices.astype(np.float32),
    triangles=mesh.triangles,
    hole_triangles=surface.hole_strips(mesh),
    uv=uv,
    blendshape_names=names,
    blendshape_deltas=deltas,
    attention_masks=attention.attention_masks(deltas, uv, mesh.triangles, UV_SIZE),
    mean_albedo=albedo.mean_albedo(control_uv, UV_SIZE),
    parsing_map=albedo.parsing_map(control_uv, UV_SIZE),
    landmark_vertices=mesh.control_vertices[list(regions.IBUG68)],
    mirror_vertices=mesh.mirror,
    anatomical_landmarks=landmark_vertices(
      points.landmarks, vertices, mesh.mirror, mesh.rims
    ),
    landmark_offsets=landmark_offsets.read(landmark_offsets.default_path()),
  )
