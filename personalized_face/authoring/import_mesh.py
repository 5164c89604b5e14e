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
# Their distance in the default template; a face within a factor of 1.4 of it is a
# person's: the unit was understood.
EYES_DM = 0.88
_EYES_FACTOR = 1.4
UNITS_DM = {
  **{"millimetre": 0.01, "centimetre": 0.1, "inch": 0.254, "decimetre": 1.0},
  "metre": 10.0,
}
# How far, as a share of that distance, the eyes' middle may lie beside the mesh's.
_MIDDLE_SHARE = 0.04
# Size at which a mesh of unknown unit is first shown to the detector.
_SHOWN_DM = 2.2


class Source(NamedTuple):
  """A mesh with its blendshapes as read: y up, z out of the face."""

  name: str
  source: str
  licence: str
  mesh: ObjMesh
  deltas: dict[str, np.ndarray]  # blendshape -> [V, 3]
  landmarks: np.ndarray | None  # [68] anatomical vertices, or None: only the detector's
  unit_dm: float | None  # length of its unit; None: guessed from the eyes' distance


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
    UserError: the mesh is no clean surface, has no UV layout, is no face's size, or
      there are neither landmarks nor a face in its renders.
  """
  split = charts.unweld(source.mesh)
  deltas = {name: delta[split.source] for name, delta in source.deltas.items()}
  draft = _draft(source, split, uv_size)
  if source.landmarks is None:
    draft = _first_landmarks(draft, deltas, detect)
  draft, scale = _placed(draft, source.unit_dm)
  draft = _with_shapes(draft, {name: scale * delta for name, delta in deltas.items()})
  tiles = charts.tile_places(split)
  mirror = symmetry.mirror_map(draft.vertices, *tiles)
  draft = dataclasses.replace(draft, mirror_vertices=mirror)
  return _painted(_openings_closed(draft, split.source), detect)


def _with_shapes(draft: FaceTemplate, shapes: dict[str, np.ndarray]) -> FaceTemplate:
  """Adds those shapes that move something here, in dm; says which do not."""
  names = sorted(shapes, key=str.lower)
  moved = {n: np.linalg.norm(shapes[n], axis=-1).max() > EMPTY_DM for n in names}
  empty = [name for name in names if not moved[name]]
  if empty:
    logging.warning(
      "%d blendshapes move nothing here and are left out: %s.",
      *(len(empty), ", ".join(empty)),
    )
  names = [name for name in names if moved[name]]
  if not names:
    raise UserError(f"No blendshape of {draft.name!r} moves anything in this region.")
  side = draft.uv_size
  return dataclasses.replace(
    draft,
    blendshape_names=tuple(names),
    blendshape_deltas=np.stack([shapes[name] for name in names]).astype(np.float32),
    attention_masks=np.zeros([side, side, len(names)], np.float32),
  )


def _draft(source: Source, split: charts.Charts, size: int) -> FaceTemplate:
  """Mesh and layout; no shapes, openings or maps yet, and in the source's unit."""
  landmarks = np.zeros(NUM_LANDMARKS, np.int32)
  if source.landmarks is not None:
    # The first of a vertex's copies.
    landmarks = np.searchsorted(split.source, source.landmarks).astype(np.int32)
    known = np.isin(source.landmarks, split.source)
    if not known.all():
      raise UserError(
        f"A landmark of {source.name!r} lies outside the chosen part of the mesh; take "
        "a larger region or other landmarks."
      )
  parsing = np.zeros([size, size, NUM_PARSING_CLASSES], np.float32)
  parsing[..., PARSING_CLASSES.index("skin")] = 1
  count = len(split.vertices)
  return FaceTemplate(
    name=source.name,
    source=source.source,
    licence=source.licence,
    vertices=split.vertices.astype(np.float32),
    triangles=split.triangles,
    hole_triangles=np.zeros([0, 3], np.int32),
    uv=charts.pack(split, size).astype(np.float32),
    blendshape_names=(),
    blendshape_deltas=np.zeros([0, count, 3], np.float32),
    attention_masks=np.zeros([size, size, 0], np.float32),
    mean_albedo=np.zeros([size, size, 3], np.float32) + np.float32(0.7),
    parsing_map=parsing,
    landmark_vertices=landmarks,
    mirror_vertices=np.arange(count, dtype=np.int32),
  )


def _placed(draft: FaceTemplate, unit_dm: float | None) -> tuple[FaceTemplate, float]:
  """Scales to decimetres, and moves the origin to where the default template has it.

  Returns:
    The draft, and decimetres per unit of the source.
  """
  corners = draft.vertices[draft.anatomical_landmarks[_OUTER_CORNERS]].astype(float)
  distance = np.linalg.norm(corners[0] - corners[1])
  if unit_dm is None:
    misfit = {u: abs(np.log(d * distance / EYES_DM)) for u, d in UNITS_DM.items()}
    unit = min(misfit, key=misfit.get)
    logging.info("The unit of %r is taken for the %s.", draft.name, unit)
    unit_dm = UNITS_DM[unit]
  if not 1 / _EYES_FACTOR < unit_dm * distance / EYES_DM < _EYES_FACTOR:
    raise UserError(
      f"The eyes of {draft.name!r} would lie {unit_dm * distance:.3g} dm apart (outer "
      f"corners), people's do {EYES_DM} dm; give the unit's length by --mm_per_unit."
    )
  middle = corners.mean(0)
  # Landmarks are vertices: the middle of a symmetric mesh is known better by its sides.
  sides = (draft.vertices[:, 0].min() + draft.vertices[:, 0].max()) / 2
  if abs(sides - middle[0]) < _MIDDLE_SHARE * distance:
    middle[0] = sides
  shift = np.array([0, *EYE_CORNERS_DM]) - unit_dm * middle
  vertices = (unit_dm * draft.vertices.astype(np.float64) + shift).astype(np.float32)
  return dataclasses.replace(draft, vertices=vertices), unit_dm


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
  uv = charts.with_room(uv, draft.vertices, draft.triangles, borders)
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


def _first_landmarks(
  draft: FaceTemplate,
  deltas: dict[str, np.ndarray],
  detect: placement.Detect | None,
) -> FaceTemplate:
  """Landmarks of a mesh that came without, whatever its unit: the detector's own."""
  low, high = draft.vertices.min(0), draft.vertices.max(0)
  scale = _SHOWN_DM / (high - low)[:2].max()
  shown = (draft.vertices - (low + high) / 2) * scale
  seen = dataclasses.replace(draft, vertices=shown.astype(np.float32))
  seen = _with_shapes(seen, {name: scale * delta for name, delta in deltas.items()})
  found = placement.detect_points(seen, detect) if detect else None
  if found is None:
    raise UserError(
      f"The detector finds no face in renders of {draft.name!r}; give its 68 landmarks "
      "in a file (--landmarks), and see that it looks along +z with y up."
    )
  marks = placement.nearest_vertices(found[list(regions.IBUG68)], seen.vertices)
  return dataclasses.replace(draft, landmark_vertices=marks, anatomical_landmarks=marks)
