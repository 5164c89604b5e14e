"""A stylised head for the tests of retargeting: no person's, and of its own topology.

An egg with its back closed, round eyes twice as large as a person's, a wide mouth, a
hat and two loose eyeballs; triangles from a polar grid round each opening, unlike any
template's. Unit: centimetre. Built from nothing but this file.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import Delaunay

from personalized_face.data.gltf import GltfWriter

EYE_HALF_WIDTH, EYE_HALF_HEIGHT = 2.4, 1.9  # cm; a person's: 1.4 and 0.5
EYE_X, EYE_Y = 3.4, 2.0
MOUTH_HALF_WIDTH, MOUTH_HALF_HEIGHT, MOUTH_Y = 3.6, 0.25, -4.2
WIDTH, HEIGHT, DEPTH = 8.0, 11.0, 6.0  # half axes of the egg


class Puppet(NamedTuple):
  """A bare mesh with landmarks."""

  vertices: np.ndarray  # [V, 3]
  triangles: np.ndarray  # [T, 3]
  landmarks: np.ndarray  # [68] vertex indices, iBUG order


def build() -> Puppet:
  """The puppet."""
  rings = [
    *(_rings(-EYE_X, EYE_Y, EYE_HALF_WIDTH, EYE_HALF_HEIGHT, 24)),
    *(_rings(EYE_X, EYE_Y, EYE_HALF_WIDTH, EYE_HALF_HEIGHT, 24)),
    *(_rings(0.0, MOUTH_Y, MOUTH_HALF_WIDTH, MOUTH_HALF_HEIGHT, 40)),
  ]
  marks = _landmark_places()
  grid = np.stack(np.meshgrid(np.linspace(-7.6, 7.6, 27), np.linspace(-10.4, 10.4, 37)))
  grid = grid.reshape(2, -1).T
  grid = grid[(grid[:, 0] / WIDTH) ** 2 + (grid[:, 1] / HEIGHT) ** 2 < 0.96]
  grid = grid[[min(_ellipse(p, e) for e in _OPENINGS) > 1.55 for p in grid]]
  angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
  rim = np.stack([WIDTH * np.cos(angles), HEIGHT * np.sin(angles)], 1) * 0.99
  fixed = np.concatenate([*rings, marks])
  far = np.linalg.norm(grid[:, None] - marks[None], axis=-1).min(1) > 0.25
  flat = np.concatenate([fixed, grid[far], rim])
  flat = flat[np.sort(np.unique(flat.round(4), axis=0, return_index=True)[1])]
  triangles = Delaunay(flat).simplices
  middles = flat[triangles].mean(1)
  inside = [
    np.hypot((middles[:, 0] - x) / a, (middles[:, 1] - y) / b) < 1
    for x, y, a, b in _OPENINGS
  ]
  triangles = triangles[~np.any(inside, axis=0)]
  a, b, c = (flat[triangles[:, i]] for i in range(3))
  turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
  triangles = np.where((turn < 0)[:, None], triangles[:, ::-1], triangles)
  front = np.concatenate([flat, _depth(flat)[:, None]], 1)
  landmarks = np.array([np.linalg.norm(flat - p, axis=1).argmin() for p in marks])
  parts = [(front, triangles), _ball(0, HEIGHT, 0, 3.0), _ball(-EYE_X, EYE_Y, 2.6, 2.0)]
  parts.append(_ball(EYE_X, EYE_Y, 2.6, 2.0))
  starts = np.cumsum([0] + [len(p[0]) for p in parts])
  vertices = np.concatenate([p[0] for p in parts])
  faces = [p[1] + s for p, s in zip(parts, starts, strict=False)]
  return Puppet(vertices, np.concatenate(faces), landmarks)


_OPENINGS = (
  (-EYE_X, EYE_Y, EYE_HALF_WIDTH, EYE_HALF_HEIGHT),
  (EYE_X, EYE_Y, EYE_HALF_WIDTH, EYE_HALF_HEIGHT),
  (0.0, MOUTH_Y, MOUTH_HALF_WIDTH, MOUTH_HALF_HEIGHT),
)


def _ellipse(point, opening) -> float:
  x, y, a, b = opening
  # The mouth is flat: its rings grow by the same length, not by the same share.
  return float(np.hypot((point[0] - x) / a, (point[1] - y) / max(b, 0.25 * a)))


def _rings(x, y, a, b, count):
  angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
  circle = np.stack([np.cos(angles), np.sin(angles)], 1)
  for grown in (0.0, 0.35, 0.8):
    yield circle * [a + grown, b + grown] + [x, y]


def _depth(flat) -> np.ndarray:
  share = (flat[:, 0] / WIDTH) ** 2 + (flat[:, 1] / HEIGHT) ** 2
  nose = 2.2 * np.exp(-((flat[:, 0] / 1.3) ** 2) - ((flat[:, 1] + 1.2) / 1.6) ** 2)
  return DEPTH * np.sqrt(np.maximum(1 - share, 0)) + nose


def _ball(x, y, z, radius):
  """A closed sphere, 8 x 12."""
  polar, turn = np.meshgrid(
    np.linspace(0.15, np.pi - 0.15, 8), np.arange(12) * np.pi / 6, indexing="ij"
  )
  unit = [np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)]
  points = np.stack(unit, -1).reshape(-1, 3) * radius + [x, y, z]
  row, column = np.mgrid[0:7, 0:12]
  a, b = row * 12 + column, row * 12 + (column + 1) % 12
  quads = np.stack([a, b, b + 12, a + 12], -1).reshape(-1, 4)
  return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _landmark_places() -> np.ndarray:
  """[68, 2] in the plane, iBUG order; the person's right is at negative x."""
  jaw = np.linspace(np.pi * 1.02, np.pi * 1.98, 17)
  places = [np.stack([0.9 * WIDTH * np.cos(jaw), 0.9 * HEIGHT * np.sin(jaw)], 1)]
  brow = np.linspace(-1, 1, 5)
  for side in (-1, 1):
    places.append(np.stack([side * EYE_X + 2.2 * brow, 5.1 - 0.4 * brow**2], 1))
  places.append(np.stack([np.zeros(4), np.linspace(2.0, -1.2, 4)], 1))
  places.append(np.stack([np.linspace(-1.2, 1.2, 5), -2.3 + 0 * np.arange(5)], 1))
  # From the outer corner of the right eye over its upper lid; the left from its inner.
  lids = np.radians([180, 120, 60, 0, -60, -120])
  for side in (-1, 1):
    ring = [EYE_HALF_WIDTH * np.cos(lids), EYE_HALF_HEIGHT * np.sin(lids)]
    places.append(np.stack(ring, 1) + [side * EYE_X, EYE_Y])
  for grown, count in ((0.35, 12), (0.0, 8)):
    turn = np.pi - np.arange(count) * 2 * np.pi / count
    lips = np.stack([np.cos(turn), np.sin(turn)], 1)
    lips *= [MOUTH_HALF_WIDTH + grown, MOUTH_HALF_HEIGHT + grown]
    places.append(lips + [0, MOUTH_Y])
  return np.concatenate(places)


def write_glb(path, vertices, triangles, names=(), displacements=()) -> None:
  """A mesh with morph targets as a foreign program might write it; metres."""
  writer = GltfWriter("somebody else")
  attributes = {"POSITION": writer.accessor(np.float32(vertices), bounds=True)}
  targets = [
    {"POSITION": writer.accessor(np.float32(d), bounds=True)} for d in displacements
  ]
  indices = writer.accessor(np.uint32(triangles).ravel())
  primitive = {"attributes": attributes, "indices": indices}
  mesh = {"primitives": [primitive]}
  if targets:
    primitive["targets"] = targets
    mesh["extras"] = {"targetNames": list(names)}
  node = writer.add("nodes", {"mesh": writer.add("meshes", mesh)})
  writer.document |= {"scene": 0, "scenes": [{"nodes": [node]}]}
  with open(path, "wb") as file:
    file.write(writer.to_bytes())
