r"""Reconstructs the person of a video, or of photos, with a trained run.

  pface_reconstruct --run_dir=runs/mine --input=clip.mp4 --output_dir=out
  pface_reconstruct --run_dir=runs/mine --input=a.jpg --input=b.jpg --output_dir=out
  pface_reconstruct --input=clip.mp4 --output_dir=out

The folder gets the person's model (person.npz, face.obj with its texture), the motion
(motion.npz, motion.csv), a contact sheet (sheet.png) and the face put back into the
video (overlay.mp4). Meshes are in metres. --avatar adds what one opens elsewhere: an
animated face.glb, the motion as Live Link Face's CSV (live_link.csv) and page.html, the
face with sliders, the clip and an error map. --blendshapes and --frames add OBJ files
of every blendshape and of every frame. Without --run_dir the small networks that come
with the package look at the pictures.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", "starter", "A run of pface_train; 'starter' comes with the package."
)
flags.DEFINE_multi_string("input", None, "A video; or images or folders of images.")
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_integer(
  "num_model_images", 8, "At most so many pictures go into ModelNet.", lower_bound=1
)
flags.DEFINE_float(
  "fps", None, "Frames per second to use; all if not given.", lower_bound=0.01
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
flags.DEFINE_bool("avatar", False, "Also write face.glb, live_link.csv and page.html.")
flags.DEFINE_bool("blendshapes", False, "Also write blendshapes/NAME.obj.")
flags.DEFINE_bool("frames", False, "Also write frames/NUMBER.obj.")
flags.mark_flags_as_required(["input", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Loads the run and writes the reconstruction."""
  del argv
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.export.avatar_folder import write_avatar_folder
  from personalized_face.export.run_folder import write_reconstruction
  from personalized_face.inference.tflite_runner import open_track_net
  from personalized_face.tools._system import system_of_run

  system = system_of_run(FLAGS.run_dir)
  result = write_reconstruction(
    system,
    FLAGS.input,
    FLAGS.output_dir,
    MediaPipeDetector(),
    num_model_images=FLAGS.num_model_images,
    fps=FLAGS.fps,
    check_every=FLAGS.check_every,
    blendshape_objs=FLAGS.blendshapes,
    frame_objs=FLAGS.frames,
    track=open_track_net(system, FLAGS.tflite, FLAGS.num_threads),
  )
  if FLAGS.avatar:
    write_avatar_folder(system, result, FLAGS.output_dir)
  print(f"Reconstructed. Look at sheet.png and the overlay in {FLAGS.output_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
