"""The kernels as functions of tensors, with their gradients.

The vocabulary of the renderer: `triangle_ids` and `barycentrics` (rasterize),
`interpolate`, `sample_uv`, `shade`; and `vertex_normals`. All take float32 or float64,
run on the CPU on TensorFlow's own threads, one image per thread (where there are fewer
images than threads, one band of rows; gradients are always summed image by image), and
repeat bit for bit whatever the number of threads. Pixels whose id is negative are left
out. There are no second derivatives.

Every function needs `build.load()` to have found a library.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.kernels import build


def triangle_ids(
  vertices_camera: Tensor,
  triangles: np.ndarray,
  camera: Camera,
  jit_compile: bool = False,
) -> Tensor:
  """The nearest triangle at each pixel centre; the lower id where two are equally far.

  The same pixels as the xla backend's, as the arithmetic is the same.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int, T < 2^24.
    camera: the camera.
    jit_compile: there is nothing to compile.

  Returns:
    [I, H, W] int32, -1 where there is none. No gradient.
  """
  del jit_compile
  return build.load().pface_triangle_ids(
    tf.stop_gradient(vertices_camera),
    tf.cast(triangles, tf.int32),
    _lens(camera),
    height=camera.height,
    width=camera.width,
  )


def barycentrics(
  vertices_camera: Tensor, triangles: np.ndarray, ids: Tensor, camera: Camera
) -> Tensor:
  """Where within its triangle each pixel lies.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int.
    ids: [I, H, W] int32 in [-1, T).
    camera: the camera.

  Returns:
    [I, H, W, 3] perspective-correct, sum 1; 0 where no triangle. Differentiable in the
    vertices.
  """
  library = build.load()
  triangles, lens = tf.cast(triangles, tf.int32), _lens(camera)

  @tf.custom_gradient
  def weigh(vertices):
    def gradient(upstream):
      return library.pface_barycentrics_grad(vertices, triangles, ids, lens, upstream)

    return library.pface_barycentrics(vertices, triangles, ids, lens), gradient

  return weigh(vertices_camera)


def interpolate(
  attributes: Tensor,
  triangles: np.ndarray,
  ids: Tensor,
  weights: Tensor,
  normalize: bool = False,
) -> Tensor:
  """Attribute of the surface point that each pixel sees.

  Args:
    attributes: [I, V, C]; or [V, C] the same in all images, which get no gradient.
    triangles: [T, 3] int.
    ids: [I, H, W] int32 in [-1, T).
    weights: [I, H, W, 3] barycentrics.
    normalize: to unit length; C is 3.

  Returns:
    [I, H, W, C], 0 where no triangle. Differentiable in the attributes and the weights.
  """
  library = build.load()
  triangles = tf.cast(triangles, tf.int32)

  def blend(attributes, weights, constant):
    def gradient(upstream):
      return library.pface_interpolate_grad(
        attributes,
        triangles,
        ids,
        weights,
        upstream,
        normalize=normalize,
        constant=constant,
      )

    blended = library.pface_interpolate(
      attributes, triangles, ids, weights, normalize=normalize
    )
    return blended, gradient

  return _read_table(blend, attributes, 3, weights)


def sample_uv(maps: Tensor, uv: Tensor, ids: Tensor, fill: float = 0.0) -> Tensor:
  """Bilinear look-up; places and borders as `core.uv.sample_uv`.

  Args:
    maps: [I, U, U, C] one map per image; or [U, U, C] for all, which gets no gradient.
    uv: [I, H, W, 2] texture coordinates.
    ids: [I, H, W] int32.
    fill: value of the first channel where the id is negative.

  Returns:
    [I, H, W, C]; (fill, 0, ...) where the id is negative. Differentiable in both.
  """
  library = build.load()

  def read(maps, uv, constant):
    def gradient(upstream):
      return library.pface_sample_uv_grad(maps, uv, ids, upstream, constant=constant)

    return library.pface_sample_uv(maps, uv, ids, fill=fill), gradient

  return _read_table(read, maps, 4, uv)


def shade(
  albedo: Tensor, normals: Tensor, light: Tensor, ids: Tensor
) -> tuple[Tensor, Tensor]:
  """Lambertian skin under distant light, as `rendering.shading.shade`.

  Args:
    albedo: [I, H, W, 3] linear RGB.
    normals: [I, H, W, 3] unit length, camera space.
    light: [I, 9, 3] spherical-harmonics coefficients.
    ids: [I, H, W] int32.

  Returns:
    image, albedo times shading, and shading, the irradiance: [I, H, W, 3], 0 where the
    id is negative. Differentiable in albedo, normals and light.
  """
  library = build.load()

  @tf.custom_gradient
  def light_up(albedo, normals, light):
    image, shading = library.pface_shade(albedo, normals, light, ids)

    def gradient(to_image, to_shading):
      return library.pface_shade_grad(
        albedo, normals, light, ids, shading, to_image, to_shading
      )

    return (image, shading), gradient

  return light_up(albedo, normals, light)


def vertex_normals(vertices: Tensor, triangles: np.ndarray) -> Tensor:
  """Area-weighted unit normals, as `core.topology.vertex_normals`.

  Args:
    vertices: [I, V, 3], any unit.
    triangles: [T, 3] int.

  Returns:
    [I, V, 3]; 0, with gradient 0, at a vertex without area around it.
  """
  library = build.load()
  triangles = tf.cast(triangles, tf.int32)

  @tf.custom_gradient
  def sum_up(vertices):
    def gradient(upstream):
      return library.pface_vertex_normals_grad(vertices, triangles, upstream)

    return library.pface_vertex_normals(vertices, triangles), gradient

  return sum_up(vertices)


def _read_table(
  kernel: Callable[..., tuple], table: Tensor, rank: int, places: Tensor
) -> Tensor:
  """Calls a kernel that looks up values, in a table per image or in one for all.

  Args:
    kernel: (table, places, constant) -> values, and a function from their gradient to
      those of table and places; a `constant` table's is not computed.
    table: the images' tables; or, of one axis less, a constant of all images.
    rank: of the images' tables.
    places: where to look; sets the type.

  Returns:
    The values.
  """
  if len(table.shape) == rank:
    return tf.custom_gradient(lambda t, p: kernel(t, p, False))(table, places)
  shared = tf.stop_gradient(tf.convert_to_tensor(table, places.dtype)[tf.newaxis])

  @tf.custom_gradient
  def read_shared(places):
    values, gradient = kernel(shared, places, True)
    return values, lambda upstream: gradient(upstream)[1]

  return read_shared(places)


def _lens(camera: Camera) -> Tensor:
  """What an attribute would round to float32: [4] float64."""
  numbers = [camera.focal_pixels, camera.principal_x, camera.principal_y, camera.near]
  return tf.constant(numbers, tf.float64)
