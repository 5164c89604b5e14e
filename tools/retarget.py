r"""Drives one person's face with another person's video.

  pface_retarget --run_dir=runs/mine --driver=anna.mp4 --target=out/ben \
      --output_dir=out/anna_drives_ben

The target is a person.npz, a folder of pface_reconstruct, or a video or image of the
target. The folder gets driven.mp4 (driver beside driven), sheet.png, motion.npz,
motion.csv, the target's person.npz, and metrics.json: how mouth and eyes follow.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "A run of pface_train.")
flags.DEFINE_multi_string("driver", None, "The driver's video (or images).")
flags.DEFINE_string("target", None, "person.npz, its folder, a video or an image.")
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_integer(
  "num_model_images", 8, "At most so many pictures go into ModelNet.", lower_bound=1
)
flags.DEFINE_float(
  "fps", None, "Frames per second to use; all if not given.", lower_bound=0.01
)
flags.DEFINE_integer("check_every", 15, "As in pface_reconstruct.", lower_bound=0)
flags.mark_flags_as_required(["run_dir", "driver", "target", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Loads the run, tracks the driver and writes the driven face."""
  del argv
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.export.retarget import retarget
  from personalized_face.training.checkpoints import load_system

  result = retarget(
    load_system(FLAGS.run_dir),
    FLAGS.driver,
    FLAGS.target,
    FLAGS.output_dir,
    MediaPipeDetector(),
    num_model_images=FLAGS.num_model_images,
    fps=FLAGS.fps,
    check_every=FLAGS.check_every,
  )
  mouth = result.metrics["mouth_opening_correlation"]
  print(
    f"Retargeted; the mouth's opening correlates {mouth} with the driver's. Look at "
    f"driven.mp4 in {FLAGS.output_dir}."
  )


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
