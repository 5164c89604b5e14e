r"""Fits a personalised face model to a person's own video or photos, on a CPU.

  pface_personalize --output_dir=out clip.mp4
  pface_personalize --output_dir=out photo1.jpg photo2.jpg
  pface_personalize --output_dir=out --evaluate clip.mp4
  pface_personalize --output_dir=out --distill=starter clip.mp4

Works from one photo up to minutes of video; no network has to be trained. The folder
gets what pface_reconstruct writes: the person (person.npz, face.obj with its texture),
the motion (motion.npz, motion.csv), a contact sheet with novel views (sheet.png) and
the face put back into the video (overlay.mp4). preview.png there shows the fit under
way. Ctrl-C ends it early and keeps what has been found. --evaluate fits only a part of
the frames and measures on the others, against the template without corrections
(metrics.json); where a synthetic clip has its truth beside it, the coefficients too, in
the paper's nine groups. --avatar adds an animated face.glb, the motion as Live Link
Face's CSV and page.html, the face with sliders. --distill teaches a trained run's
TrackNet the fitted motion, in minutes: the run in tracker/ then follows new footage of
the same person as it comes, by `pface_track --run_dir=out/tracker --person=out`.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
  "input", [], "A video, an image or a folder of images; also without --input=."
)
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_bool("evaluate", False, "Hold frames out and write metrics.json.")
flags.DEFINE_enum("holdout", "odd", ["odd", "last_third"], "Which frames, if so.")
flags.DEFINE_enum(
  "ablation",
  "final",
  ["a", "b", "c", "d", "final"],
  "Rows of the paper's Table 1: a the template alone, b with shape corrections, c with "
  "albedo corrections, d with the parsing loss, final with L_bg too.",
)
flags.DEFINE_float(
  "smoothing",
  0.0,
  "Steadies a video's motion by a one-euro filter: 0 not, 1 strongly.",
  lower_bound=0.0,
  upper_bound=1.0,
)
flags.DEFINE_bool("avatar", False, "Also write face.glb, live_link.csv and page.html.")
flags.DEFINE_string(
  "distill",
  None,
  "A run of pface_train, of the same template, or 'starter', what comes with the "
  "package: its TrackNet is fine-tuned on the fitted frames and written to tracker/.",
)
flags.DEFINE_bool("blendshapes", False, "Also write blendshapes/NAME.obj.")
flags.DEFINE_bool("frames", False, "Also write frames/NUMBER.obj.")
flags.DEFINE_multi_string("gin_file", ["fitting/personalize.gin"], "Configurations.")
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.mark_flag_as_required("output_dir")


def main(argv: Sequence[str]) -> None:
  """Fits, and says what came out where."""
  from personalized_face import config
  from personalized_face.pipelines.personalize import personalize

  config.parse(FLAGS.gin_file, FLAGS.gin_param)
  config.make_deterministic()
  figures = personalize(
    [*FLAGS.input, *argv[1:]],
    FLAGS.output_dir,
    FLAGS.template,
    evaluate=FLAGS.evaluate,
    holdout=FLAGS.holdout,
    ablation=FLAGS.ablation,
    blendshape_objs=FLAGS.blendshapes,
    frame_objs=FLAGS.frames,
    smoothing=FLAGS.smoothing,
    avatar=FLAGS.avatar,
    distill_run=FLAGS.distill,
  )
  if FLAGS.evaluate:
    print(
      f"Held-out frames: landmarks {figures['nme_percent']:.2f} % (prior "
      f"{figures['prior_nme_percent']:.2f} %), photometric error "
      f"{figures['photometric_255']:.1f} (prior "
      f"{figures['prior_photometric_255']:.1f}), turned triangles "
      f"{figures['turned_triangles_percent']:.2f} %."
    )
  if FLAGS.distill:
    print(
      f"TrackNet alone, frames held out: {figures['tracker_nme_percent']:.2f} % "
      f"(before {figures['tracker_before_nme_percent']:.2f} %)."
    )
  print(
    f"Personalised from {figures['frames_fit']} frames in {figures['minutes']:.1f} "
    f"minutes. Look at the contact sheet and the overlay in {FLAGS.output_dir}."
  )


def run() -> None:
  """Entry point of the console command."""
  run_app(main, positional=True)


if __name__ == "__main__":
  run()
