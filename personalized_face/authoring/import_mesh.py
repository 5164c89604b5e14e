"""From a mesh, its blendshapes and its landmarks to a `FaceTemplate`.

What every importer ends in:

  polygons, UV -> triangles, packed and opened layout -> openings closed -> mirror map
  -> landmarks as the detector places them -> parsing map, mean albedo -> template
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face.authoring import (
  albedo,
  charts,
  holes,
  placement,
  symmetry,
)
from personalized_face.authoring.default_template import UV_SIZE
from personalized_face.authoring.obj_files import ObjMesh
from personalized_face.core import mediapipe_regions as regions
from personalized_face.core import topology
from personalized_face.core.errors import UserError
from personalized_face.core.types import (
  NUM_LANDMARKS,
  NUM_PARSING_CLASSES,
  PARSING_CLASSES,
)
from personalized_face.template import attention
from personalized_face.template.face_template import FaceTemplate

# A shape that moves no vertex by more counts as empty: the threshold of its mask.
EMPTY_DM = 0.001
# Outer corners of the eyes of the default template, from its origin: the point about
# which heads turn. Imported faces are put in the same place.
EYE_CORNERS_DM = (0.313, -0.121)  # y, z
_OUTER_CORNERS = [36, 45]  # iBUG


class Source(NamedTuple):
  """A mesh with its blendshapes, as read and in decimetres, z out of the face."""

  name: str
  source: str
  licence: str
  mesh: ObjMesh
  deltas: dict[str, np.ndarray]  # blendshape -> [V, 3]
  landmarks: np.ndarray | None  # [68] anatomical vertices, or None: only the detector's


def build_template(
  source: Source, detect: placement.Detect | None, uv_size: int = UV_SIZE
) -> FaceTemplate:
  """Builds the template.

  Args:
    source: what was read.
    detect: a detector's `detect`, which places landmarks and regions; None: they are
      placed by `source.landmarks`.
    uv_size: U, texels.

  Raises:
    UserError: the mesh is no clean surface, has no UV layout, or there are neither
      landmarks nor a face in its renders.
  """
  split = charts.unweld(source.mesh)
  names, deltas = _moving(source.deltas, split.source)
  uv = charts.pack(split, uv_size)
  draft = _draft(source, split, uv, names, deltas, uv_size)
  if source.landmarks is None:
    draft = _first_landmarks(draft, detect)
  draft = _openings_closed(draft, split.source)
  draft = _centred(draft)
  return _painted(draft, detect)


def _moving(shapes, source) -> tuple[tuple[str, ...], np.ndarray]:
  """The shapes that move something in the chosen region; says which do not."""
  chosen = {name: shapes[name][source] for name in sorted(shapes, key=str.lower)}
  empty = [
    name
    for name, delta in chosen.items()
    if np.linalg.norm(delta, axis=-1).max() <= EMPTY_DM
  ]
  if empty:
    logging.warning(
      "%d blendshapes move nothing here and are left out: %s.",
      *(len(empty), ", ".join(empty)),
    )
  names = tuple(name for name in chosen if name not in empty)
  deltas = np.zeros([len(names), len(source), 3], np.float32)
  for i, name in enumerate(names):
    deltas[i] = chosen[name]
  return names, deltas


def _draft(source, split, uv, names, deltas, size) -> FaceTemplate:
  """Everything but landmarks, openings and maps."""
  landmarks = np.zeros(NUM_LANDMARKS, np.int32)
  if source.landmarks is not None:
    # The first of a vertex's copies.
    landmarks = np.searchsorted(split.source, source.landmarks).astype(np.int32)
  parsing = np.zeros([size, size, NUM_PARSING_CLASSES], np.float32)
  parsing[..., PARSING_CLASSES.index("skin")] = 1
  return FaceTemplate(
    name=source.name,
    source=source.source,
    licence=source.licence,
    vertices=split.vertices.astype(np.float32),
    triangles=split.triangles,
    hole_triangles=np.zeros([0, 3], np.int32),
    uv=uv.astype(np.float32),
    blendshape_names=names,
    blendshape_deltas=deltas,
    attention_masks=np.zeros([size, size, len(names)], np.float32),
    mean_albedo=np.zeros([size, size, 3], np.float32) + np.float32(0.7),
    parsing_map=parsing,
    landmark_vertices=landmarks,
    mirror_vertices=symmetry.mirror_map(split.vertices, *charts.tile_places(split)),
  )


def _openings_closed(draft: FaceTemplate, source: np.ndarray) -> FaceTemplate:
  """Opens the slits in the layout, and closes the openings of the mesh by strips."""
  first = np.unique(source, return_index=True)[1]
  welded = first[np.searchsorted(source[first], source)]  # the first copy of each
  loops = holes.find_openings(
    draft.vertices, welded[draft.triangles], draft.anatomical_landmarks
  )
  uv = draft.uv.astype(np.float64)
  strips = []
  for loop in loops.values():
    rims = holes.split_rims(loop, uv)
    uv = charts.open_slit(uv, *rims, draft.uv_size)
    strips.append(holes.closing_strip(rims, uv))
  borders = np.concatenate(topology.boundary_loops(draft.triangles))
  uv = charts.unfolded(uv, draft.triangles, borders)
  folded = int((charts.signed_areas(uv, draft.triangles) >= 0).sum())
  if folded:
    logging.warning("%d triangles fold over in the UV layout.", folded)
  missing = sorted({"mouth", "left_eye", "right_eye"} - set(loops))
  if missing:
    logging.warning("The mesh has no opening for: %s.", ", ".join(missing))
  strips = strips or [draft.hole_triangles]
  return dataclasses.replace(
    draft,
    uv=np.clip(uv, 0, 1).astype(np.float32),
    hole_triangles=np.concatenate(strips).astype(np.int32),
  )


def _centred(draft: FaceTemplate) -> FaceTemplate:
  """Moves the origin to where the default template has it."""
  corners = draft.vertices[draft.anatomical_landmarks[_OUTER_CORNERS]].mean(0)
  shift = np.array([0, *EYE_CORNERS_DM], np.float32) - corners * [0, 1, 1]
  return dataclasses.replace(
    draft, vertices=(draft.vertices + shift).astype(np.float32)
  )


def _painted(draft: FaceTemplate, detect: placement.Detect | None) -> FaceTemplate:
  """Landmarks as the detector sees them, parsing map, albedo and masks.

  Twice with a detector: on grey first, then with the eyes and lips that the first
  round painted.
  """
  points = placement.warp_points(draft)
  template = _with_maps(draft, points)
  for _ in range(2 if detect else 0):
    found = placement.detect_points(template, detect)
    if found is None:
      logging.warning(
        "The detector finds no face in renders of %r: its landmarks and regions are "
        "placed by the anatomical landmarks alone.",
        draft.name,
      )
      break
    marks = placement.nearest_vertices(found[list(regions.IBUG68)], draft.vertices)
    template = dataclasses.replace(
      _with_maps(draft, found),
      landmark_vertices=marks,
      anatomical_landmarks=draft.anatomical_landmarks,
    )
  masks = attention.attention_masks(
    template.blendshape_deltas, template.uv, template.triangles, template.uv_size
  )
  return dataclasses.replace(template, attention_masks=masks)


def _with_maps(draft: FaceTemplate, points: np.ndarray) -> FaceTemplate:
  """Paints the maps from the 478 points' places in the layout."""
  uv = placement.Surface(draft).values_at(points, draft.uv)
  return dataclasses.replace(
    draft,
    mean_albedo=albedo.mean_albedo(uv, draft.uv_size),
    parsing_map=albedo.parsing_map(uv, draft.uv_size),
  )


def _first_landmarks(draft: FaceTemplate, detect: placement.Detect) -> FaceTemplate:
  """Landmarks of a mesh that came without: the detector's own."""
  found = placement.detect_points(draft, detect) if detect else None
  if found is None:
    raise UserError(
      f"The detector finds no face in renders of {draft.name!r}; give its 68 landmarks "
      "in a file (--landmarks), and see that it looks along +z with y up."
    )
  marks = placement.nearest_vertices(found[list(regions.IBUG68)], draft.vertices)
  return dataclasses.replace(draft, landmark_vertices=marks, anatomical_landmarks=marks)
