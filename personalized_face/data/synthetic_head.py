"""What surrounds a synthetic face: head, hair, eyes, mouth, neck, shoulders.

The face model is a mask; footage is not. Each part here is a coloured mesh in the
template's model space (decimetres, x to the person's left, y up, z to the front) that
is grown from the mask's own borders, so that it fits any template and any person.
"""

from typing import NamedTuple

import numpy as np

from personalized_face.core import topology
from personalized_face.data.synthetic_person import Colours
from personalized_face.template.traits import gauss

EYEBALL_RADIUS = 0.118  # just inside of the lids; the eye's own is 0.12
_IRIS_RADIUS, _PUPIL_RADIUS = 0.058, 0.021
_HEAD_AXES = np.array([0.80, 1.08, 1.00])  # of the skull, half of an adult's, with hair
_SCLERA = np.array([0.84, 0.81, 0.79])
_TOOTH = np.array([0.86, 0.80, 0.68])
_GUM = np.array([0.62, 0.32, 0.31])
_TONGUE = np.array([0.58, 0.25, 0.25])
DARK_MOUTH = np.array([0.10, 0.035, 0.03])
_SKIRT_ROWS = 32
_HAIR_THICKNESS = 0.12


class Part(NamedTuple):
  """A mesh with a colour at each vertex."""

  vertices: np.ndarray  # [P, 3] dm
  triangles: np.ndarray  # [T, 3] int, counter-clockwise from outside
  colours: np.ndarray  # [P, 3] albedo
  gloss: float = 0.0  # strength of the highlight


class Skirt(NamedTuple):
  """A part whose first row is a border of the face itself."""

  part: Part  # R rows of N vertices, of which the first row are the border's own
  loop: np.ndarray  # [N] vertices of the face
  texture: np.ndarray  # [R * N] share of the face's own colours, running out
  follow: np.ndarray  # [R * N] share of the border's motion that a vertex makes


def face_borders(vertices: np.ndarray, triangles: np.ndarray) -> list[np.ndarray]:
  """The loops along which the face ends: the outer one first, then the holes."""
  loops = topology.boundary_loops(triangles)
  return sorted(loops, key=lambda loop: -np.ptp(vertices[loop], axis=0).max())


def _grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
  """Two triangles for each cell of a [rows, columns] grid of vertices.

  The first row's edges run against the row's direction, as those of a neighbour of a
  border loop do. `closed` joins the last column to the first.
  """
  row, column = np.meshgrid(
    np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij"
  )
  a = row * columns + column
  b = row * columns + (column + 1) % columns
  cells = np.stack([b, a, a + columns, b, a + columns, b + columns], axis=-1)
  return cells.reshape(-1, 3)


def head(
  vertices: np.ndarray,
  triangles: np.ndarray,
  loop: np.ndarray,
  colours: Colours,
  seed: int,
) -> Skirt:
  """The rest of the head: from the face's border round to the back, with hair.

  Args:
    vertices: [V, 3] the person's neutral face.
    triangles: [T, 3] of the face.
    loop: [N] its outer border.
    colours: of the person.
    seed: of the strands of the hair.
  """
  border = vertices[loop]
  low, high = border.min(axis=0), border.max(axis=0)
  centre = np.array([0.0, low[1] + 0.62 * (high[1] - low[1]), low[2] - 0.35])
  # Rows are closer near the face, where skin turns into hair.
  share = np.linspace(0, 1, _SKIRT_ROWS)[:, None, None] ** 1.7
  outwards = _outwards(vertices, triangles, loop)
  points = _over_the_head(border - centre, outwards, share) + centre
  hair = _hair_cover(points, share, high, low)
  away = points - centre
  away /= np.linalg.norm(away, axis=-1, keepdims=True)
  points = points + _HAIR_THICKNESS * hair * away
  rng = np.random.default_rng([seed, 5])
  strands = rng.normal(size=(1, len(loop), 1)) + 0.5 * rng.normal(size=hair.shape)
  hair_colour = colours.hair * np.clip(1 + 0.13 * strands, 0.5, 1.6)
  dyed = _smoothstep(4 * hair)  # the step up to the hair is hair already
  colour = dyed * hair_colour + (1 - dyed) * 0.95 * colours.skin
  triangles = _grid_triangles(_SKIRT_ROWS, len(loop), closed=True)
  texture = (1 - _smoothstep(share / 0.2)) * (1 - dyed)
  follow = np.broadcast_to((1 - _smoothstep(share / 0.6)), texture.shape)
  part = Part(points.reshape(-1, 3), triangles, colour.reshape(-1, 3))
  return Skirt(part, loop, texture.ravel(), follow.ravel())


