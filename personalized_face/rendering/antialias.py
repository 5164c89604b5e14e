"""Coverage blended across silhouette edges: the outline gets a gradient.

After Laine et al., "Modular Primitives for High-Performance Differentiable Rendering",
2020, Section 3.5: where two neighbouring pixels show different surfaces and an edge of
the mesh passes between their centres, the place s in [0, 1] where it crosses the line
from one centre to the other says how much of each pixel either surface covers. With
values L and R of the pixels at s = 0 and s = 1,

  s > 1/2:  R <- R + (s - 1/2) (L - R)      s < 1/2:  L <- L + (1/2 - s) (R - L),

continuous in s, and s is differentiable in the two vertices of the edge. Steep edges
are looked for between pixels side by side, flat ones between pixels above each other.

Theirs looks for the edge in the triangle that a pixel sees; triangles of a face are
smaller than a pixel at the outline, and the edge is then in none of those. Here all
silhouette edges are projected: (edge, scanline) pairs are numbered by a running sum and
taken in chunks of fixed length, as `xla_rasterizer` does with triangles, and of the
edges between two centres the nearest to the camera is kept. Static shapes and stock
operations only. The search has no gradient; the blend has.

Memory, counted from the shapes: the search holds 170 bytes an edge and 16 a pixel,
7 MB for an image of 224 pixels and a mesh of 36,000 edges, two images at a time; the
blend 40 bytes a pixel and twice its channels, 7 MB an image for 12 channels.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.compiled import compiled
from personalized_face.rendering.interpolate import gather_rows
from personalized_face.rendering.xla_rasterizer import find_owners

_CHUNK = 4096  # (edge, scanline) pairs of a step
_EMPTY = tf.int64.max
# Along a rim the surface goes on: the edge counts as seen unless it lies this share of
# the depth behind both pixels (10 cm for a head at 10 dm: no face is as steep).
_RIM_SLACK = 0.01


class EdgeTable(NamedTuple):
  """The edges of a mesh that can be outlines; built once by `edge_table`."""

  vertices: np.ndarray  # [E, 4] int32: both ends, then what lies across on either side
  is_border: np.ndarray  # [E] bool: one triangle only
  is_rim: np.ndarray  # [E] bool: between the surface and a hole


class _Setup(NamedTuple):
  """The edges of one image. Main axis: y of a steep edge, x of a flat one."""

  lines: Tensor  # [E, 8] float64: main, cross, nearness of the end; slopes; inside
  first: Tensor  # [E] int32, first scanline
  ends: Tensor  # [E] int32, running sum of the number of scanlines


def edge_table(triangles: np.ndarray, num_surface: int) -> EdgeTable:
  """The edges of a triangle list.

  Args:
    triangles: [T, 3] int; the surface first, then the triangles that close its holes.
    num_surface: how many of them are surface.

  Returns:
    The table. An edge of three triangles or more is a border of each.
  """
  triangles = np.asarray(triangles)
  shapes.check(triangles, "[T, 3]", "triangles")
  count = len(triangles)
  ends = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
  across = np.concatenate([triangles[:, (k + 2) % 3] for k in range(3)])
  in_hole = np.tile(np.arange(count) >= num_surface, 3)
  order = np.lexsort(np.sort(ends, axis=1).T)
  ends, across, in_hole = np.sort(ends, axis=1)[order], across[order], in_hole[order]
  edges, first, members = np.unique(ends, axis=0, return_index=True, return_counts=True)
  paired = members == 2
  one = np.repeat(first[~paired], members[~paired])
  one += np.arange(len(one)) - np.repeat(
    np.cumsum(members[~paired]) - members[~paired], members[~paired]
  )
  two = first[paired]
  vertices = np.concatenate(
    [
      np.stack([*edges[paired].T, across[two], across[two + 1]], -1),
      np.stack([*ends[one].T, across[one], across[one]], -1),
    ]
  )
  return EdgeTable(
    vertices.astype(np.int32),
    np.arange(len(vertices)) >= len(two),
    np.concatenate([in_hole[two] != in_hole[two + 1], np.zeros(len(one), bool)]),
  )


def antialias(
  values: Tensor,
  ids: Tensor,
  vertices_camera: Tensor,
  triangles: np.ndarray,
  table: EdgeTable,
  num_surface: int,
  camera: Camera,
  jit_compile: bool = False,
) -> Tensor:
  """Blends what neighbouring pixels show across the outline between them.

  Args:
    values: [I, H, W, C].
    ids: [I, H, W] int32, of `rasterize`.
    vertices_camera: [I, V, 3] decimetres.
    triangles: [T, 3] int.
    table: `edge_table` of the triangles.
    num_surface: the triangles from here on are holes; between them and the surface is
      an outline too.
    camera: the camera.
    jit_compile: see `triangle_ids`.

  Returns:
    [I, H, W, C]. Differentiable in the values and, across outlines, in the vertices.
  """
  shapes.check(values, "[I, H, W, C]", "values")
  shapes.check(ids, "[I, H, W]", "ids")
  if not len(table.vertices):
    return values
  slots = find_outlines(
    vertices_camera, ids, triangles, table, num_surface, camera, jit_compile
  )
  corners = tf.gather(tf.constant(table.vertices[:, :2]), tf.maximum(slots, 0))
  corners = tf.where((slots >= 0)[..., tf.newaxis], corners, -1)
  stacked = [-1, 2 * camera.height, camera.width]  # across, then down
  pixels = project(vertices_camera, camera)
  begin, end = (
    tf.reshape(
      gather_rows(pixels, tf.reshape(corners[..., k], stacked)),
      [-1, 2, camera.height, camera.width, 2],
    )
    for k in range(2)
  )
  blend = _COMPILED_BLEND if jit_compile else _blend
  return blend(values, begin, end, slots)


def find_outlines(
  vertices_camera: Tensor,
  ids: Tensor,
  triangles: np.ndarray,
  table: EdgeTable,
  num_surface: int,
  camera: Camera,
  jit_compile: bool = False,
) -> Tensor:
  """Which edge passes between each two neighbouring pixels; arguments as `antialias`.

  Returns:
    [I, 2, H, W] int32, row of the table or -1: between a pixel and the one to its
    right, and between a pixel and the one below. No gradient.
  """
  vertices_camera, ids = tf.stop_gradient(vertices_camera), tf.stop_gradient(ids)
  triangles = tf.constant(np.asarray(triangles, np.int32))
  constants = [tf.constant(part) for part in table]
  return tf.map_fn(
    lambda image: _find_in_image(
      *image, triangles, EdgeTable(*constants), num_surface, camera, jit_compile
    ),
    (vertices_camera, ids),
    fn_output_signature=tf.TensorSpec([2, camera.height, camera.width], tf.int32),
    parallel_iterations=2,
  )


def _find_in_image(
  vertices: Tensor,
  ids: Tensor,
  triangles: Tensor,
  table: EdgeTable,
  num_surface: int,
  camera: Camera,
  jit_compile: bool,
) -> Tensor:
  """[V, 3] and [H, W] to [2, H, W]."""
  setup, owners_of, test = (
    _COMPILED if jit_compile else (_set_up, find_owners, _test_pairs)
  )
  state, points = setup(vertices, table, camera)
  num_slots = 2 * camera.height * camera.width

  def step(first_pair, nearest):
    pairs = first_pair + tf.range(_CHUNK)
    owners = owners_of(state.ends, pairs)
    slot, keys = test(
      state, points, owners, pairs, ids, triangles, table, num_surface, camera
    )
    found = tf.math.unsorted_segment_min(keys, slot, num_slots)
    return first_pair + _CHUNK, tf.minimum(nearest, found)

  _, nearest = tf.while_loop(
    lambda first_pair, _: first_pair < state.ends[-1],
    step,
    (tf.constant(0), tf.fill([num_slots], _EMPTY)),
  )
  edge = tf.cast(tf.bitwise.bitwise_and(nearest, _id_mask(table)), tf.int32)
  edge = tf.where(nearest == _EMPTY, -1, edge)
  return tf.reshape(edge, [2, camera.height, camera.width])


def _set_up(
  vertices: Tensor, table: EdgeTable, camera: Camera
) -> tuple[_Setup, Tensor]:
  """Finds the outlines and their scanlines; also [V, 3] pixels and nearness."""
  x, y, z = tf.unstack(tf.cast(vertices, tf.float64), axis=-1)
  nearness = camera.near / tf.maximum(-z, camera.near)  # (0, 1], affine on the image
  scale = camera.focal_pixels / camera.near * nearness
  nan = tf.constant(np.nan, tf.float64)  # lets no comparison below through
  points = tf.stack(
    [
      tf.where(-z >= camera.near, camera.principal_x + scale * x, nan),
      camera.principal_y - scale * y,
      nearness,
    ],
    axis=-1,
  )
  a, b, c, d = tf.unstack(tf.gather(points, table.vertices), axis=1)  # [E, 3] each
  along = b - a
  sides = [along[:, 0] * (e - a)[:, 1] - along[:, 1] * (e - a)[:, 0] for e in (c, d)]
  folded = sides[0] * sides[1] > 0  # also true of a border with area
  steep = tf.abs(along[:, 1]) >= tf.abs(along[:, 0])
  # The side of c: towards larger x of a steep edge, larger y of a flat one.
  direction = tf.where(steep, -along[:, 1], along[:, 0])
  inside = tf.where(folded, tf.sign(sides[0]) * tf.sign(direction), 0.0)
  main, cross, span, drift = (
    tf.where(steep, p[:, i], p[:, j])
    for p, i, j in ((a, 1, 0), (a, 0, 1), (along, 1, 0), (along, 0, 1))
  )
  seen = (folded | table.is_rim) & (tf.abs(span) > 0) & (tf.abs(span) < np.inf)
  seen &= tf.abs(sides[0]) < np.inf
  length = tf.where(seen, span, 1.0)
  lines = [main, cross, a[:, 2], drift / length, along[:, 2] / length, inside]
  lines += [tf.cast(steep, tf.float64), tf.cast(table.is_rim, tf.float64)]
  size = tf.where(steep, np.float64(camera.height), np.float64(camera.width))
  low, high = tf.minimum(main, main + span), tf.maximum(main, main + span)
  # Half open, so that a scanline through a vertex belongs to one of its two edges.
  first = tf.clip_by_value(tf.math.ceil(low - 0.5), 0.0, size)
  last = tf.clip_by_value(tf.math.ceil(high - 0.5), 0.0, size)
  count = tf.where(seen, last - first, 0.0)
  return (
    _Setup(
      tf.stack(lines, axis=1),
      tf.cast(tf.where(seen, first, 0.0), tf.int32),
      tf.cumsum(tf.cast(count, tf.int32)),
    ),
    points,
  )


def _test_pairs(
  state: _Setup,
  points: Tensor,
  owners: Tensor,
  pairs: Tensor,
  ids: Tensor,
  triangles: Tensor,
  table: EdgeTable,
  num_surface: int,
  camera: Camera,
) -> tuple[Tensor, Tensor]:
  """Where each edge crosses each of its scanlines, and whether it is seen there.

  Args:
    state, points: of `_set_up`.
    owners: [C] int32, the edge of each pair.
    pairs: [C] int32, pair numbers; those past the last do nothing.
    ids, triangles, table, num_surface, camera: see `antialias`, of one image.

  Returns:
    [C] int32 slot of [2, H, W] (-1 for none) and [C] int64 keys: nearer is less.
  """
  begin = tf.where(owners > 0, tf.gather(state.ends, tf.maximum(owners - 1, 0)), 0)
  line = tf.gather(state.first, owners) + pairs - begin
  main, cross, near, drift, slope, inside, steep, rim = tf.unstack(
    tf.gather(state.lines, owners), axis=1
  )
  steep, rim = steep > 0, rim > 0
  forward = tf.cast(line, tf.float64) + 0.5 - main
  cross, near = cross + drift * forward, near + slope * forward
  # Clipped before the cast: far off the image a float does not fit an integer.
  largest = float(max(camera.width, camera.height))
  cell = tf.cast(tf.floor(tf.clip_by_value(cross - 0.5, -1.0, largest)), tf.int32)
  limit = tf.where(steep, camera.width, camera.height) - 1
  usable = (pairs < state.ends[-1]) & (cell >= 0) & (cell < limit)
  cell, line = tf.where(usable, cell, 0), tf.where(usable, line, 0)
  row, column = tf.where(steep, line, cell), tf.where(steep, cell, line)
  here = _look(row, column, ids, points, triangles, camera)
  there = _look(
    row + tf.cast(~steep, tf.int32),
    column + tf.cast(steep, tf.int32),
    ids,
    points,
    triangles,
    camera,
  )
  (id_here, near_here), (id_there, near_there) = here, there
  # An outline is seen if what its outside shows is farther than the edge.
  outside = tf.where(inside > 0, near_here, near_there)
  id_inside = tf.where(inside > 0, id_there, id_here)
  outline = (inside != 0) & (id_inside >= 0) & (outside < near)
  between = (id_here >= num_surface) != (id_there >= num_surface)
  between &= (id_here >= 0) & (id_there >= 0)
  behind = near * (1.0 + _RIM_SLACK) < tf.minimum(near_here, near_there)
  usable &= (id_here != id_there) & (outline | (rim & between & ~behind))
  slot = tf.where(steep, 0, camera.height * camera.width) + row * camera.width + column
  # The bits of 2 - nearness, read as an integer, keep its order.
  keys = tf.bitwise.bitwise_and(tf.bitcast(2.0 - near, tf.int64), ~_id_mask(table))
  keys = tf.bitwise.bitwise_or(keys, tf.cast(owners, tf.int64))
  return tf.where(usable, slot, -1), keys


def _look(
  row: Tensor,
  column: Tensor,
  ids: Tensor,
  points: Tensor,
  triangles: Tensor,
  camera: Camera,
) -> tuple[Tensor, Tensor]:
  """The triangle at pixels [C] and how near it is there; 0 where there is none."""
  found = tf.gather(tf.reshape(ids, [-1]), row * camera.width + column)
  corners = tf.gather(points, tf.gather(triangles, tf.maximum(found, 0)))  # [C, 3, 3]
  x = corners[..., 0] - (tf.cast(column, tf.float64) + 0.5)[:, tf.newaxis]
  y = corners[..., 1] - (tf.cast(row, tf.float64) + 0.5)[:, tf.newaxis]
  areas = tf.roll(x, -1, 1) * tf.roll(y, -2, 1) - tf.roll(x, -2, 1) * tf.roll(y, -1, 1)
  near = tf.math.divide_no_nan(
    tf.reduce_sum(areas * corners[..., 2], 1), tf.reduce_sum(areas, 1)
  )
  return found, tf.where(found >= 0, near, 0.0)


def _id_mask(table: EdgeTable) -> int:
  """The low bits of a key, which hold the edge."""
  return (1 << int(table.vertices.shape[0]).bit_length()) - 1


def _blend(values: Tensor, begin: Tensor, end: Tensor, slots: Tensor) -> Tensor:
  """The module's formula.

  Args:
    values: [I, H, W, C].
    begin, end: [I, 2, H, W, 2] pixels, the ends of the edge in each slot.
    slots: [I, 2, H, W], -1 where there is no edge.

  Returns:
    [I, H, W, C].
  """
  height, width = values.shape[1], values.shape[2]
  rows = tf.range(height, dtype=values.dtype)[:, tf.newaxis] + 0.5
  columns = tf.range(width, dtype=values.dtype) + 0.5
  shares = []  # to the first and to the second pixel of a pair, [I, H, W, 1]
  for axis, (at_main, at_cross) in enumerate(((rows, columns), (columns, rows))):
    main, cross = 1 - axis, axis  # of (x, y): scanlines run across y, then across x
    found = slots[:, axis] >= 0
    a, b = begin[:, axis], end[:, axis]
    span = tf.where(found, b[..., main] - a[..., main], 1.0)
    forward = (at_main - a[..., main]) / span
    place = a[..., cross] + forward * (b[..., cross] - a[..., cross]) - at_cross
    # Rounding may put it just beyond a centre.
    place = tf.clip_by_value(tf.where(found, place, 0.5), 0.0, 1.0)
    shares.append(tf.nn.relu(0.5 - place)[..., tf.newaxis])
    shares.append(tf.nn.relu(place - 0.5)[..., tf.newaxis])
  left, right, upper, lower = shares
  right, lower = _shift(right, 2), _shift(lower, 1)  # from the pair to its second pixel
  # A pixel with outlines on three sides could give away more than it has.
  total = tf.maximum(left + right + upper + lower, 1.0)
  change = left * (_shift(values, 2, -1) - values)
  change += right * (_shift(values, 2) - values)
  change += upper * (_shift(values, 1, -1) - values)
  change += lower * (_shift(values, 1) - values)
  return values + change / total


def _shift(image: Tensor, axis: int, by: int = 1) -> Tensor:
  """Moves an image by a pixel; what comes round meets a share of 0."""
  return tf.roll(image, by, axis)


_COMPILED = tuple(
  tf.function(part, jit_compile=True) for part in (_set_up, find_owners, _test_pairs)
)
_COMPILED_BLEND = compiled(_blend)
