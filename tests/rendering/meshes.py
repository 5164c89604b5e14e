"""Meshes that the rendering tests share."""

import numpy as np


def grid(side, width=2.0, height=2.0, bulge=0.6):
  """A square sheet that bulges towards the viewer, about the origin.

  Returns:
    vertices [side^2, 3], triangles [2 (side - 1)^2, 3] counter-clockwise from the
    front, uv [side^2, 2] (u to image right, v down).
  """
  rows, columns = np.mgrid[0:side, 0:side] / (side - 1)
  x, y = (columns - 0.5) * width, (0.5 - rows) * height
  z = bulge * np.cos(1.3 * x) * np.cos(1.1 * y) + 0.02 * np.sin(7 * x) * np.cos(5 * y)
  vertices = np.stack([x, y, z], -1).reshape(-1, 3)
  index = np.arange(side * side).reshape(side, side)
  a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
  triangles = np.concatenate(
    [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
  )
  uv = np.stack([columns, rows], -1).reshape(-1, 2) * 0.9 + 0.05
  return vertices, triangles.astype(np.int32), uv


def face_sized():
  """22,050 triangles that fill a 224 px crop as a face does: box side about 2 px."""
  return grid(106, width=1.6, height=2.0)


def cube():
  """A unit cube of 12 triangles; the corners' uv are spread over the map."""
  corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
  quads = [
    (0, 1, 3, 2),  # x = -.5
    (4, 6, 7, 5),  # x = +.5
    (0, 4, 5, 1),  # y = -.5
    (2, 3, 7, 6),  # y = +.5
    (0, 2, 6, 4),  # z = -.5
    (1, 5, 7, 3),  # z = +.5
  ]
  triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
  uv = (corners[:, :2] * (0.5 + 0.4 * corners[:, 2:]) * 0.9) + 0.5
  return corners, np.array(triangles, np.int32), uv


def soup(count, seed):
  """Unconnected triangles before, behind and beside the camera, of all sizes."""
  rng = np.random.default_rng(seed)
  centres = rng.uniform([-2, -2, -14], [2, 2, -6], (count, 3))
  size = 10 ** rng.uniform(-2.5, 0.2, (count, 1, 1))
  vertices = centres[:, None] + rng.normal(size=(count, 3, 3)) * size
  return vertices.reshape(-1, 3), np.arange(3 * count).reshape(count, 3)
