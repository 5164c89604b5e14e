r"""Renders clips of synthetic people, with all that is true of them beside each.

  pface_synthesize_data --output_dir=synthetic --persons=20
  pface_prepare_data --input=synthetic --corpus=synthetic --output_dir=records

NAME.mp4 comes with NAME_person.npz (shape, blendshapes, albedo, with wrinkles that come
and go) and NAME_motion.npz (coefficients, pose, light of each frame). The same command
with more persons adds to those that are there. The records of --corpus=synthetic carry
the truth of their frames, as features.json there says. `pface_evaluate` reads the
folder as its synthetic benchmark.

People of a template with another topology than the systems' are measured as scans:

  pface_build_template --source=ict_facekit --input_dir=ICT-FaceKit \
      --identity_weights=1,-1,0.5 --output=ict_1.npz
  pface_synthesize_data --template=ict_1.npz --output_dir=clips_1 --persons=1 \
      --scans_dir=scans
  pface_evaluate --benchmark=scans --data_dir=scans --checkpoint=RUN --output_dir=out
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "Gets the clips.")
flags.DEFINE_integer("persons", 10, "How many.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Other seeds have other people.", lower_bound=0)
flags.DEFINE_float("seconds", 7.0, "Length of each clip.", lower_bound=0.1)
flags.DEFINE_float("fps", 25.0, "Frames per second.", lower_bound=1.0)
flags.DEFINE_integer("size", 512, "Side of the frames, pixels.", lower_bound=32)
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_enum(
  "motion",
  "scene",
  ["scene", "free"],
  "scene: everybody plays the same gestures, to compare people by; free: random "
  "expressions, wider turns and any light, to train on.",
)
flags.DEFINE_integer(
  "scene",
  0,
  "The same people in another light and background, for another --output_dir.",
  lower_bound=0,
)
flags.DEFINE_string(
  "scans_dir", None, "Also gets frames with their faces as scans; made if missing."
)
flags.DEFINE_float(
  "scans_fps", 0.5, "Frames of a second that become scans.", lower_bound=0.01
)
flags.mark_flag_as_required("output_dir")


def main(argv: Sequence[str]) -> None:
  """Renders the people and says where they are."""
  del argv
  from personalized_face.authoring.cache import load_template
  from personalized_face.data.synthesis import synthesize

  paths = synthesize(
    load_template(FLAGS.template),
    FLAGS.output_dir,
    FLAGS.persons,
    FLAGS.seed,
    FLAGS.seconds,
    FLAGS.fps,
    FLAGS.size,
    free=FLAGS.motion == "free",
    scene=FLAGS.scene,
  )
  print(f"{len(paths)} clips with their ground truth are in {FLAGS.output_dir}.")
  if FLAGS.scans_dir:
    from personalized_face.pipelines.synthetic_scans import write_scans

    count = write_scans(
      FLAGS.output_dir, FLAGS.template, FLAGS.scans_dir, FLAGS.scans_fps
    )
    print(f"{count} scans are in {FLAGS.scans_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
