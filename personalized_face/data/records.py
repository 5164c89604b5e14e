"""Folders of training records: TFRecord shards, and the files beside them.

A folder of records is complete or absent and holds

  <name>-<split>.tfrecord-00000-of-00002   tf.train.Example, one clip or part of one
  features.json      what each feature of a record is: its type, shape and meaning
  dataset_info.json  counts, settings, corpus and versions
  manifest.csv       one row for each input, also for those of no use
  index.csv          where in the shards each clip lies

What one record holds is said in record_format.py.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.data.record_format import (
  FORMAT_VERSION,
  MAX_FRAMES,
  ClipFrames,
  from_example,
  parts,
  to_example,
  utf8,
)

SPLITS = ("train", "test")
HELD_OUT_SHARE = 0.1  # Section 4: "We set aside 10% of each dataset for testing."
_MOST_SHARDS = 99999  # their names have five digits


def split_of_person(person: str, share: float = HELD_OUT_SHARE) -> str:
  """ "train" or "test", by a hash of the name: adding persons moves nobody."""
  digest = hashlib.sha256(utf8(person)).digest()
  return "test" if int.from_bytes(digest[:8], "big") < share * 2**64 else "train"


def held_out_frames(count: int, share: float = HELD_OUT_SHARE) -> np.ndarray:
  """The frames of one clip that are set aside where persons cannot be.

  Evenly spaced over the clip, each in the middle of its stretch and so never two in a
  row; a tenth of them, at least two.

  Returns:
    [max(2, count * share)] int, ascending.
  """
  held = max(2, round(count * share))
  return ((np.arange(held) + 0.5) * count / held).astype(int)


def shard_path(folder: str, name: str, split: str, index: int, shards: int) -> str:
  """`<folder>/<name>-<split>.tfrecord-00000-of-00002`."""
  return os.path.join(folder, f"{name}-{split}.tfrecord-{index:05d}-of-{shards:05d}")


class SplitCounts(NamedTuple):
  """What one clip, or a set of records, has of one split."""

  persons: int = 0
  clips: int = 0
  records: int = 0
  frames: int = 0
  shortest_record: int | None = None  # frames; None where there is none


def shard_of_clip(clip: str, num_shards: int) -> int:
  """A clip's shard follows from its name, whatever else is prepared."""
  digest = hashlib.sha256(utf8(clip)).digest()
  return int.from_bytes(digest[:8], "big") % num_shards


def write_records(path: str, dealt: Iterable[ClipFrames], num_parts: int) -> None:
  """Writes the records of one clip's part of a split, one for each of its parts.

  The files of several clips, one after the other, are a TFRecord file again.
  """
  with tf.io.TFRecordWriter(path) as file:
    for i, part in enumerate(dealt):
      file.write(to_example(part, i, num_parts))


class RecordsWriter:
  """Writes the shards of one set of records that fit in memory clip by clip."""

  def __init__(self, folder: str, name: str, num_shards: int):
    self._num_shards = num_shards
    self._persons = {split: set() for split in SPLITS}
    self._counts = {split: SplitCounts() for split in SPLITS}
    self._files = {
      split: [
        tf.io.TFRecordWriter(shard_path(folder, name, split, i, num_shards))
        for i in range(num_shards)
      ]
      for split in SPLITS
    }

  def write(self, split: str, clip: ClipFrames) -> None:
    """Adds the frames of a clip to a split."""
    file = self._files[split][shard_of_clip(clip.clip, self._num_shards)]
    dealt = parts(clip)
    for i, part in enumerate(dealt):
      file.write(to_example(part, i, len(dealt)))
    self._persons[split].add(clip.person)
    self._counts[split] = add_counts(
      self._counts[split], count_parts(clip.num_frames, len(self._persons[split]))
    )

  def close(self) -> dict[str, dict]:
    """Finishes the files and returns each split's SplitCounts as a dictionary."""
    for files in self._files.values():
      for file in files:
        file.close()
    return {split: counts._asdict() for split, counts in self._counts.items()}


