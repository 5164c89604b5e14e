r"""Exports a trained run as a SavedModel for TensorFlow or a model server.

  pface_export --run_dir=runs/mine --output_dir=models/personalized_face --version=1
  saved_model_cli show --dir models/personalized_face/1 --all

  pface_export --run_dir=runs/mine --benchmark

Signatures: model_face, track, reconstruct (the default) and retarget, and the
first three with encoded pictures (model_face_bytes ...); their tensors and units are in
assets.extra/meta.json. serving/ beside the version has what TensorFlow Serving needs.
An existing version is never overwritten. --benchmark times the signatures instead.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "A run of pface_train.")
flags.DEFINE_string("output_dir", None, "The model's folder; gets the version's.")
flags.DEFINE_integer("version", 1, "A number that is not there yet.")
flags.DEFINE_bool("benchmark", False, "Print how long each signature takes, and end.")
flags.mark_flag_as_required("run_dir")


def main(argv: Sequence[str]) -> None:
  """Loads the run and writes the SavedModel."""
  del argv
  from personalized_face.core.errors import UserError
  from personalized_face.export.benchmark import benchmark, table
  from personalized_face.export.saved_model import export_run
  from personalized_face.training.checkpoints import load_system

  if FLAGS.benchmark:
    print(table(benchmark(load_system(FLAGS.run_dir))))
    return
  if FLAGS.output_dir is None:
    raise UserError("Name the model's folder with --output_dir.")
  path = export_run(FLAGS.run_dir, FLAGS.output_dir, FLAGS.version)
  print(f"Exported to {path}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
