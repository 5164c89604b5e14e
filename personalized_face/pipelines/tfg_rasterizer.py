"""tensorflow-graphics' CPU rasterizer, to be measured against.

Its wheel has the kernel compiled for another TensorFlow, and its sources beside that.
They are compiled here into a folder that the caller throws away; the library's own
Python then computes barycentrics and their gradient (`differentiable_barycentrics`) and
interpolates, as its `triangle_rasterizer` does.
"""

import importlib.util
import os
import shutil
import subprocess
from types import ModuleType

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.topology import VertexNormals, normalize
from personalized_face.core.types import Tensor
from personalized_face.core.uv import sample_uv
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.clip_space import to_clip_space
from personalized_face.rendering.shading import shade

_NO_CULLING = 0  # of the kernel's face culling modes: both sides are drawn, as by ours


def compile_kernel(folder: str) -> str:
  """Compiles the sources in the installed wheel against the installed TensorFlow.

  Args:
    folder: for the sources and the library.

  Returns:
    The library's path.

  Raises:
    UserError: no compiler, no sources, or they do not compile.
  """
  compiler = shutil.which(os.environ.get("CXX", "g++"))
  if not compiler:
    raise UserError("There is no C++ compiler (g++, or what CXX names).")
  package = importlib.util.find_spec("tensorflow_graphics")
  if not package or not package.submodule_search_locations:
    raise UserError("tensorflow-graphics is not installed.")
  kernels = os.path.join(package.submodule_search_locations[0], "rendering", "kernels")
  names = ("rasterize_triangles_impl.h", "rasterize_triangles_impl.cc")
  names += ("rasterize_triangles_op.cc",)
  for name in names:
    if not os.path.isfile(os.path.join(kernels, name)):
      raise UserError(f"tensorflow-graphics' wheel holds no {name}.")
    with open(os.path.join(kernels, name), encoding="utf-8") as file:
      text = file.read()
    # tf_mesh_renderer's op has the same name, and a process has one of a name.
    text = text.replace('"RasterizeTriangles"', '"TfgRasterizeTriangles"')
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
      file.write(text)
  library = os.path.join(folder, "tfg_rasterizer.so")
  sources = [os.path.join(folder, name) for name in names if name.endswith(".cc")]
  built = subprocess.run(
    [compiler, "-O2", "-fPIC", "-shared", "-w", *sources, "-o", library]
    + [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()],
    capture_output=True,
    text=True,
  )
  if built.returncode:
    raise UserError(f"tensorflow-graphics' kernel does not compile: {built.stderr}")
  return library


class TfgRenderer:
  """The renderer's graph over tensorflow-graphics' kernel."""

  def __init__(
    self, library: str, triangles: np.ndarray, uv: np.ndarray, camera: Camera
  ):
    """Loads the kernel.

    Args:
      library: of `compile_kernel`.
      triangles: [T, 3].
      uv: [V, 2].
      camera: the camera.
    """
    self._kernel: ModuleType = tf.load_op_library(library)
    self._triangles = np.asarray(triangles, np.int32)
    self._uv = np.asarray(uv, np.float32)
    self._camera = camera
    self._normals = VertexNormals(self._triangles, len(uv))

  def triangle_ids(self, vertices_camera: Tensor) -> Tensor:
    """[I, V, 3], I static, to ids [I, H, W] int32, -1 where there is none."""
    ids, depth = self._rasterize(to_clip_space(vertices_camera, self._camera))
    return tf.where(depth < 1.0, ids, -1)

  def render(self, vertices_camera: Tensor, maps: Tensor, light: Tensor) -> Tensor:
    """Shaded images.

    Args:
      vertices_camera: [I, V, 3] decimetres, I static.
      maps: [I, U, U, 3] albedo.
      light: [I, 9, 3].

    Returns:
      [I, H, W, 3], differentiable in vertices, maps and light.
    """
    from tensorflow_graphics.rendering import barycentrics, interpolate
    from tensorflow_graphics.rendering import framebuffer as framebuffers

    clip = to_clip_space(vertices_camera, self._camera)
    ids, depth = self._rasterize(clip)
    mask = tf.cast(depth < 1.0, tf.float32)[..., tf.newaxis]
    weights = framebuffers.RasterizedAttribute(tf.zeros([*ids.shape, 3]), None, None)
    buffer = framebuffers.Framebuffer(
      foreground_mask=mask,
      triangle_id=ids[..., tf.newaxis],
      vertex_ids=tf.gather(self._triangles, ids),
      barycentrics=weights,
    )
    buffer = barycentrics.differentiable_barycentrics(buffer, clip, self._triangles)
    uv = tf.tile(self._uv[np.newaxis], [len(ids), 1, 1])
    attributes = tf.concat([self._normals(vertices_camera), uv], axis=-1)
    pixels = interpolate.interpolate_vertex_attribute(attributes, buffer).value
    normals, uv = normalize(pixels[..., :3]), pixels[..., 3:]
    image, _ = shade(sample_uv(maps, uv), normals, light)
    return image * mask

  def _rasterize(self, clip: Tensor) -> tuple[Tensor, Tensor]:
    """[I, V, 4] to ids and depths [I, H, W]: image by image, as the library does."""
    ids, depths = [], []
    for image in range(clip.shape[0]):
      _, found, depth = self._kernel.tfg_rasterize_triangles(
        tf.stop_gradient(clip[image]),
        self._triangles,
        self._camera.width,
        self._camera.height,
        1,
        _NO_CULLING,
      )
      ids.append(found[0])
      depths.append(depth[0])
    shape = [clip.shape[0], self._camera.height, self._camera.width]
    # The op has no shape function.
    return tuple(tf.ensure_shape(tf.stack(x), shape) for x in (ids, depths))
