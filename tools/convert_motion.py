r"""Converts a tracked or recorded motion from one file format to another.

  pface_convert_motion --input=out/anna/motion.npz --output=anna.csv --live_link
  pface_convert_motion --input=iphone_take.csv --output=take.npz

Formats go by the file's ending: .npz (ours), .json and .csv (named columns), and the
.csv of Live Link Face, which is recognised when read and written with --live_link. A
take recorded on an iPhone so drives a face of ours (pface_retarget).
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "A run of pface_train; gives the template.")
flags.DEFINE_string(
  "template", None, "Without --run_dir: 'default', if not given, or a template's .npz."
)
flags.DEFINE_string("input", None, "A motion: .npz, .json or .csv.")
flags.DEFINE_string("output", None, "The file to write: .npz, .json or .csv.")
flags.DEFINE_bool("live_link", False, "Write the .csv as Live Link Face does.")
flags.DEFINE_float(
  "fps", None, "Of a Live Link recording; read from it if not given.", lower_bound=0.01
)
flags.mark_flags_as_required(["input", "output"])


def main(argv: Sequence[str]) -> None:
  """Reads the one and writes the other."""
  del argv
  from personalized_face.export.motion_files import read_motion, write_motion
  from personalized_face.tools._system import template_of

  template = template_of(FLAGS.run_dir, FLAGS.template)
  motion = read_motion(FLAGS.input, template, FLAGS.fps)
  write_motion(FLAGS.output, motion, template, FLAGS.live_link)
  print(f"Wrote {len(motion.times)} frames at {motion.fps:.4g} fps to {FLAGS.output}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
