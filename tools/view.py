r"""Shows a reconstructed person in a browser: one HTML file, nothing else needed.

  pface_view --person=out/anna --html=anna.html
  pface_view --run_dir=runs/mine --person=out/anna --video=anna.mp4 --html=anna.html

The face turns under the mouse; a slider for every blendshape; the clip plays beside its
video (by default overlay.mp4 of the reconstruction); switches for personal or template
shapes, albedo, dynamic albedo, estimated light, wireframe and head pose. Where --video
is the clip that was tracked, --error_map adds a switch that shows how far each place of
the face is from it, in the mean over the frames.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run of pface_train that made the person.")
flags.DEFINE_string(
  "template", None, "Without --run_dir: 'default', if not given, or a template's .npz."
)
flags.DEFINE_string("person", None, "A folder of pface_reconstruct, or a person.npz.")
flags.DEFINE_string("motion", None, "A motion.npz; by default the one beside --person.")
flags.DEFINE_string("video", None, "The clip; by default overlay.mp4 beside --person.")
flags.DEFINE_bool("error_map", False, "--video is the clip; show the error against it.")
flags.DEFINE_string("html", None, "The page to write.")
flags.mark_flags_as_required(["person", "html"])


def main(argv: Sequence[str]) -> None:
  """Loads the person and writes the page."""
  del argv
  import os

  from personalized_face.core.errors import UserError
  from personalized_face.export.avatar_files import load_reconstruction
  from personalized_face.export.clip import clip_crops
  from personalized_face.export.view import write_view
  from personalized_face.tools._system import system_of

  system = system_of(FLAGS.run_dir, FLAGS.template)
  person, motion = load_reconstruction(system, FLAGS.person, FLAGS.motion)
  overlay = os.path.join(FLAGS.person, "overlay.mp4")
  video = FLAGS.video or (overlay if os.path.isfile(overlay) else None)
  title = os.path.splitext(os.path.basename(FLAGS.html))[0]
  crops = None
  if FLAGS.error_map:
    if FLAGS.video is None or motion is None:
      raise UserError("--error_map needs the clip as --video, and its motion.")
    crops = clip_crops(FLAGS.video, motion, system.camera.height)
  write_view(system, person, FLAGS.html, motion, video, title, crops)
  print(f"Open {FLAGS.html} in a browser.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
