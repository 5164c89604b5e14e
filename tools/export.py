r"""Exports a trained run as a SavedModel for TensorFlow or a model server.

  pface_export --run_dir=runs/mine --output_dir=models/personalized_face --version=1
  saved_model_cli show --dir models/personalized_face/1 --all

  pface_export --run_dir=runs/mine --benchmark
  pface_export --run_dir=runs/mine --weights=mine.npz

Signatures: model_face, track, reconstruct (the default) and retarget, and the
first three with encoded pictures (model_face_bytes ...); their tensors and units are in
assets.extra/meta.json. serving/ beside the version has what TensorFlow Serving needs.
An existing version is never overwritten. --benchmark times the signatures instead.
--weights writes the networks alone to a small file that every --run_dir takes.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", "starter", "A run of pface_train; 'starter' comes with the package."
)
flags.DEFINE_string("output_dir", None, "The model's folder; gets the version's.")
flags.DEFINE_integer("version", 1, "A number that is not there yet.")
flags.DEFINE_bool("benchmark", False, "Print how long each signature takes, and end.")
flags.DEFINE_string(
  "weights", None, "Write the weights alone, in half precision, to this .npz, and end."
)


def main(argv: Sequence[str]) -> None:
  """Loads the run and writes the SavedModel."""
  del argv
  from personalized_face.core.errors import UserError
  from personalized_face.export.benchmark import benchmark, table
  from personalized_face.export.saved_model import export_run
  from personalized_face.pipelines.starter import pack, run_folder
  from personalized_face.tools._system import system_of_run

  if FLAGS.benchmark:
    print(table(benchmark(system_of_run(FLAGS.run_dir))))
    return
  if FLAGS.weights:
    pack(FLAGS.run_dir, FLAGS.weights)
    print(f"Packed into {FLAGS.weights}.")
    return
  if FLAGS.output_dir is None:
    raise UserError("Name the model's folder with --output_dir.")
  path = export_run(run_folder(FLAGS.run_dir), FLAGS.output_dir, FLAGS.version)
  print(f"Exported to {path}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
