"""Backend `tf_mesh_renderer`: the rasterizer of the paper's own renderer (its [16]).

The kernel is Google's; Bazel compiles it from a pinned commit of theirs, which
WORKSPACE names; `pface_build_tf_mesh_renderer` does so and puts it where this module
looks. It takes one image, in float32, on one thread; images go through `tf.map_fn`,
several at a time. CPU only, and no part of an exported SavedModel: a model server does
not have the library.

Its ids may differ from the other backends' where a pixel centre lies within float32
rounding of an edge (it has no top-left rule: both triangles cover a centre on a shared
edge, and the nearer or later one keeps it), or where float32 sees no difference in
depth.
"""

import functools
import os
from types import ModuleType

import tensorflow as tf

from personalized_face.core.cache import cache_folder
from personalized_face.core.errors import UserError
from personalized_face.core.types import Tensor
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.clip_space import drawn_triangles, to_clip_space

PATH_VARIABLE = "PERSONALIZED_FACE_TF_MESH_RENDERER"


def library_path() -> str:
  """Where the compiled kernel lies, or would lie.

  Returns:
    What the environment variable PERSONALIZED_FACE_TF_MESH_RENDERER names; or else a
    file in the user's cache that carries TensorFlow's version, to which it is tied.
  """
  named = os.environ.get(PATH_VARIABLE)
  if named:
    return named
  name = f"tf_mesh_renderer-tensorflow-{tf.__version__}.so"
  return os.path.join(cache_folder(), name)


@functools.lru_cache(maxsize=4)
def load_kernel(path: str) -> ModuleType:
  """Loads the compiled kernel.

  Args:
    path: of the library.

  Returns:
    A module with the op `rasterize_triangles`.

  Raises:
    UserError: it has not been built, or for another TensorFlow.
  """
  if not os.path.exists(path):
    raise UserError(
      f"The rasterizer tf_mesh_renderer is not built ({path} does not exist); run"
      " pface_build_tf_mesh_renderer, or choose another rasterizer."
    )
  try:
    return tf.load_op_library(path)
  except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
    raise UserError(
      f"{path} does not load into TensorFlow {tf.__version__}; build it again with"
      " pface_build_tf_mesh_renderer."
    ) from error


def triangle_ids(
  vertices_camera: Tensor, triangles: Tensor, camera: Camera, jit_compile: bool = False
) -> Tensor:
  """The nearest triangle at each pixel centre.

  Args:
    vertices_camera: [I, V, 3] decimetres, camera space.
    triangles: [T, 3] int.
    camera: the camera.
    jit_compile: no effect; XLA cannot compile the kernel.

  Returns:
    [I, H, W] int32, -1 where there is none. No gradient.

  Raises:
    UserError: the kernel is not there.
  """
  del jit_compile
  load_kernel(library_path())
  if not triangles.shape[0]:
    return tf.fill([tf.shape(vertices_camera)[0], camera.height, camera.width], -1)
  return _draw(tf.stop_gradient(vertices_camera), tf.cast(triangles, tf.int32), camera)


# A function of the graph: only there does map_fn take several images at a time.
@tf.function
def _draw(vertices_camera: Tensor, triangles: Tensor, camera: Camera) -> Tensor:
  kernel = load_kernel(library_path())

  def draw_image(vertices):
    vertices = tf.cast(vertices, tf.float32)
    drawn = drawn_triangles(vertices, triangles, camera)
    finite = tf.where(tf.math.is_finite(vertices), vertices, 0.0)
    _, ids, depth = kernel.rasterize_triangles(
      to_clip_space(finite, camera), drawn, camera.width, camera.height
    )
    # The kernel says 0 where nothing is, and leaves the depth at its farthest there.
    return tf.where(depth < 1.0, ids, -1)

  return tf.map_fn(
    draw_image,
    vertices_camera,
    fn_output_signature=tf.TensorSpec([camera.height, camera.width], tf.int32),
  )
