r"""Tracks a face, live from a camera or in a video, with trained networks.

  pface_track --source=0 --person=out/anna/person.npz --show
  pface_track --run_dir=runs/mine --source=clip.mp4 --output=motion.npz \
      --overlay=overlay.mp4
  pface_track --run_dir=runs/mine --source=0 --tflite=track_int8.tflite \
      --smoothing=0.5 --output=take1.csv
  pface_track --source=0 --drive=out/ben --show

A camera's frames that come while another is being looked at are dropped, so that what
is seen never lags; a video's are all tracked, unless --realtime plays it like a camera.
The motion is written as it goes, to NAME.partial.csv, and under its own name at the
end: the end of the source, --max_seconds, q or Escape in the window, or Ctrl-C. What a
crash leaves there `pface_convert_motion` reads. Without --run_dir the small networks
that come with the package look at the pictures; `pface_personalize --distill=starter`
makes better ones for one person.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", "starter", "A run of pface_train; 'starter' comes with the package."
)
flags.DEFINE_string("source", None, "A video, or a camera's number, from 0.")
flags.DEFINE_string(
  "person",
  None,
  "A person.npz, or a folder of pface_reconstruct or pface_personalize; without, "
  "ModelNet sees the first frame.",
)
flags.DEFINE_string(
  "drive",
  None,
  "Shows another's face beside the frames, moved by the tracked one, instead of the "
  "overlay: a person (as --person, or a picture), or a character with blendshapes "
  "(.glb, .gltf, .vrm, a folder of .obj files).",
)
flags.DEFINE_string(
  "mapping", None, "YAML: the shapes of a character to --drive by ours."
)
flags.DEFINE_string("output", None, "Gets the motion: .npz, .json or .csv.")
flags.DEFINE_string("overlay", None, "Gets the face on the frames: .mp4 or .webm.")
flags.DEFINE_bool("show", False, "Shows the overlay in a window.")
flags.DEFINE_float(
  "smoothing",
  0.0,
  "Steadies the motion by a one-euro filter, looking backwards: 0 not, 1 strongly.",
  lower_bound=0.0,
  upper_bound=1.0,
)
flags.DEFINE_bool("realtime", False, "Plays a video at its own rate, dropping frames.")
flags.DEFINE_float(
  "max_seconds", None, "Ends at this time of the source.", lower_bound=0.01
)
flags.DEFINE_integer(
  "check_every",
  15,
  "Every so many frames the detector checks that the face is still where the tracker "
  "looks; 0 never, as in the paper; 1 lets it lead, for trackers trained on one clip.",
  lower_bound=0,
)
flags.DEFINE_string(
  "tflite", None, "Tracks by this file of pface_export_tflite, quicker on a CPU."
)
flags.DEFINE_integer("num_threads", 2, "Of --tflite.", lower_bound=1)
flags.mark_flag_as_required("source")


def main(argv: Sequence[str]) -> None:
  """Loads the run, tracks, and says what became of the frames."""
  del argv
  from personalized_face.core.errors import UserError
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.data.live import open_source
  from personalized_face.export import driven_face, shape_mapping
  from personalized_face.export.avatar_files import load_reconstruction
  from personalized_face.inference.tflite_runner import open_track_net
  from personalized_face.inference.window import Window
  from personalized_face.pipelines.live_tracking import track_live
  from personalized_face.tools._system import system_of_run

  if not (FLAGS.output or FLAGS.overlay or FLAGS.show):
    raise UserError("Nothing would be kept: give --output, --overlay or --show.")
  window = Window("pface_track") if FLAGS.show else None
  if FLAGS.drive and not (FLAGS.overlay or FLAGS.show):
    raise UserError("Nobody would see the driven face: give --overlay or --show.")
  source, rate = open_source(FLAGS.source, FLAGS.realtime, FLAGS.max_seconds)
  system, person = system_of_run(FLAGS.run_dir), None
  if FLAGS.person is not None:
    person, _ = load_reconstruction(system, FLAGS.person)
  detector, driven = MediaPipeDetector(), None
  if FLAGS.drive:
    mapping = shape_mapping.read_mapping(FLAGS.mapping) if FLAGS.mapping else None
    driven = driven_face.open_driven_face(system, FLAGS.drive, detector, mapping)
  _, counts = track_live(
    system,
    source,
    detector,
    FLAGS.output,
    person,
    track=open_track_net(system, FLAGS.tflite, FLAGS.num_threads),
    check_every=FLAGS.check_every,
    smoothing=FLAGS.smoothing,
    overlay=FLAGS.overlay,
    rate=rate,
    window=window,
    driven=driven,
  )
  print(counts)


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
