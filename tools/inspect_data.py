r"""Shows what is in a folder of records, to look at before training on it.

  pface_inspect_data --records_dir=records --output_dir=inspection
  pface_inspect_data --records_dir=records --output_dir=inspection --html=page.html

Writes sheet.png (crops with their landmarks and parsing maps), worst.png (those with
the largest landmark residuals), histograms.png (yaw, mouth opening, light, ...) and one
page of HTML with all of it, the gates' counts and the manifest's reasons, that needs no
other file.
"""

import os
from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("records_dir", None, "Made by pface_prepare_data.")
flags.DEFINE_string("output_dir", None, "Gets the pictures.")
flags.DEFINE_string("html", None, "Where the page goes; none: beside the pictures.")
flags.DEFINE_integer("count", 24, "Frames in each sheet.", lower_bound=1)
flags.mark_flags_as_required(["records_dir", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Writes the pictures and the page and says where they are."""
  del argv
  from personalized_face.data.inspect_records import inspect

  paths = inspect(FLAGS.records_dir, FLAGS.output_dir, FLAGS.count)
  if FLAGS.html:
    os.replace(paths["html"], FLAGS.html)
    paths["html"] = FLAGS.html
  print(f"Look at {paths['html']}; its pictures are in {FLAGS.output_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