def _outwards(
  vertices: np.ndarray, triangles: np.ndarray, loop: np.ndarray
) -> np.ndarray:
  """Unit directions [N, 3] in which the face would go on beyond its border."""
  inside = np.zeros([len(loop), 3])
  for i, vertex in enumerate(loop):
    around = np.setdiff1d(triangles[(triangles == vertex).any(axis=1)], loop)
    inside[i] = (vertices[around] if len(around) else vertices).mean(axis=0)
  direction = vertices[loop] - inside
  for _ in range(8):  # one triangle's shape is not the surface's
    direction = (np.roll(direction, 1, 0) + direction + np.roll(direction, -1, 0)) / 3
  return direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def _over_the_head(
  border: np.ndarray, outwards: np.ndarray, share: np.ndarray
) -> np.ndarray:
  """Rows of points that turn from the border [N, 3] to the back of the head.

  Args:
    border: relative to the head's centre.
    outwards: [N, 3] unit; the rows set out in this direction, so that no crease shows
      where the face ends.
    share: [R, 1, 1] from 0 (the border) to 1 (the back).

  Returns:
    [R, N, 3]; row 0 is the border.
  """
  radius = np.linalg.norm(border, axis=-1, keepdims=True)
  start, back = border / radius, np.array([0.0, 0.0, -1.0])
  angle = np.arccos(np.clip(start @ back, -1, 1))[:, None]
  # Spherical interpolation, a little short of the pole, where triangles would vanish.
  turn = 0.98 * share * angle
  direction = (np.sin(angle - turn) * start + np.sin(turn) * back) / np.maximum(
    np.sin(angle), 1e-6
  )
  skull = 1 / np.linalg.norm(direction / _HEAD_AXES, axis=-1, keepdims=True)
  blend = _smoothstep(share / 0.45)
  points = direction * ((1 - blend) * radius + blend * skull)
  speed = 0.98 * angle * radius  # of the path at the border, and its direction
  tangent = (back - (start @ back)[:, None] * start) / np.maximum(np.sin(angle), 1e-6)
  correction = speed * (outwards - tangent)
  return points + correction * share * np.maximum(1 - share / 0.3, 0) ** 2


def _hair_cover(
  points: np.ndarray, share: np.ndarray, high: np.ndarray, low: np.ndarray
) -> np.ndarray:
  """How much of a point is hair, [R, N, 1] in [0, 1]."""
  y, z = points[..., 1:2], points[..., 2:3]
  # The hairline: high at the temples, before the ear, down to the nape at the back.
  depth = (high[2] - z) / 1.4
  line = np.interp(
    depth, [0.0, 0.25, 0.45, 0.6, 1.0], [0.45, 0.20, -0.05, -0.25, -0.55]
  )
  return _smoothstep((y - line) / 0.10) * _smoothstep((share - 0.002) / 0.02)


def cavity(vertices: np.ndarray, loop: np.ndarray, depth: float, colour) -> Skirt:
  """A dark bowl behind a hole of the face; its rim follows the face."""
  rim = vertices[loop]
  middle = rim.mean(axis=0)
  rows = [rim]
  for shrink, back in ((0.97, 0.35), (0.85, 0.8), (0.4, 1.0), (0.02, 1.0)):
    rows.append(middle + (rim - middle) * shrink - [0, 0, back * depth])
  points = np.stack(rows)
  shade = np.array([1.6, 1.1, 0.7, 0.4, 0.3])[:, None, None]
  tint = np.broadcast_to(np.asarray(colour) * shade, points.shape)
  triangles = _grid_triangles(len(rows), len(loop), closed=True)
  zeros = np.zeros(points.shape[0] * points.shape[1])
  part = Part(points.reshape(-1, 3), triangles, tint.reshape(-1, 3))
  return Skirt(part, loop, zeros, zeros)


def eyeball(rim: np.ndarray, colours: Colours) -> tuple[Part, np.ndarray]:
  """An eyeball that fits a lid's rim, looking ahead.

  Args:
    rim: [N, 3] of the eye's opening in the neutral face.
    colours: of the person.

  Returns:
    The ball about the origin, and its centre [3].
  """
  iris, pupil = (
    np.arcsin(radius / EYEBALL_RADIUS) for radius in (_IRIS_RADIUS, _PUPIL_RADIUS)
  )
  # Rows close together where the colour changes.
  polar = np.concatenate(
    [
      np.linspace(0.02, pupil, 4),
      np.linspace(pupil + 0.03, iris - 0.05, 8),
      np.linspace(iris, iris + 0.06, 3),
      np.linspace(iris + 0.15, 2.0, 12),
    ]
  )[:, None]
  around = np.linspace(0, 2 * np.pi, 40, endpoint=False)[None]
  direction = np.stack(
    [
      np.sin(polar) * np.cos(around),
      np.sin(polar) * np.sin(around),
      np.cos(polar) + 0 * around,
    ],
    axis=-1,
  )
  rays = 1 + 0.18 * np.sin(11 * around + 3 * np.sin(5 * around))[..., None]
  ring = _smoothstep((iris - polar) / 0.10)[..., None]
  colour = np.where(
    (polar < iris)[..., None], colours.iris * rays * (0.35 + 0.85 * ring), _SCLERA
  )
  colour = np.where((polar <= pupil)[..., None], 0.02, colour)
  edge = _smoothstep((polar - iris) / 0.12)[..., None]  # the limbus is soft
  colour = np.where((polar >= iris)[..., None], colour * (0.45 + 0.55 * edge), colour)
  # The upper lid shades the ball; away from the middle the white is redder.
  colour = colour * (1 - 0.30 * _smoothstep(direction[..., 1:2] / 0.6))
  colour = colour * (1 - np.array([0.02, 0.10, 0.10]) * np.abs(direction[..., :1]))
  points = EYEBALL_RADIUS * direction
  triangles = _grid_triangles(len(polar), around.shape[1], closed=True)[:, ::-1]
  ball = Part(points.reshape(-1, 3), triangles, colour.reshape(-1, 3), gloss=0.9)
  return ball, _sphere_centre(rim, EYEBALL_RADIUS)


