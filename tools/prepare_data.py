r"""Turns videos into training records.

  pface_prepare_data --input=clip.mp4 --output_dir=records
  pface_prepare_data --input=videos/ --corpus=folder_per_person --output_dir=records

An --input is a video, an image, a folder of images, or a folder laid out as --corpus
says (the files of data_specs/corpora; by default one video for each person). Frames
are taken at 10 per second, the face is tracked and cropped, its landmarks and parsing
map are stored with it, most frames without expression are dropped, and a tenth is held
out. The folder appears once it is complete; its manifest.csv says what became of every
input, its dataset_info.json counts frames.

The same command again goes on where a run was stopped, tries again what could not be
read, and adds what is new. --report takes the figures of a run: frames, processor time
by stage, memory.

Exit status: 0 if every input is of use (or no more than --max_failures are not), 3 if
the records are complete but some inputs are of no use, 1 if there are no records.
"""

import functools
from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("input", None, "Videos, images or folders; may be repeated.")
flags.DEFINE_string("output_dir", None, "Gets the records.")
flags.DEFINE_string("corpus", "video_per_person", "How folders are laid out.")
flags.DEFINE_string("name", "faces", "First part of the names of the files.")
flags.DEFINE_integer("num_shards", None, "Files per split; none: by the clips.")
flags.DEFINE_bool("overwrite", False, "Replaces records of other inputs or settings.")
flags.DEFINE_integer("num_workers", 1, "Processes that prepare clips.", lower_bound=0)
flags.DEFINE_integer(
  "max_failures", None, "More inputs of no use end the run; none: no number does."
)
flags.DEFINE_bool("follow_links", False, "Reads links that lead out of an --input.")
flags.DEFINE_bool("beam", False, "Runs as an Apache Beam pipeline (extra [beam]).")
flags.DEFINE_multi_string(
  "beam_flag", [], "Beam's own flags, such as --beam_flag=--runner=FlinkRunner."
)
flags.DEFINE_string("report", None, "A .json file that gets the figures of the run.")
flags.DEFINE_multi_string("gin_file", ["data/video.gin"], "Configurations.")
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.mark_flags_as_required(["input", "output_dir"])


_SOME_FAILED = 3  # 1 is every other failure, 2 a shell's for wrong usage


def main(argv: Sequence[str]) -> int:
  """Parses the configuration, prepares the records and says how many there are."""
  del argv
  from personalized_face import config
  from personalized_face.data.manifest import FAILURES
  from personalized_face.data.prepare import prepare
  from personalized_face.data.report import describe, write_report

  config.parse(FLAGS.gin_file, FLAGS.gin_param)
  info = prepare(
    FLAGS.input,
    FLAGS.output_dir,
    corpus=FLAGS.corpus,
    name=FLAGS.name,
    num_shards=FLAGS.num_shards,
    overwrite=FLAGS.overwrite,
    num_workers=FLAGS.num_workers,
    max_failures=FLAGS.max_failures,
    follow_links=FLAGS.follow_links,
    runner=_runner(),
  )
  if FLAGS.report:
    write_report(FLAGS.report, info, FLAGS.output_dir)
  print(describe(info, FLAGS.output_dir))
  failed = sum(info["inputs"].get(status, 0) for status in FAILURES)
  return _SOME_FAILED if failed > (FLAGS.max_failures or 0) else 0


def _runner():
  from personalized_face.data import runner

  if not (FLAGS.beam or FLAGS.beam_flag):
    return runner.run_units
  from personalized_face.data import beam_runner

  return functools.partial(beam_runner.run_units, flags=FLAGS.beam_flag)


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
