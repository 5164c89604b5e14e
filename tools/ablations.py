r"""Trains and scores the rows of the paper's Table 1, with several seeds: one table.

  pface_synthesize_data --output_dir=people --persons=240 --seconds=2.4 --fps=4 \
      --size=288
  pface_synthesize_data --output_dir=others --persons=12 --seed=1 --seconds=2.4 \
      --size=336
  pface_prepare_data --input=people --corpus=synthetic --output_dir=records \
      --gin_param="Preparation.size = 112"
  pface_ablations --records_dir=records --clips_dir=others --output_dir=ablations

Rows: A the 3DMM prior; B with blendshape corrections; C with albedo corrections; D with
the parsing loss; final with the blendshape gradient loss. The size is that of
papers/personalized_face/desk_ablation.gin; --gin_file names another. The same command
again skips what is done and goes on with what was interrupted. OUTPUT_DIR/table.md has
each row's mean and standard deviation over the seeds, stages.md the last row after
stage 1 and after stage 2, blendshapes.md the cosine of each corrected blendshape with
the template's; tensorboard --logdir OUTPUT_DIR shows all runs, and their
hyper-parameters.

Without --clips_dir the rows are scored on the held-out frames of the records, as of
real clips; OUTPUT_DIR/rows.png then shows some of them, row beside row. Real people
have no ground truth to begin with: copy warm_up_seed0 from an OUTPUT_DIR of synthetic
ones, or begin with the landmarks alone by --warm_up_stages=warm_up and
--gin_param="warm_up/LossWeights.true_expression = 0", the same of true_rotation and
true_light.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("records_dir", None, "Records of the persons to train on.")
flags.DEFINE_string(
  "clips_dir",
  None,
  "Clips of pface_synthesize_data to test on; without, the held-out frames of the "
  "records are.",
)
flags.DEFINE_string("output_dir", None, "Gets the runs and the table.")
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_multi_string(
  "gin_file", ["papers/personalized_face/desk_ablation.gin"], "The size of all rows."
)
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.DEFINE_list("rows", ["A", "B", "C", "D", "final"], "Which rows.")
flags.DEFINE_integer("seeds", 3, "How many seeds a row.", lower_bound=1)
flags.DEFINE_list(
  "warm_up_stages", ["warm_up", "warm_up_faces"], "Stages before the paper's."
)
flags.DEFINE_integer("limit", None, "So many test frames at most.", lower_bound=1)
flags.mark_flags_as_required(["records_dir", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Runs what is not done and prints the table."""
  del argv
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.export.run_folder import make_folder
  from personalized_face.pipelines.ablations import run_ablations

  make_folder(FLAGS.output_dir)
  table = run_ablations(
    FLAGS.records_dir,
    FLAGS.clips_dir,
    FLAGS.output_dir,
    MediaPipeDetector() if FLAGS.clips_dir else None,
    FLAGS.gin_file,
    FLAGS.gin_param,
    FLAGS.template,
    FLAGS.rows,
    range(FLAGS.seeds),
    [name for name in FLAGS.warm_up_stages if name],
    FLAGS.limit,
  )
  print(table)


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
