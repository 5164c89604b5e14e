"""Bringing one shape over another: Umeyama's fit to known pairs, and ICP to a surface.

Whether the scale may change is always the caller's word: a fit with scale hides a face
that is too large. All in one unit, whatever it is.
"""

from typing import NamedTuple

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.metrics.surface_distance import MeshDistance


class Similarity(NamedTuple):
  """p -> scale * R p + t, for points as rows."""

  rotation: np.ndarray  # [3, 3], determinant 1
  scale: float
  translation: np.ndarray  # [3]

  def __call__(self, points: Tensor) -> np.ndarray:
    """[..., 3] -> [..., 3]."""
    points = np.asarray(points, np.float64)
    return self.scale * points @ self.rotation.T + self.translation

  def vectors(self, vectors: Tensor) -> np.ndarray:
    """Differences of points [..., 3], which the translation leaves alone."""
    return self.scale * np.asarray(vectors, np.float64) @ self.rotation.T

  def after(self, first: "Similarity") -> "Similarity":
    """p -> self(first(p))."""
    return Similarity(
      self.rotation @ first.rotation,
      self.scale * first.scale,
      self(first.translation),
    )

  def inverse(self) -> "Similarity":
    """The way back."""
    rotation, scale = self.rotation.T, 1 / self.scale
    return Similarity(rotation, scale, -scale * rotation @ self.translation)


IDENTITY = Similarity(np.eye(3), 1.0, np.zeros(3))


def align(
  source: Tensor, target: Tensor, with_scale: bool, weights: Tensor | None = None
) -> Similarity:
  """The similarity that brings points over their partners, in the least-squares sense.

  min sum_i w_i ||s R p_i + t - q_i||^2 (Umeyama, PAMI 1991). Never a reflection.

  Args:
    source: [P, 3].
    target: [P, 3].
    with_scale: whether s is free; else 1.
    weights: [P] at least 0; None: all alike.

  Raises:
    ValueError: fewer than three pairs, or points without an extent.
  """
  source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
  shapes.check(source, "[P, 3]", "source")
  shapes.check(target, f"[{len(source)}, 3]", "target")
  if len(source) < 3:
    raise ValueError(f"{len(source)} pairs of points do not fix an alignment")
  weights = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
  weights = (weights / weights.sum())[:, np.newaxis]
  centre_p, centre_q = (weights * source).sum(axis=0), (weights * target).sum(axis=0)
  p, q = source - centre_p, target - centre_q
  variance = (weights * p * p).sum()
  if not variance > 0:
    raise ValueError("the points to align lie all in one place")
  u, sizes, vt = np.linalg.svd((weights * q).T @ p)
  signs = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
  rotation = (u * signs) @ vt
  scale = float((sizes * signs).sum() / variance) if with_scale else 1.0
  return Similarity(rotation, scale, centre_q - scale * rotation @ centre_p)


def icp(
  points: Tensor,
  mesh: MeshDistance,
  start: Similarity = IDENTITY,
  with_scale: bool = False,
  keep: float = 1.0,
  iterations: int = 50,
  tolerance: float = 1e-5,
) -> Similarity:
  """Iterative closest point: brings points over a surface, from a start that is near.

  Each round pairs every point with the closest place on the surface and solves `align`
  for the pairs (Besl and McKay, PAMI 1992); with `keep` < 1 only for the closer ones
  (trimmed ICP, Chetverikov et al. 2005).

  Args:
    points: [P, 3].
    mesh: the surface, see `MeshDistance`.
    start: such as `align` of a few landmarks.
    with_scale: whether the size of the points may change; else it stays the start's.
    keep: share of the pairs that count, in (0, 1].
    iterations: at most so many rounds.
    tolerance: stops where no point moves further than this share of their extent.
  """
  points = np.asarray(points, np.float64)
  moved = start(points)
  extent = np.ptp(moved, axis=0).max()
  transform = start
  for _ in range(iterations):
    distances, nearest = mesh(moved)
    kept = distances <= np.quantile(distances, keep)
    step = align(moved[kept], nearest[kept], with_scale)
    transform = step.after(transform)
    before, moved = moved, transform(points)
    if np.abs(moved - before).max() < tolerance * extent:
      break
  return transform