def count_parts(num_frames: int, persons: int = 1) -> SplitCounts:
  """The counts of one clip of so many frames."""
  count = -(-num_frames // MAX_FRAMES)
  return SplitCounts(persons, 1, count, num_frames, num_frames // count)


def add_counts(total: SplitCounts, clip: SplitCounts) -> SplitCounts:
  """The sums; the persons are those of `clip`, who may be in both."""
  shortest = [c.shortest_record for c in (total, clip) if c.shortest_record is not None]
  return SplitCounts(
    clip.persons,
    total.clips + clip.clips,
    total.records + clip.records,
    total.frames + clip.frames,
    min(shortest, default=None),
  )


def write_json(path: str, value: dict) -> None:
  """Writes indented JSON, under its name only once it is complete."""
  temporary = f"{path}.{os.getpid()}.tmp"
  with open(temporary, "w", encoding="utf-8") as file:
    json.dump(value, file, indent=2, ensure_ascii=False)
    file.write("\n")
  os.replace(temporary, path)


def read_info(folder: str) -> dict:
  """The dataset_info.json of a folder of records.

  Raises:
    UserError: missing, damaged, or of another version.
  """
  path = os.path.join(folder, "dataset_info.json")
  remedy = "make records with `pface_prepare_data`"
  if not os.path.isfile(path):
    raise UserError(f"{folder} holds no training records; {remedy}.")
  try:
    with open(path, encoding="utf-8") as file:
      info = json.load(file)
    version = info["format_version"]
    if version == FORMAT_VERSION:
      _check_info(info)
  except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
    raise UserError(f"{path} is damaged ({error}); {remedy} again.") from error
  if version != FORMAT_VERSION:
    raise UserError(
      f"{folder} has records of format {version}, this program reads "
      f"{FORMAT_VERSION}; {remedy} again."
    )
  return info


def _check_info(info: dict) -> None:
  """Raises ValueError or the like unless the shards' names can be made of it."""
  name, shards = info["name"], info["num_shards"]
  if name != os.path.basename(name):
    raise ValueError(f"name {name!r}")
  if not isinstance(shards, int) or not 0 < shards <= _MOST_SHARDS:
    raise ValueError(f"num_shards {shards}")
  for split, counts in info["splits"].items():
    for key in ("frames", "records", "shortest_record"):
      if not isinstance(counts[key], int | None):
        raise ValueError(f"{key} of {split} is {counts[key]!r}")


def shard_paths(folder: str, split: str) -> list[str]:
  """The files of a split, all there, none cut off, and not empty of frames.

  Raises:
    UserError: unknown or empty split, a missing file, or one that is cut off.
  """
  info = read_info(folder)
  if split not in info["splits"]:
    known = ", ".join(info["splits"])
    raise UserError(f"{folder} has no split {split!r}; it has {known}.")
  if not info["splits"][split]["frames"]:
    raise UserError(f"The split {split!r} of {folder} is empty; prepare more clips.")
  count = info["num_shards"]
  paths = [shard_path(folder, info["name"], split, i, count) for i in range(count)]
  for path in paths:
    if not os.path.isfile(path):
      raise UserError(f"{path} is missing; prepare the records again.")
    state = os.stat(path)
    if not _is_framed(path, state.st_size, state.st_mtime_ns):
      raise _damaged(path)
  return paths


def read_clips(folder: str, split: str) -> Iterator[ClipFrames]:
  """The records of a split, one after the other, pictures still encoded.

  Raises:
    UserError: see `shard_paths`; a damaged file.
  """
  for path in shard_paths(folder, split):
    try:
      for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
        yield from_example(serialized)
    # A record that is none, of other lengths than it says, with a name that is no text.
    except (tf.errors.OpError, ValueError) as error:
      raise _damaged(path) from error


def _damaged(path: str) -> UserError:
  return UserError(f"{path} is damaged; prepare the records again.")


@functools.cache
def _is_framed(path: str, size: int, changed: int) -> bool:
  """Whether the records of a file end where it ends; looked at once while it stays.

  TensorFlow makes room for a record without a look at the file, and ends the process
  where there is not so much memory. A record is its length (8 bytes), a checksum of
  that (4), its bytes and a checksum of these (4): 12 bytes of each are read.

  Args:
    path: the file.
    size, changed: bytes, and when it was written: what changes is looked at anew.
  """
  del changed
  left = size
  with open(path, "rb", buffering=0) as file:
    while left:
      length = int.from_bytes(file.read(12)[:8], "little")
      if length + 16 > left:
        return False
      file.seek(length + 4, os.SEEK_CUR)
      left -= length + 16
  return True
