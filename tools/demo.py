r"""Runs the whole path on one clip, from scratch, and says where the pictures are.

  pface_demo                          # a clip of a synthetic person
  pface_demo --video=clip.mp4 --output_dir=out

Prepares the clip, trains ModelNet and TrackNet on it (the paper's networks and losses,
few steps), exports a SavedModel, reconstructs the clip and drives another face with it.
About ten minutes on two cores. metrics.json holds the figures of the held-out frames.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("video", None, "A clip of one person; none renders one.")
flags.DEFINE_string("output_dir", "demo_output", "Replaced if it holds a demo.")
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_multi_string(
  "gin_file", ["papers/personalized_face/demo.gin"], "Configurations."
)
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")


def main(argv: Sequence[str]) -> None:
  """Runs the demo and says what came out where."""
  del argv
  from personalized_face.pipelines.demo import run_demo

  figures = run_demo(
    FLAGS.output_dir,
    FLAGS.video or None,
    FLAGS.template,
    tuple(FLAGS.gin_file),
    tuple(FLAGS.gin_param),
  )
  out = FLAGS.output_dir
  print(
    f"Held-out frames: landmarks {figures['nme_percent']:.2f} % "
    f"(prior {figures['prior_nme_percent']:.2f} %), photometric error "
    f"{figures['photometric_255']:.1f} (prior {figures['prior_photometric_255']:.1f}), "
    f"turned triangles {figures['turned_triangles_percent']:.2f} %."
  )
  print(
    f"Look at {out}/reconstruction/sheet.png, {out}/reconstruction/overlay.mp4 and "
    f"{out}/retargeting/driven.mp4; figures are in {out}/metrics.json."
  )


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
