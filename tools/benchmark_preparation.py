r"""Times pface_prepare_data: frames per second and core, where the time goes, memory.

  pface_benchmark_preparation --input=videos/ --workers=1 --workers=2 --copies=3
  pface_benchmark_preparation --input=clip.mp4 --minutes=1 --minutes=30

Prepares the clips once with each number of --workers and prints tables in Markdown:
what became of the frames of each clip, rates, processor time by stage. With --minutes,
the one --input is looped to each of these lengths instead, and the peak memory of each
run is printed. Records go to the system's temporary folder (TMPDIR) and away again.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("input", None, "Videos, or folders of videos.")
flags.DEFINE_multi_integer("workers", [1], "Processes.", lower_bound=1)
flags.DEFINE_integer("copies", 1, "Each clip so many times.", lower_bound=1)
flags.DEFINE_multi_float("minutes", [], "Lengths of the looped clip.", lower_bound=0.01)
flags.DEFINE_string("json", None, "A file for the figures.")
flags.DEFINE_multi_string("gin_param", [], "For pface_prepare_data.")
flags.mark_flag_as_required("input")


def main(argv: Sequence[str]) -> None:
  """Measures and prints the tables."""
  del argv
  from personalized_face.export.files import write_json
  from personalized_face.pipelines import preparation_timing as timing

  if FLAGS.minutes:
    reports = timing.measure_memory(FLAGS.input, FLAGS.minutes, FLAGS.gin_param)
    print(timing.memory_table(reports))
  else:
    reports = timing.measure_speed(
      FLAGS.input, FLAGS.workers, FLAGS.copies, FLAGS.gin_param
    )
    print(timing.speed_tables(reports))
  if FLAGS.json:
    write_json(FLAGS.json, reports)


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
