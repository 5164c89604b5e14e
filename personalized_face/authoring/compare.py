"""How far two templates agree: neutral surfaces, landmarks and blendshapes.

Used to hold the default template against a published model (ICT-FaceKit's narrow face).
The reference is laid on the template by the similarity that fits its 68 anatomical
landmarks best; all distances are then at the template's size, in millimetres.
"""

import json
import os
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from personalized_face.authoring import ict_facekit
from personalized_face.authoring.cache import load_template
from personalized_face.core import topology
from personalized_face.metrics.alignment import align
from personalized_face.template.face_template import FaceTemplate

MM_PER_DM = 100.0
# A displacement counts where it is above this share of its shape's largest one.
MOVING_SHARE = 0.1
STILL_MM = 0.1  # a shape that moves nothing by more than this is left out and named
_CANDIDATES = 16  # triangles tried per point, by the nearest vertex and centroid


class NearestPoints(NamedTuple):
  """Where points fall on a mesh; P points."""

  distance: np.ndarray  # [P]
  triangle: np.ndarray  # [P] int
  barycentric: np.ndarray  # [P, 3]


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

  onto = nearest_points(vertices, aligned, reference.triangles)
  inside = ~_on_border(onto, reference.triangles)
  back = nearest_points(aligned, vertices, template.triangles)
  to_reference, to_template = onto.distance[inside], back.distance
  pooled = np.concatenate([to_reference, to_template])
  weight = np.concatenate(
    [np.full(len(d), 1 / len(d)) for d in (to_reference, to_template)]
  )
  shapes, left_out = [], []
  for name in sorted({*template.blendshape_names} & {*reference.blendshape_names}):
    own = template.blendshape_deltas[template.blendshape_names.index(name)][inside]
    delta = reference.blendshape_deltas[reference.blendshape_names.index(name)]
    corners = fit.vectors(delta)[reference.triangles[onto.triangle[inside]]]
    other = (onto.barycentric[inside][..., None] * corners).sum(1)
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


def nearest_points(
  points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> NearestPoints:
  """The nearest point of a mesh to each of points [P, 3].

  Exact among the triangles whose centroids are nearest, which is enough for small
  triangles of similar size.
  """
  corners = vertices[triangles]
  _, near = cKDTree(corners.mean(1)).query(points, k=min(_CANDIDATES, len(triangles)))
  near = near.reshape(len(points), -1)
  barycentric = _barycentric_of_nearest(points[:, None], corners[near])
  spots = (barycentric[..., None] * corners[near]).sum(-2)
  distance = np.linalg.norm(spots - points[:, None], axis=-1)
  best = distance.argmin(1)
  rows = np.arange(len(points))
  return NearestPoints(distance[rows, best], near[rows, best], barycentric[rows, best])


def _barycentric_of_nearest(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
  """Barycentric coordinates [..., 3] of the triangles' points nearest to `point`."""
  a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
  ab, ac, ap = b - a, c - a, point - a
  aa, bb, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
  p, q = (ap * ab).sum(-1), (ap * ac).sum(-1)
  area = np.maximum(aa * cc - bb**2, 1e-30)
  v, w = (cc * p - bb * q) / area, (aa * q - bb * p) / area
  best = np.stack([1 - v - w, v, w], -1)
  gap = np.full(best.shape[:-1], np.inf)
  outside = (best < 0).any(-1)
  for i in range(3):
    start, end = corners[..., i, :], corners[..., (i + 1) % 3, :]
    along = end - start
    length = np.maximum((along**2).sum(-1), 1e-30)
    share = np.clip(((point - start) * along).sum(-1) / length, 0, 1)
    rest = np.linalg.norm(start + share[..., None] * along - point, axis=-1)
    candidate = np.zeros_like(best)
    candidate[..., i], candidate[..., (i + 1) % 3] = 1 - share, share
    nearer = outside & (rest < gap)
    best[nearer], gap[nearer] = candidate[nearer], rest[nearer]
  return best


def _on_border(nearest: NearestPoints, triangles: np.ndarray) -> np.ndarray:
  """Whether nearest points lie on the outer border of their mesh. [P]"""
  border = np.zeros(triangles.max() + 1, bool)
  border[topology.boundary_loops(triangles)[0]] = True
  holds = nearest.barycentric > 1e-6
  return (border[triangles[nearest.triangle]] | ~holds).all(-1)


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
