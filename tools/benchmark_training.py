r"""Times a training step and its parts: networks, decode, render, each loss, data.

  pface_benchmark_training --json=step.json
  pface_benchmark_training --gin_file=papers/personalized_face/stage1.gin \
      --gin_file=papers/personalized_face/desk.gin --records_dir=records

The configuration is the paper's stage 1 unless --gin_file names others, the batch one
group of N = 4 frames. Each part is timed by itself, forward and with its gradient, on
one batch; beside it its share of the whole step. With --records_dir, steps are also fed
by these records, as in training: the last row is what they wait for data. --trace_dir
keeps a profile of them, for TensorBoard, and takes the same figure from it. The peak
memory is that of the process, TensorFlow included.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
  "gin_file", ["papers/personalized_face/stage1.gin"], "Configurations."
)
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_integer("groups", 1, "B, persons in the batch.", lower_bound=1)
flags.DEFINE_integer("frames", 4, "N, frames of each.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "The median of so many counts.", lower_bound=1)
flags.DEFINE_string("records_dir", None, "Also times the input from these records.")
flags.DEFINE_string("trace_dir", None, "Gets a profile of the steps of --records_dir.")
flags.DEFINE_string("json", None, "A file for the figures.")


def main(argv: Sequence[str]) -> None:
  """Prints the table, and writes the figures."""
  del argv
  from personalized_face.export.files import write_json
  from personalized_face.pipelines import training_timing

  timings = training_timing.time_step(
    FLAGS.gin_file,
    FLAGS.gin_param,
    FLAGS.template,
    FLAGS.groups,
    FLAGS.frames,
    FLAGS.repeats,
    FLAGS.records_dir,
    FLAGS.trace_dir,
  )
  found = training_timing.figures(
    timings, FLAGS.groups, FLAGS.frames, FLAGS.records_dir and FLAGS.trace_dir
  )
  print(training_timing.markdown(timings))
  print(training_timing.describe(found))
  if FLAGS.json:
    write_json(FLAGS.json, found)


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
