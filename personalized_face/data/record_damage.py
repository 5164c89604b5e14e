"""What is said of damaged records: by shard_paths at the start, here of their contents.

`tf.data` reads records in its own threads and says of a damaged one neither the file
nor a way out. Whoever reads them so does it within `named`, which then reads them once
more, one after the other, to say which file it is.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.data import record_format, records

# What reading and decoding ends in. A step's own failures are InvalidArgumentErrors,
# too: of sound records they are handed on as they are.
_OF_READING = (tf.errors.DataLossError, tf.errors.InvalidArgumentError)


@contextlib.contextmanager
def named(records_dir: str) -> Iterator[None]:
  """Turns a failure for which the records are to blame into a sentence.

  Args:
    records_dir: the folder that is read in the block.

  Raises:
    UserError: the block failed and a file of the folder is damaged.
  """
  try:
    yield
  except _OF_READING as error:
    try:
      check(records_dir)
    except UserError as found:
      raise found from error
    raise


def check(records_dir: str) -> None:
  """Reads every record and decodes every picture.

  Raises:
    UserError: one of them is damaged.
  """
  info = records.read_info(records_dir)
  size = info["preparation"]["size"]
  for split, counts in info["splits"].items():
    if not counts["frames"]:
      continue
    for clip in records.read_clips(records_dir, split):
      for image, labels in zip(clip.images, clip.parsing, strict=True):
        shapes = (
          record_format.decode_image(image).shape,
          record_format.decode_labels(labels).shape,
        )
        if shapes != ((size, size, 3), (size, size)):
          raise UserError(
            f"The clip {clip.clip} in {records_dir} has a picture that is not of "
            f"{size} pixels; prepare the records again."
          )
