"""Which triangle does each pixel see, and where within it.

The two questions are answered apart. Visibility (`triangle_ids`) is a backend's work
and has no gradient. The place within the triangle is then computed from the three
corners of the pixel's triangle (`surface.see_surface`) and is differentiable in
them; so all backends share one gradient. Backend `cpu` computes the same by an
operation of its own.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.types import Framebuffer, Tensor
from personalized_face.rendering import tf_mesh_renderer, xla_rasterizer
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.interpolate import corner_rows
from personalized_face.rendering.kernels import build, ops
from personalized_face.rendering.surface import see_surface

# Name -> triangle_ids(vertices_camera, triangles, camera, jit_compile) -> [I, H, W].
_BACKENDS = {
  "cpu": ops.triangle_ids,
  "tf_mesh_renderer": tf_mesh_renderer.triangle_ids,
  "xla": xla_rasterizer.triangle_ids,
}


def choose_backend(name: str = "auto") -> str:
  """The backend that `name` stands for here.

  Args:
    name: "auto", or one of the backends.

  Returns:
    A backend; "auto" takes the fastest that this machine has: `cpu` where TensorFlow
    sees no accelerator and the kernel is there or can be compiled, else `xla`. A graph
    that is exported, or compiled as a whole, must be given "xla".

  Raises:
    ValueError: no such backend, or its kernel cannot be had.
  """
  if name == "auto":
    devices = {device.device_type for device in tf.config.get_visible_devices()}
    return "cpu" if devices == {"CPU"} and build.load() else "xla"
  if name == "cpu" and build.load() is None:
    raise ValueError("rasterizer 'cpu' has no kernel here, as was warned; take 'auto'")
  if name not in _BACKENDS:
    known = ", ".join(["auto", *sorted(_BACKENDS)])
    raise ValueError(f"there is no rasterizer {name!r}; there are: {known}")
  return name


def triangle_ids(
  vertices_camera: Tensor,
  triangles: np.ndarray,
  camera: Camera,
  backend: str = "auto",
  jit_compile: bool = False,
) -> Tensor:
  """The nearest triangle at each pixel centre, of either orientation.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int. One that has a corner nearer than the near plane, no area, or
      a corner that is not finite is not drawn.
    camera: the camera.
    backend: see `choose_backend`.
    jit_compile: lets the backend compile its inner parts; faster where a model server
      need not load the graph.

  Returns:
    [I, H, W] int32, -1 where there is none. No gradient.
  """
  shapes.check(vertices_camera, "[I, V, 3]", "vertices_camera")
  triangles = np.asarray(triangles)
  shapes.check(triangles, "[T, 3]", "triangles")
  rasterizer = _BACKENDS[choose_backend(backend)]
  return rasterizer(
    tf.stop_gradient(vertices_camera), triangles, camera, jit_compile=jit_compile
  )


def rasterize(
  vertices_camera: Tensor,
  triangles: np.ndarray,
  camera: Camera,
  backend: str = "auto",
  jit_compile: bool = False,
) -> Framebuffer:
  """Triangle ids and perspective-correct barycentrics.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int.
    camera: the camera.
    backend: see `choose_backend`.
    jit_compile: see `triangle_ids`.

  Returns:
    The framebuffer. The barycentrics are differentiable with respect to the vertices;
    the ids, and with them the outline of the mesh, are not.
  """
  backend = choose_backend(backend)
  ids = triangle_ids(vertices_camera, triangles, camera, backend, jit_compile)
  if backend == "cpu":
    return Framebuffer(ids, ops.barycentrics(vertices_camera, triangles, ids, camera))
  rows = corner_rows(vertices_camera, triangles)
  barycentrics, _ = see_surface(rows, ids, camera, jit_compile)
  return Framebuffer(ids, barycentrics)
