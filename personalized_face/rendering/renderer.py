"""`RendererLayer`: posed vertices, albedo maps and light to pictures (Section 3.3).

Vertices -> normals -> corners of triangles | visibility -> per pixel: barycentrics,
normal, texture coordinates -> albedo and parsing looked up in UV maps -> shading
-> (antialias).
"""

import keras
import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.topology import VertexNormals, normalize
from personalized_face.core.types import Rendering, Tensor
from personalized_face.core.uv import (
  blend_quads,
  look_up,
  texel_index,
  texel_quads,
)
from personalized_face.rendering.antialias import antialias, edge_table
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.compiled import compiled
from personalized_face.rendering.interpolate import (
  blend_corners,
  corner_operator,
  corner_rows,
  pixel_rows,
)
from personalized_face.rendering.kernels import ops
from personalized_face.rendering.rasterize import choose_backend, triangle_ids
from personalized_face.rendering.shading import shade
from personalized_face.rendering.surface import see_surface


class RendererLayer(keras.layers.Layer):
  """Renders one textured mesh per frame. No variables.

  Visibility is not differentiated; all else is: the image, the normals and the parsing
  probabilities have gradients with respect to vertices, albedo maps and light. With
  `antialias` coverage is too, in image, mask and parsing.
  """

  def __init__(
    self,
    triangles: np.ndarray,
    hole_triangles: np.ndarray,
    uv: np.ndarray,
    label_map: np.ndarray,
    camera: Camera,
    backend: str = "auto",
    jit_compile: bool = False,
    antialias: bool = False,
    **kwargs,
  ):
    """Precomputes the tables of the mesh.

    Args:
      triangles: [T, 3] int, the surface.
      hole_triangles: [E, 3] int, E >= 0: they close the holes of the surface (eyes,
        mouth), hide what lies behind them, and appear in `parsing` alone.
      uv: [V, 2] texture coordinates.
      label_map: [U', U', P] float, class probabilities over UV.
      camera: the camera.
      backend: of the rasterizer, see `rasterize.choose_backend`.
      jit_compile: compile the arithmetic between the gathers and scatters. Faster on a
        CPU than plain graph mode and than compiling everything; leave it off in what a
        model server must load. Backend `cpu` has nothing to compile.
      antialias: blend image, mask and parsing across the outlines of the mesh and of
        its holes; they then have a gradient there, and the mask is a coverage.
      **kwargs: name and such, for Keras.
    """
    kwargs.setdefault("dtype", "float32")
    super().__init__(trainable=False, **kwargs)
    self.camera = camera
    self._backend = choose_backend(backend)
    self._jit_compile = jit_compile
    self._antialias = antialias
    self._num_surface = len(triangles)
    self._triangles = np.concatenate([triangles, hole_triangles]).astype(np.int32)
    self._edges = edge_table(self._triangles, len(triangles)) if antialias else None
    self._label_map = np.asarray(label_map)
    self._uv = np.asarray(uv)
    if self._backend == "cpu":
      return  # its operations need none of the tables below
    self._normals = VertexNormals(triangles, len(uv))
    self._corners = corner_operator(self._triangles, len(uv))
    self._uv_rows = np.asarray(uv)[self._triangles].reshape(-1, 6)
    self._label_side = label_map.shape[0]
    labels = tf.constant(label_map)[tf.newaxis]
    self._label_quads = texel_quads(labels)[0].numpy()  # [U' * U', 4 * P]
    self._make_rows, self._unwrap, self._finish = (
      compiled(part) if jit_compile else part
      for part in (self._vertices_to_rows, self._surface_to_uv, self._pixels_to_images)
    )

  def call(
    self, vertices_camera: Tensor, albedo_maps: Tensor, light: Tensor
  ) -> Rendering:
    """Renders.

    Args:
      vertices_camera: [B, N, V, 3] decimetres, camera space.
      albedo_maps: [B, N, U, U, 3] linear RGB.
      light: [B, N, 9, 3] spherical-harmonics coefficients, camera space.

    Returns:
      The rendering; mask, image, albedo, shading and normals are 0 off the surface
      (holes included), the parsing is class 0 off the mesh. Antialiased, the mask is in
      [0, 1], and image and parsing are mixtures in the pixels of the outline.
    """
    shapes.check(vertices_camera, "[B, N, V, 3]", "vertices_camera")
    side = shapes.check(albedo_maps, "[B, N, U, U, 3]", "albedo_maps")["U"]
    shapes.check(light, "[B, N, 9, 3]", "light")
    lead = tf.shape(vertices_camera)[:2]
    vertices = tf.reshape(vertices_camera, [-1, vertices_camera.shape[2], 3])
    maps = tf.reshape(albedo_maps, [-1, side, side, 3])
    light = tf.reshape(light, [-1, 9, 3])

    ids = triangle_ids(
      vertices, self._triangles, self.camera, self._backend, self._jit_compile
    )
    draw = self._draw_with_kernels if self._backend == "cpu" else self._draw
    rendering = draw(ids, vertices, maps, light)
    if self._antialias:
      rendering = self._blend_outlines(rendering, ids, vertices)

    def unflatten(image):  # [I, H, W, ...] -> [B, N, H, W, ...]
      restored = tf.reshape(image, tf.concat([lead, tf.shape(image)[1:]], axis=0))
      return tf.ensure_shape(restored, vertices_camera.shape[:2] + image.shape[1:])

    return Rendering(*(unflatten(image) for image in rendering))

  def _draw_with_kernels(
    self, ids: Tensor, vertices: Tensor, maps: Tensor, light: Tensor
  ) -> tuple[Tensor, ...]:
    """`_draw` by backend `cpu`: each step, and its gradient, is one operation."""
    triangles = tf.constant(self._triangles)
    surface = triangles[: self._num_surface]
    on_surface = tf.where(self._on_surface(ids), ids, -1)
    weights = ops.barycentrics(vertices, triangles, ids, self.camera)
    directions = ops.vertex_normals(vertices, surface)
    normals = ops.interpolate(
      directions, triangles, on_surface, weights, normalize=True
    )
    uv = ops.interpolate(self._uv, triangles, ids, weights)
    albedo = ops.sample_uv(maps, uv, on_surface)
    image, shading = ops.shade(albedo, normals, light, on_surface)
    # Off the mesh the first class, "background", is certain.
    parsing = ops.sample_uv(self._label_map, uv, ids, fill=1.0)
    mask = tf.cast(on_surface >= 0, image.dtype)
    return image, mask, albedo, shading, normals, parsing

  def _draw(
    self, ids: Tensor, vertices: Tensor, maps: Tensor, light: Tensor
  ) -> tuple[Tensor, ...]:
    """The fields of a `Rendering` in stock operations, whatever found the visibility.

    Args:
      ids: [I, H, W].
      vertices: [I, V, 3].
      maps: [I, U, U, 3].
      light: [I, 9, 3].

    Returns:
      image, mask, albedo, shading, normals and parsing, each [I, H, W, ...].
    """
    side = maps.shape[1]
    rows = self._make_rows(vertices)
    weights, directions = see_surface(rows, ids, self.camera, self._jit_compile)
    normals, uv = self._unwrap(weights, directions, ids)
    texel, place = texel_index(uv, side)
    texel = pixel_rows(tf.where(self._on_surface(ids), texel, -1), side * side)
    quads = tf.reshape(texel_quads(maps), [-1, 12])
    albedo = look_up(quads, texel, place, self._jit_compile)
    return self._finish(normals, uv, albedo, light, ids)

  def _vertices_to_rows(self, vertices: Tensor) -> Tensor:
    """[I, V, 3] -> [I, T + E, 18]: position and normal of the corners, by corner."""
    attributes = tf.concat([vertices, self._normals(vertices)], axis=-1)
    return corner_rows(attributes, self._triangles, self._corners)

  def _surface_to_uv(
    self, weights: Tensor, directions: Tensor, ids: Tensor
  ) -> tuple[Tensor, Tensor]:
    """Unit normals, 0 off the surface, and texture coordinates, 0 off the mesh.

    Args:
      weights: [I, H, W, 3] barycentrics.
      directions: [I, H, W, 3] interpolated normals, any length.
      ids: [I, H, W].

    Returns:
      [I, H, W, 3] and [I, H, W, 2].
    """
    surface = self._on_surface(ids)[..., tf.newaxis]
    normals = tf.where(surface, normalize(directions), tf.zeros_like(directions))
    uv_rows = tf.gather(tf.constant(self._uv_rows, weights.dtype), tf.maximum(ids, 0))
    return normals, blend_corners(uv_rows, weights)

  def _pixels_to_images(
    self, normals: Tensor, uv: Tensor, albedo: Tensor, light: Tensor, ids: Tensor
  ) -> tuple[Tensor, ...]:
    """The fields of a `Rendering`.

    Args:
      normals: [I, H, W, 3].
      uv: [I, H, W, 2].
      albedo: [I, H, W, 3], 0 off the surface.
      light: [I, 9, 3].
      ids: [I, H, W].

    Returns:
      image, mask, albedo, shading, normals and parsing, each [I, H, W, ...].
    """
    mask = tf.cast(self._on_surface(ids), normals.dtype)
    image, shading = shade(albedo, normals, light)
    texel, place = texel_index(uv, self._label_side)
    labels = tf.gather(tf.constant(self._label_quads, uv.dtype), texel)
    # Off the mesh the first class, "background", is certain.
    background = tf.one_hot(0, labels.shape[-1] // 4, dtype=uv.dtype)
    covered = (ids >= 0)[..., tf.newaxis]
    parsing = tf.where(covered, blend_quads(labels, place), background)
    return image, mask, albedo, shading * mask[..., tf.newaxis], normals, parsing

  def _blend_outlines(
    self, rendering: tuple[Tensor, ...], ids: Tensor, vertices: Tensor
  ) -> tuple[Tensor, ...]:
    """Image, mask and parsing of `_pixels_to_images` antialiased, the rest as it is."""
    image, mask, albedo, shading, normals, parsing = rendering
    blended = antialias(
      tf.concat([image, mask[..., tf.newaxis], parsing], axis=-1),
      ids,
      vertices,
      self._triangles,
      self._edges,
      self._num_surface,
      self.camera,
      self._jit_compile,
    )
    image, mask, parsing = tf.split(blended, [3, 1, parsing.shape[-1]], axis=-1)
    return image, mask[..., 0], albedo, shading, normals, parsing

  def _on_surface(self, ids: Tensor) -> Tensor:
    """[I, H, W] bool: the pixel sees the surface, not a hole or nothing."""
    return (ids >= 0) & (ids < self._num_surface)
