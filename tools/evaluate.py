r"""Scores systems on a benchmark: tables, figures and a report in one folder.

  pface_evaluate --benchmark=aflw2000 --data_dir=AFLW2000 --checkpoint=runs/mine \
      --output_dir=results
  pface_evaluate --benchmark=aflw2000 --data_dir=AFLW2000 \
      --predictions=theirs=their_predictions --output_dir=results
  pface_evaluate --benchmark=aflw2000 --data_dir=AFLW2000 --fit --output_dir=results

Each --checkpoint is a run of pface_train, each --predictions a folder of .npz files
that any other system wrote (personalized_face/evaluation/predictions.py has the
format); give either as NAME=DIR to name its row. --fit needs neither: the face model is
fitted to each sample's own picture, as pface_personalize does it, which takes up to a
minute each. The first run's tracker on the bare template (beside a fit: the bare
template fitted) and the detector's own points are compared on the same images, unless
--noprior, --nodetector.

Against points that people annotated, the vertices that a template calls its anatomical
landmarks are measured, else those that were placed for the detector.

A benchmark's conventions are gin values: --gin_param="AFLW2000.index_base = 0.5", and
so are the steps of a fit: --gin_param="identity/Phase.steps = 50". Where the data are
not laid out as published, the command says what it expected.
"""

import shlex
import sys
from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("benchmark", None, "Which; an unknown name lists them.")
flags.DEFINE_string("data_dir", None, "The data set, laid out as published.")
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_multi_string("checkpoint", [], "RUN_DIR or NAME=RUN_DIR.")
flags.DEFINE_multi_string("predictions", [], "DIR or NAME=DIR, of another system.")
flags.DEFINE_bool("fit", False, "Also the face model fitted to each sample.")
flags.DEFINE_string("template", "default", "Of the fit: 'default' or a .npz file.")
flags.DEFINE_multi_string(
  "gin_param", [], "Sets a convention of the benchmark, or a value of the fit."
)
flags.DEFINE_bool("prior", True, "Also the first run's tracker on the bare template.")
flags.DEFINE_bool("detector", True, "Also the detector's own 68 points.")
flags.DEFINE_string(
  "landmark_vertices",
  None,
  "A text file of 68 vertex indices (0-based) that are the annotated points, instead "
  "of the template's own.",
)
flags.DEFINE_bool("per_image", False, "Also write samples.csv, a line for each image.")
flags.DEFINE_bool("keep_predictions", False, "Also write predictions/SYSTEM/*.npz.")
flags.DEFINE_integer(
  "num_shown", 6, "Pictures in each figure; 0 draws none.", lower_bound=0
)
flags.DEFINE_integer("limit", None, "Only the first so many samples.", lower_bound=1)
flags.mark_flags_as_required(["benchmark", "data_dir", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Builds benchmark and predictors, and runs them."""
  del argv
  from personalized_face import config
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.export.run_folder import make_folder
  from personalized_face.pipelines import evaluation

  make_folder(FLAGS.output_dir)
  if FLAGS.fit:
    config.make_deterministic()
  benchmark = evaluation.make_benchmark(
    FLAGS.benchmark, FLAGS.data_dir, FLAGS.gin_param
  )
  predictors, system = evaluation.make_predictors(
    MediaPipeDetector(),
    FLAGS.checkpoint,
    FLAGS.predictions,
    with_prior=FLAGS.prior,
    with_detector=FLAGS.detector,
    landmark_vertices=evaluation.read_landmark_vertices(FLAGS.landmark_vertices),
    annotated_points=benchmark.annotated_points,
    fit=evaluation.FitSettings(FLAGS.template, gin_params=FLAGS.gin_param)
    if FLAGS.fit
    else None,
  )
  evaluation.evaluate(
    benchmark,
    predictors,
    FLAGS.output_dir,
    limit=FLAGS.limit,
    per_sample=FLAGS.per_image,
    keep_predictions=FLAGS.keep_predictions,
    system=system,
    num_shown=FLAGS.num_shown,
    command=shlex.join(["pface_evaluate", *sys.argv[1:]]),
  )
  print(f"Evaluated. Look at table.md and report.html in {FLAGS.output_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
