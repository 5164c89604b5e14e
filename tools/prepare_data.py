r"""Turns videos into training records.

  pface_prepare_data --input=clip.mp4 --output_dir=records
  pface_prepare_data --input=videos/ --corpus=folder_per_person --output_dir=records

An --input is a video, an image, a folder of images, or a folder laid out as --corpus
says (the files of data_specs/corpora; by default one video for each person). Frames
are taken at 10 per second, the face is tracked and cropped, its landmarks and parsing
map are stored with it, most frames without expression are dropped, and a tenth is held
out. The folder appears once it is complete; its manifest.csv says what became of every
input, its dataset_info.json counts frames.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("input", None, "Videos, images or folders; may be repeated.")
flags.DEFINE_string("output_dir", None, "Gets the records.")
flags.DEFINE_string("corpus", "video_per_person", "How folders are laid out.")
flags.DEFINE_string("name", "faces", "First part of the names of the files.")
flags.DEFINE_integer("num_shards", None, "Files per split; none: by the clips.")
flags.DEFINE_bool("overwrite", False, "Replaces records that are there.")
flags.DEFINE_multi_string("gin_file", ["data/video.gin"], "Configurations.")
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.mark_flags_as_required(["input", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Parses the configuration, prepares the records and says how many there are."""
  del argv
  from personalized_face import config
  from personalized_face.data.prepare import prepare

  config.parse(FLAGS.gin_file, FLAGS.gin_param)
  info = prepare(
    FLAGS.input,
    FLAGS.output_dir,
    corpus=FLAGS.corpus,
    name=FLAGS.name,
    num_shards=FLAGS.num_shards,
    overwrite=FLAGS.overwrite,
  )
  gates, splits = info["gates"], info["splits"]
  print(
    f"{gates['read']} frames: {gates['no_face']} without a face, {gates['too_small']} "
    f"too small, {gates['thinned']} thinned; {splits['train']['frames']} for training "
    f"and {splits['test']['frames']} held out are in {FLAGS.output_dir}."
  )


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
