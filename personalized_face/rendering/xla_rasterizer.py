"""Backend `xla`: which triangle each pixel sees, in pure TensorFlow.

Static shapes and stock operations only: it runs in graph mode, under
`jit_compile=True`, on any device and in an exported SavedModel.

The image is cut into blocks of 4 x 4 pixels. A triangle of a face at 224 pixels covers
about two pixels, so its box overlaps one or two blocks; a triangle as large as the
image overlaps all of them. Every (triangle, block) pair is one unit of work, whatever
the size of the triangle: the pairs are numbered by a running sum, taken in chunks of a
fixed length by a loop of as many steps as there are pairs, and each chunk tests
16 pixels per pair and keeps the nearest triangle of each pixel by a segment minimum
over packed (depth, id) keys.

Coverage is exact. Vertices are projected in float64 and snapped to 2^-18 pixel; within
256 pixels of the image centre every product and sum of the edge functions then fits
float64's 53 bits without rounding, in any order and with or without fused multiply-add.
Two triangles that share an edge therefore agree on which side a pixel centre lies, and
a centre on the edge goes to one of them by the top-left rule. Farther out the rounding
error stays below 1e-9 pixels.

Memory does not depend on how large the triangles are: 112 bytes a triangle, 580 bytes a
pair of the current chunk (at most 16,384) and 16 bytes a pixel; 13 MB for an image of
224 pixels and 24,000 triangles, counted from the shapes, and two images at a time.

Not drawn: triangles with a corner nearer than the near plane, without area after
snapping, off the image, or not finite. Both sides of a triangle are drawn.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera

_BLOCK = 4  # side of a block, pixels
_LANES = _BLOCK * _BLOCK
_SUBPIXELS = 2.0**18  # steps per pixel
_ID_BITS = 24  # at most; they replace the lowest bits of a 52-bit depth
_MAX_CHUNK = 16384  # pairs; bounds the memory of a step to about 10 MB
_EMPTY = tf.int64.max


class _Setup(NamedTuple):
  """The triangles of one image, ready for the pixel tests."""

  planes: Tensor  # [T, 12] float64: A, B, C, each of three edges and of the depth
  boxes: Tensor  # [T, 3] int32, first block column and row, blocks per row
  ends: Tensor  # [T] int32, running sum of the number of pairs


def triangle_ids(
  vertices_camera: Tensor, triangles: Tensor, camera: Camera, jit_compile: bool = False
) -> Tensor:
  """The nearest triangle at each pixel centre; the lower id where two are equally far.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int, T < 2^24. Their pairs with blocks must stay below 2^31 in an
      image: 170,000 triangles could each fill one of 448 x 448 pixels.
    camera: the camera.
    jit_compile: compile the arithmetic around the scatter, which stays a plain
      operation (on a CPU a compiled scatter is several times slower than it).

  Returns:
    [I, H, W] int32, -1 where there is none. No gradient.
  """
  count = int(triangles.shape[0])
  if count >= 1 << _ID_BITS:
    raise ValueError(f"{count} triangles, at most {(1 << _ID_BITS) - 1} are possible")
  if count == 0:
    return tf.fill([tf.shape(vertices_camera)[0], camera.height, camera.width], -1)
  triangles = tf.cast(triangles, tf.int32)
  return _draw(tf.stop_gradient(vertices_camera), triangles, camera, jit_compile)


# A function of the graph, so that a caller in eager mode need not wrap it himself.
@tf.function
def _draw(
  vertices_camera: Tensor, triangles: Tensor, camera: Camera, jit_compile: bool
) -> Tensor:
  """One image after the other, two at a time: bounds the memory, uses two threads."""
  return tf.map_fn(
    lambda vertices: _draw_image(vertices, triangles, camera, jit_compile),
    vertices_camera,
    fn_output_signature=tf.TensorSpec([camera.height, camera.width], tf.int32),
    parallel_iterations=2,
  )


def _draw_image(
  vertices: Tensor, triangles: Tensor, camera: Camera, jit_compile: bool
) -> Tensor:
  """[V, 3] -> [H, W] ids."""
  # Compiled apart: in one piece, XLA would repeat the search for every pixel.
  setup, owners_of, test_pairs = (
    _COMPILED if jit_compile else (_setup, find_owners, _test_pairs)
  )
  chunk = min(_MAX_CHUNK, max(1024, triangles.shape[0]))
  num_blocks = math.prod(_blocks(camera))
  state = setup(vertices, triangles, camera)

  def step(first_pair, nearest):
    pairs = first_pair + tf.range(chunk)
    owners = owners_of(state.ends, pairs)
    block, keys = test_pairs(state, owners, pairs, camera)
    found = tf.math.unsorted_segment_min(keys, block, num_blocks)
    return first_pair + chunk, tf.minimum(nearest, found)

  _, nearest = tf.while_loop(
    lambda first_pair, _: first_pair < state.ends[-1],
    step,
    (tf.constant(0), tf.fill([num_blocks, _LANES], _EMPTY)),
  )
  return _unpack(nearest, state, camera)


def _setup(vertices: Tensor, triangles: Tensor, camera: Camera) -> _Setup:
  """Projects, drops what cannot be seen, and derives the planes of the rest."""
  x, y, z = tf.unstack(tf.cast(vertices, tf.float64), axis=-1)  # [V]
  inverse = 1.0 / tf.maximum(-z, camera.near)
  scale = camera.focal_pixels * _SUBPIXELS * inverse
  # Pixels from the image centre: the smaller the numbers, the more bits for fractions.
  shift_x = (camera.principal_x - camera.width / 2) * _SUBPIXELS
  shift_y = (camera.principal_y - camera.height / 2) * _SUBPIXELS
  columns = tf.round(shift_x + scale * x) / _SUBPIXELS
  rows = tf.round(shift_y - scale * y) / _SUBPIXELS
  # Behind the near plane: not a number, which no comparison below lets through.
  columns = tf.where(-z >= camera.near, columns, math.nan)
  px, py, nearness = (
    [tf.gather(values, triangles[:, k]) for k in range(3)]
    for values in (columns, rows, camera.near * inverse)
  )  # three times [T] each; nearness in (0, 1]

  # Edge k lies opposite corner k: E_k(p) = A_k x + B_k y + C_k, twice the area of the
  # triangle that p makes with the edge, positive inside once the sign is settled.
  ends = ((1, 2), (2, 0), (0, 1))
  a = [py[i] - py[j] for i, j in ends]
  b = [px[j] - px[i] for i, j in ends]
  c = [px[i] * py[j] - px[j] * py[i] for i, j in ends]
  doubled_area = a[0] * px[0] + b[0] * py[0] + c[0]
  size = tf.abs(doubled_area)
  drawn = (size > 0) & (size < math.inf)
  sign = tf.sign(doubled_area)
  a, b, c = ([sign * k for k in plane] for plane in (a, b, c))
  # Nearness is affine over the image: the E-weighted mean of the corners'. The fourth
  # plane is 2 - nearness: its bits, read as an integer, keep its order.
  for plane, constant in ((a, 0.0), (b, 0.0), (c, 2.0)):
    mean = tf.add_n([k * n for k, n in zip(plane, nearness, strict=True)]) / size
    plane.append(constant - mean)
  # Top-left rule: a centre on the edge is inside if the inside lies to the right, or
  # straight below. Else half of the smallest step of E puts it outside.
  for k in range(3):
    inclusive = (a[k] > 0) | ((a[k] == 0) & (b[k] > 0))
    c[k] -= tf.where(inclusive, tf.constant(0, tf.float64), 0.5 / _SUBPIXELS**2)
  first_column, last_column = _pixel_range(px, camera.width)
  first_row, last_row = _pixel_range(py, camera.height)
  drawn &= (first_column <= last_column) & (first_row <= last_row)
  first_column, first_row = first_column // _BLOCK, first_row // _BLOCK
  across = tf.maximum(last_column // _BLOCK - first_column + 1, 1)
  down = last_row // _BLOCK - first_row + 1
  return _Setup(
    tf.stack([*a, *b, *c], axis=1),
    tf.stack([first_column, first_row, across], axis=1),
    tf.cumsum(tf.where(drawn, across * down, 0)),
  )


def _pixel_range(corners: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
  """First and last pixel [T] whose centres lie between the corners, on the image.

  The first lies behind the last where there is none.
  """
  low = tf.minimum(tf.minimum(corners[0], corners[1]), corners[2]) + size / 2
  high = tf.maximum(tf.maximum(corners[0], corners[1]), corners[2]) + size / 2
  # Clipped before the cast: far off the image a float does not fit an integer.
  first = tf.clip_by_value(tf.math.ceil(low - 0.5), 0.0, float(size))
  last = tf.clip_by_value(tf.floor(high - 0.5), -1.0, size - 1.0)
  return tf.cast(first, tf.int32), tf.cast(last, tf.int32)


def _test_pairs(
  setup: _Setup, owners: Tensor, pairs: Tensor, camera: Camera
) -> tuple[Tensor, Tensor]:
  """Tests the 16 pixels of each (triangle, block) pair.

  Args:
    setup: of one image.
    owners: [C] int32, the triangle of each pair.
    pairs: [C] int32, pair numbers; those past the last do nothing.
    camera: the camera.

  Returns:
    [C] int32 block of each pair (-1 for none), and [C, 16] int64 keys: nearer is less.
  """
  begin = tf.where(owners > 0, tf.gather(setup.ends, tf.maximum(owners - 1, 0)), 0)
  column, row, across = tf.unstack(tf.gather(setup.boxes, owners), axis=1)  # [C]
  column += (pairs - begin) % across
  row += (pairs - begin) // across
  block = tf.where(pairs < setup.ends[-1], row * _blocks(camera)[1] + column, -1)
  # The centre of the block's first pixel, then the steps to the others.
  x = tf.cast(column * _BLOCK, tf.float64) + (0.5 - camera.width / 2)
  y = tf.cast(row * _BLOCK, tf.float64) + (0.5 - camera.height / 2)
  lanes = tf.range(_LANES)
  step_x = tf.cast(lanes % _BLOCK, tf.float64)
  step_y = tf.cast(lanes // _BLOCK, tf.float64)
  planes = tf.unstack(tf.gather(setup.planes, owners), axis=1)  # 12 times [C]
  values = []  # of the three edges and the depth at each pixel, [C, 16]
  for a, b, c in zip(planes[:4], planes[4:8], planes[8:], strict=True):
    first = (c + a * x + b * y)[:, tf.newaxis]
    values.append(first + a[:, tf.newaxis] * step_x + b[:, tf.newaxis] * step_y)
  covered = tf.minimum(tf.minimum(values[0], values[1]), values[2]) >= 0.0
  keys = tf.bitwise.bitwise_and(tf.bitcast(values[3], tf.int64), ~_id_mask(setup))
  keys = tf.bitwise.bitwise_or(keys, tf.cast(owners, tf.int64)[:, tf.newaxis])
  return block, tf.where(covered, keys, _EMPTY)


def find_owners(ends: Tensor, pairs: Tensor) -> Tensor:
  """The triangle that each pair number belongs to: a binary search.

  `tf.searchsorted` compiles to a comparison of all with all.

  Args:
    ends: [T] int32, running sum of the triangles' pairs.
    pairs: [C] int32.

  Returns:
    [C] int32; T - 1 for numbers past the last.
  """
  count = ends.shape[0]
  found = tf.zeros_like(pairs)  # how many ends are known to be <= the number
  step = 1 << (count.bit_length() - 1)
  while step:
    candidate = found + step
    end = tf.gather(ends, tf.minimum(candidate, count) - 1)
    found = tf.where((candidate <= count) & (end <= pairs), candidate, found)
    step //= 2
  return tf.minimum(found, count - 1)


def _blocks(camera: Camera) -> tuple[int, int]:
  """Rows and columns of blocks that cover the image."""
  return -(-camera.height // _BLOCK), -(-camera.width // _BLOCK)


def _id_mask(setup: _Setup) -> int:
  """The low bits of a key, which hold the triangle's id."""
  return (1 << setup.ends.shape[0].bit_length()) - 1


def _unpack(nearest: Tensor, setup: _Setup, camera: Camera) -> Tensor:
  """[blocks, 16] keys -> [H, W] ids."""
  blocks = _blocks(camera)
  ids = tf.cast(tf.bitwise.bitwise_and(nearest, _id_mask(setup)), tf.int32)
  ids = tf.where(nearest == _EMPTY, -1, ids)
  ids = tf.reshape(ids, [blocks[0], blocks[1], _BLOCK, _BLOCK])
  ids = tf.transpose(ids, [0, 2, 1, 3])
  ids = tf.reshape(ids, [blocks[0] * _BLOCK, blocks[1] * _BLOCK])
  return ids[: camera.height, : camera.width]


_COMPILED = tuple(
  tf.function(part, jit_compile=True) for part in (_setup, find_owners, _test_pairs)
)
