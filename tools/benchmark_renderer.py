r"""Measures the renderer: every backend, beside two other renderers' kernels.

  pface_benchmark_renderer --quick
  pface_benchmark_renderer --json=renderer.json
  pface_benchmark_renderer --training_step

Prints tables in Markdown: milliseconds per image of finding the visible triangles
(forward) and of rendering with the gradients to vertices and albedo maps (forward and
backward); how they grow with pixels, images and triangles; on two threads and on one.
All contenders take turns in one process, figures are medians.

tensorflow-graphics' kernel is compiled for this from the sources in its wheel (g++);
tf_mesh_renderer's must have been built (pface_build_tf_mesh_renderer). What is missing
is said, and is null in the JSON file. The whole takes minutes, --quick half a minute.

--training_step measures something else: how much of a training step with the paper's
networks, N = 4 frames of one person, is rendering.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("json", None, "A file for the figures.")
flags.DEFINE_bool("quick", False, "One case, few rounds, two threads.")
flags.DEFINE_bool("training_step", False, "The share of rendering in a training step.")


def main(argv: Sequence[str]) -> None:
  """Measures and prints the tables."""
  del argv
  if FLAGS.training_step:
    from personalized_face.export.files import write_json
    from personalized_face.pipelines import renderer_share

    figures = renderer_share.measure_share()
    if FLAGS.json:
      write_json(FLAGS.json, figures)
    print(renderer_share.describe(figures))
    return
  from personalized_face.pipelines.renderer_benchmark import benchmark

  print(benchmark(FLAGS.json, FLAGS.quick))


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
