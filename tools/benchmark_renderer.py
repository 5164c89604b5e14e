r"""Measures the renderer: every backend, beside two other renderers' kernels.

  pface_benchmark_renderer --quick
  pface_benchmark_renderer --json=renderer.json

Prints tables in Markdown: milliseconds per image of finding the visible triangles
(forward) and of rendering with the gradients to vertices and albedo maps (forward and
backward); how they grow with pixels, images and triangles; on two threads and on one.
All contenders take turns in one process, figures are medians.

tensorflow-graphics' kernel is compiled for this from the sources in its wheel (g++);
tf_mesh_renderer's must have been built (pface_build_tf_mesh_renderer). What is missing
is said, and is null in the JSON file. The whole takes minutes, --quick half a minute.
How much of a training step is rendering, pface_benchmark_training says.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("json", None, "A file for the figures.")
flags.DEFINE_bool("quick", False, "One case, few rounds, two threads.")


def main(argv: Sequence[str]) -> None:
  """Measures and prints the tables."""
  del argv
  from personalized_face.pipelines.renderer_benchmark import benchmark

  print(benchmark(FLAGS.json, FLAGS.quick))


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