def _sphere_centre(rim: np.ndarray, radius: float) -> np.ndarray:
  """The centre, behind a rim, of the sphere of given radius nearest to its points."""
  centre = rim.mean(axis=0) - [0, 0, 0.8 * radius]
  for _ in range(20):  # Gauss-Newton on depth alone: x and y stay in the middle
    offset = rim - centre
    distance = np.linalg.norm(offset, axis=-1)
    slope = -offset[:, 2] / distance
    centre[2] -= (slope @ (distance - radius)) / (slope @ slope)
  return centre


def teeth(mouth: np.ndarray, upper: bool) -> Part:
  """One row of teeth on a parabolic arch.

  Args:
    mouth: [3] the middle between the inner lips of the shut mouth.
    upper: which row.
  """
  x = np.linspace(-0.24, 0.24, 97)[None]
  rows = np.linspace(0, 1, 7)[:, None]
  top, bottom = (0.085, -0.045) if upper else (-0.035, -0.12)
  height = top + (bottom - top) * rows
  front = -0.075 - (0.0 if upper else 0.025)
  depth = front - 2.2 * x**2 - 0.02 * (rows - 0.5) ** 2
  points = np.stack([x + 0 * rows, height + 0 * x, depth], axis=-1) + mouth
  width = 0.068 if upper else 0.052
  gap = np.abs((x / width + 0.5) % 1 - 0.5) * width  # to the middle of a tooth
  seam = gauss(width / 2 - gap, 0.004)
  root = rows if not upper else 1 - rows
  colour = _TOOTH * (1 - 0.20 * seam - 0.55 * (x / 0.24) ** 2)[..., None]
  gums = _smoothstep((root - 0.72) / 0.14)[..., None]
  colour = colour * (1 - gums) + gums * _GUM * (1 - 0.5 * (x / 0.24) ** 2)[..., None]
  triangles = _grid_triangles(7, 97, closed=False)[:, ::-1]
  return Part(points.reshape(-1, 3), triangles, colour.reshape(-1, 3), gloss=0.25)


def tongue(mouth: np.ndarray) -> Part:
  """A tongue that lies behind the lower teeth."""
  return _ellipsoid(mouth + [0, -0.12, -0.36], (0.18, 0.055, 0.24), _TONGUE)


def body(vertices: np.ndarray, loop: np.ndarray, colours: Colours) -> list[Part]:
  """Neck and shoulders, in the model space of a head that looks ahead."""
  border = vertices[loop]
  chin, depth = border[:, 1].min(), border[:, 2].min() - 0.25
  rows = np.linspace(0, 1, 22)[:, None]
  around = np.linspace(0, 2 * np.pi, 56, endpoint=False)[None]
  radius = 0.46 + 0.12 * rows + 0.45 * rows**4
  points = np.stack(
    [
      radius * np.cos(around),
      chin + 0.40 - 1.40 * rows + 0 * around,
      depth + radius * np.sin(around) - 0.15 * (1 - rows),
    ],
    axis=-1,
  )
  shadow = 0.50 + 0.34 * _smoothstep((rows - 0.30) / 0.4)[..., None]
  colour = np.broadcast_to(colours.skin * shadow, points.shape)
  neck = Part(
    points.reshape(-1, 3),
    _grid_triangles(22, 56, closed=True)[:, ::-1],
    colour.reshape(-1, 3),
  )
  shoulders = _ellipsoid(
    np.array([0, chin - 1.50, depth - 0.1]), (2.1, 0.98, 0.80), colours.shirt, 40
  )
  return [neck, shoulders]


def _ellipsoid(centre, axes, colour, resolution: int = 24) -> Part:
  polar = np.linspace(0.02, np.pi - 0.02, resolution)[:, None]
  around = np.linspace(0, 2 * np.pi, 2 * resolution, endpoint=False)[None]
  direction = np.stack(
    [
      np.sin(polar) * np.cos(around),
      np.cos(polar) + 0 * around,
      np.sin(polar) * np.sin(around),
    ],
    axis=-1,
  )
  points = (centre + direction * np.asarray(axes)).reshape(-1, 3)
  triangles = _grid_triangles(resolution, 2 * resolution, closed=True)
  return Part(points, triangles, np.broadcast_to(colour, points.shape))


def _smoothstep(x: np.ndarray) -> np.ndarray:
  x = np.clip(x, 0.0, 1.0)
  return x * x * (3 - 2 * x)
