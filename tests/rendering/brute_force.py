"""The reference rasterizer of the tests: numpy, float64, triangle by triangle."""

import numpy as np


def project(points, camera):
  """[..., 3] camera space -> [..., 2] pixels, float64."""
  x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.stack(
      [
        camera.principal_x + camera.focal_pixels * x / -z,
        camera.principal_y - camera.focal_pixels * y / -z,
      ],
      axis=-1,
    )


def rasterize(vertices, triangles, camera):
  """Nearest triangle per pixel centre.

  Returns:
    ids [H, W] int, -1 for none; barycentrics [H, W, 3], perspective-correct; margin
    [H, W], how far in pixels the centre is from the nearest edge of any triangle that
    might cover it (what another arithmetic may decide differently is near 0).
  """
  vertices = np.asarray(vertices, np.float64)
  ids = np.full((camera.height, camera.width), -1)
  nearest = np.full((camera.height, camera.width), np.inf)
  barycentrics = np.zeros((camera.height, camera.width, 3))
  margin = np.full((camera.height, camera.width), np.inf)
  pixels = project(vertices, camera)
  for t, triangle in enumerate(triangles):
    if not np.isfinite(vertices[triangle]).all():
      continue
    if (-vertices[triangle, 2] < camera.near).any():
      continue
    corners, depths = pixels[triangle], -vertices[triangle, 2]
    first = np.maximum(np.floor(corners.min(0)) - 1, 0).astype(int)
    last = np.minimum(np.ceil(corners.max(0)) + 1, [camera.width, camera.height])
    if (last.astype(int) <= first).any():
      continue
    x, y = np.meshgrid(
      np.arange(first[0], int(last[0])) + 0.5, np.arange(first[1], int(last[1])) + 0.5
    )
    area = _cross(corners[1] - corners[0], corners[2] - corners[0])
    if area == 0:
      continue
    inside = np.ones(x.shape, bool)
    distance = np.full(x.shape, np.inf)
    weights = []
    for k in range(3):
      a, b = corners[(k + 1) % 3], corners[(k + 2) % 3]
      edge = ((a[0] - x) * (b[1] - y) - (a[1] - y) * (b[0] - x)) * np.sign(area)
      right = (a[1] - b[1]) * np.sign(area)  # d edge / d x
      down = (b[0] - a[0]) * np.sign(area)
      on_edge = right > 0 or (right == 0 and down > 0)  # top-left rule
      inside &= (edge >= 0) if on_edge else (edge > 0)
      distance = np.minimum(distance, edge / max(np.hypot(right, down), 1e-300))
      weights.append(edge / abs(area) / depths[k])
    weights = np.stack(weights, -1)
    inverse_depth = weights.sum(-1)
    window = np.s_[first[1] : int(last[1]), first[0] : int(last[0])]
    margin[window] = np.minimum(margin[window], np.abs(distance))
    with np.errstate(divide="ignore"):
      depth = np.where(inside, 1 / inverse_depth, np.inf)
    closer = inside & (depth < nearest[window])
    nearest[window][closer] = depth[closer]
    ids[window][closer] = t
    barycentrics[window][closer] = (weights / inverse_depth[..., None])[closer]
  return ids, barycentrics, margin


def _cross(a, b):
  return a[0] * b[1] - a[1] * b[0]
