r"""Exports TrackNet and a person's geometry as TFLite files, for phones and small CPUs.

  pface_export_tflite --run_dir=runs/mine --records_dir=records --output_dir=lite
  pface_export_tflite --run_dir=runs/mine --records_dir=records --output_dir=lite \
      --person=out/anna --benchmark

track_float16.tflite and track_int8.tflite take a crop, uint8 pixels as they are, to
coefficients, head pose and light; with --person, geometry_*.tflite take coefficients
and pose to that person's vertices and landmarks. int8 is calibrated on training frames
of the records. tflite.json has every name, shape, type and unit. --benchmark then
prints the landmark error on held-out frames and the time of a frame, beside Keras.
A file of TrackNet also serves pface_reconstruct, pface_track and pface_retarget.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", "starter", "A run of pface_train; 'starter' comes with the package."
)
flags.DEFINE_string("records_dir", None, "Records as the run's own; for calibration.")
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_string(
  "person", None, "A folder of pface_reconstruct, or a person.npz: whose geometry."
)
flags.DEFINE_bool(
  "benchmark", False, "Measure them; the held-out frames are the person's own."
)
flags.DEFINE_integer("num_frames", 60, "At most so many, for that.", lower_bound=1)
flags.mark_flags_as_required(["records_dir", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Loads the run and writes the files."""
  del argv
  from personalized_face.core.errors import UserError
  from personalized_face.export.avatar_files import load_reconstruction
  from personalized_face.export.tflite import export_tflite
  from personalized_face.export.tflite_benchmark import benchmark, table
  from personalized_face.tools._system import system_of_run

  if FLAGS.benchmark and FLAGS.person is None:
    raise UserError("--benchmark needs the person on the records; give --person.")
  system, person = system_of_run(FLAGS.run_dir), None
  if FLAGS.person is not None:
    person, _ = load_reconstruction(system, FLAGS.person)
  written = export_tflite(system, FLAGS.records_dir, FLAGS.output_dir, person)
  print(f"Wrote {', '.join(written)}.")
  if FLAGS.benchmark:
    rows = benchmark(
      system, person, FLAGS.records_dir, FLAGS.output_dir, FLAGS.num_frames
    )
    print(table(rows))


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
