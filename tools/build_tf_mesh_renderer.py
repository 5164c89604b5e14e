r"""Builds the paper's own rasterizer, for the backend tf_mesh_renderer.

  pface_build_tf_mesh_renderer
  pface_build_tf_mesh_renderer --sources=mesh_renderer-1.4

Needs Bazel and a C++ compiler. Bazel fetches google/tf_mesh_renderer at the commit that
WORKSPACE pins and compiles its kernel against the installed TensorFlow; with --sources
it takes the files of that folder instead, and nothing is fetched (Debian's
bazel-bootstrap will do). The library goes into the user's cache; the environment
variable PERSONALIZED_FACE_TF_MESH_RENDERER names another place.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "sources", None, "A folder with the sources of tf_mesh_renderer or mesh-renderer."
)


def main(argv: Sequence[str]) -> None:
  """Builds, and says where the library lies."""
  del argv
  from personalized_face.pipelines.tf_mesh_renderer import build_kernel

  print(f"Built {build_kernel(FLAGS.sources)}; set build_system.rasterizer to use it.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
