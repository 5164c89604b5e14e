"""How far two templates agree: neutral surfaces, landmarks and blendshapes.

Used to hold the default template against a published model (ICT-FaceKit's narrow face).
The reference is laid on the template by the similarity that fits its 68 anatomical
landmarks best; all distances are then at the template's size, in millimetres.
"""

import json
import os
from typing import NamedTuple

import numpy as np

from personalized_face.authoring import ict_facekit
from personalized_face.authoring.cache import load_template
from personalized_face.core import topology
from personalized_face.metrics.alignment import align
from personalized_face.metrics.surface_distance import MeshDistance
from personalized_face.template.face_template import FaceTemplate

MM_PER_DM = 100.0
# A displacement counts where it is above this share of its shape's largest one.
MOVING_SHARE = 0.1
STILL_MM = 0.1  # a shape that moves nothing by more than this is left out and named


class ShapeAgreement(NamedTuple):
  """One blendshape that both templates have."""

  name: str
  cosine: float  # between the displacement fields where either moves
  largest_mm: float  # of the template
  ratio: float  # of the template's largest displacement to the reference's


class Comparison(NamedTuple):
  """What `compare` found; distances in millimetres."""

  landmark_rms: float
  to_reference_mean: float  # from the template's vertices to the reference's surface
  to_template_mean: float  # the other way
  surface_mean: float  # of the two ways
  surface_p95: float  # 95th percentile, both ways pooled with equal weight
  shapes: tuple[ShapeAgreement, ...]
  left_out: tuple[str, ...]  # shapes in both that do not move in one of them


def load_reference(path: str) -> FaceTemplate:
  """A template file, or ICT-FaceKit's folder (its narrow face).

  Raises:
    UserError: it is neither.
  """
  if os.path.isdir(path):
    # No detector: only the annotated landmarks are compared.
    return ict_facekit.build_ict_template(path, detect=None, region="narrow_face")
  return load_template(path)


def compare(template: FaceTemplate, reference: FaceTemplate) -> Comparison:
  """Compares a template with a reference that covers no more of the face than it.

  Args:
    template: the one to judge.
    reference: what it is held against, in any pose and size; its surface is the region
      of the comparison. Template vertices nearest to the reference's border are
      outside that region.
  """
  vertices = template.vertices.astype(np.float64)
  ours = vertices[template.anatomical_landmarks]
  theirs = reference.vertices[reference.anatomical_landmarks]
  fit = align(theirs, ours, with_scale=True)
  aligned = fit(reference.vertices)
  error = aligned[reference.anatomical_landmarks] - ours

  surface = MeshDistance(aligned, reference.triangles)
  distances, _, nearest, shares = surface.locate(vertices)
  corners = reference.triangles[nearest]
  inside = ~_on_border(corners, shares, reference.triangles)
  to_reference = distances[inside]
  to_template, _ = MeshDistance(vertices, template.triangles)(aligned)
  pooled = np.concatenate([to_reference, to_template])
  weight = np.concatenate(
    [np.full(len(d), 1 / len(d)) for d in (to_reference, to_template)]
  )
  shapes, left_out = [], []
  for name in sorted({*template.blendshape_names} & {*reference.blendshape_names}):
    own = template.blendshape_deltas[template.blendshape_names.index(name)][inside]
    delta = reference.blendshape_deltas[reference.blendshape_names.index(name)]
    other = np.einsum("vc,vcd->vd", shares, fit.vectors(delta)[corners])[inside]
    agreement = _agreement(name, own.astype(np.float64), other)
    if agreement is None:
      left_out.append(name)
    else:
      shapes.append(agreement)
  return Comparison(
    landmark_rms=MM_PER_DM * float(np.sqrt((error**2).sum(-1).mean())),
    to_reference_mean=MM_PER_DM * float(to_reference.mean()),
    to_template_mean=MM_PER_DM * float(to_template.mean()),
    surface_mean=MM_PER_DM * float((to_reference.mean() + to_template.mean()) / 2),
    surface_p95=MM_PER_DM * _weighted_percentile(pooled, weight, 0.95),
    shapes=tuple(shapes),
    left_out=tuple(left_out),
  )


def _on_border(
  corners: np.ndarray, shares: np.ndarray, triangles: np.ndarray
) -> np.ndarray:
  """Whether places lie on the outer border of their mesh.

  Args:
    corners: [P, 3] vertices of the triangle that each place lies on.
    shares: [P, 3] barycentric coordinates.
    triangles: [T, 3] of the mesh.

  Returns:
    [P] bool.
  """
  border = np.zeros(triangles.max() + 1, bool)
  border[topology.boundary_loops(triangles)[0]] = True
  return (border[corners] | (shares <= 1e-6)).all(-1)


def _agreement(name: str, own: np.ndarray, other: np.ndarray) -> ShapeAgreement | None:
  """None if one of the fields [P, 3] moves nothing."""
  sizes = [np.linalg.norm(field, axis=-1) for field in (own, other)]
  largest = [size.max() for size in sizes]
  if min(largest) * MM_PER_DM < STILL_MM:
    return None
  moving = (sizes[0] > MOVING_SHARE * largest[0]) | (
    sizes[1] > MOVING_SHARE * largest[1]
  )
  own, other = own[moving], other[moving]
  cosine = (own * other).sum() / (np.linalg.norm(own) * np.linalg.norm(other))
  return ShapeAgreement(
    name, float(cosine), MM_PER_DM * float(largest[0]), float(largest[0] / largest[1])
  )


def _weighted_percentile(values, weights, share: float) -> float:
  order = np.argsort(values)
  total = np.cumsum(weights[order])
  return float(values[order][np.searchsorted(total, share * total[-1])])


def report(comparison: Comparison) -> str:
  """The comparison as a table for people."""
  lines = [
    f"landmarks, RMS               {comparison.landmark_rms:6.2f} mm",
    f"surface, template to other   {comparison.to_reference_mean:6.2f} mm mean",
    f"surface, other to template   {comparison.to_template_mean:6.2f} mm mean",
    f"surface, both ways           {comparison.surface_mean:6.2f} mm mean, "
    f"{comparison.surface_p95:.2f} mm at the 95th percentile",
    "",
    f"{'blendshape':<18}{'cosine':>8}{'largest, mm':>13}{'ratio':>8}",
  ]
  for shape in comparison.shapes:
    lines.append(
      f"{shape.name:<18}{shape.cosine:8.3f}{shape.largest_mm:13.1f}{shape.ratio:8.2f}"
    )
  cosines = [s.cosine for s in comparison.shapes]
  ratios = [s.ratio for s in comparison.shapes]
  if cosines:
    lines.append(
      f"cosine: median {np.median(cosines):.3f}, least {min(cosines):.3f}; "
      f"ratio: {min(ratios):.2f} to {max(ratios):.2f}"
    )
  if comparison.left_out:
    lines.append(f"move nothing in one of them: {', '.join(comparison.left_out)}")
  return "\n".join(lines)


def to_json(comparison: Comparison) -> str:
  """The comparison for programs; the keys are the fields' names."""
  fields = comparison._asdict()
  fields["shapes"] = [shape._asdict() for shape in comparison.shapes]
  return json.dumps(fields, indent=2)
