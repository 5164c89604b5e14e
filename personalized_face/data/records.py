"""TFRecord shards of prepared clips: what one record holds, and the files beside them.

A folder of records is complete or absent and holds

  <name>-<split>.tfrecord-00000-of-00002   tf.train.Example, one clip or part of one
  features.json      what each feature of a record is: its type, shape and meaning
  dataset_info.json  counts, settings, corpus and versions
  manifest.csv       one row for each input, also for those of no use
  index.csv          where in the shards each clip lies

A clip of more than MAX_FRAMES frames is dealt out to several records, frame i to part
i mod parts, so that every record spans the whole clip and groups of N frames can be
drawn from its different stretches. The records need nothing of this package to be read.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS, PARSING_CLASSES

FORMAT_VERSION = 1
MAX_FRAMES = 64
SPLITS = ("train", "test")
HELD_OUT_SHARE = 0.1  # Section 4: "We set aside 10% of each dataset for testing."
JPEG_QUALITY = 95


class ClipFrames(NamedTuple):
  """The prepared frames of one clip (or of one part of it), F of them."""

  person: str
  clip: str
  source: str  # path it was read from
  frame_height: int  # of the source picture, pixels
  frame_width: int
  indices: np.ndarray  # [F] int64, which of the sampled frames of the source
  times: np.ndarray  # [F] float32, seconds from the source's first frame
  images: Sequence[bytes]  # F JPEG files, RGB, size x size
  parsing: Sequence[bytes]  # F PNG files, 8-bit, index into PARSING_CLASSES
  landmarks: np.ndarray  # [F, 68, 2] float32, pixels of the crop, iBUG order
  boxes: np.ndarray  # [F, 4] float32, the landmarks' x0, y0, x1, y1 in the source
  squares: np.ndarray  # [F, 3] float32, the crop's left, top, side in the source
  # Empty where whoever made the records did not say.
  source_frames: np.ndarray = np.zeros(0, np.int64)  # [F], frame number in the source
  confidence: np.ndarray = np.zeros(0, np.float32)  # [F] of the detector, in [0, 1]
  sharpness: np.ndarray = np.zeros(0, np.float32)  # [F], see data/gates.py
  landmark_source: str = ""  # what the landmarks come from
  parsing_source: str = ""  # what the parsing maps come from, label order included

  @property
  def num_frames(self) -> int:
    """F."""
    return len(self.times)

  def take(self, chosen: np.ndarray) -> "ClipFrames":
    """The frames at the given indices, in that order."""
    values = {field: getattr(self, field)[chosen] for field in _ARRAY_FIELDS}
    for field in _OPTIONAL_FIELDS:
      values[field] = getattr(self, field)
      if len(values[field]):
        values[field] = values[field][chosen]
    files = {f: [getattr(self, f)[i] for i in chosen] for f in ("images", "parsing")}
    return self._replace(**values, **files)


_ARRAY_FIELDS = ("indices", "times", "landmarks", "boxes", "squares")
_OPTIONAL_FIELDS = ("source_frames", "confidence", "sharpness")
_OPTIONAL_TEXTS = ("landmark_source", "parsing_source")
_PER_FRAME = (*_ARRAY_FIELDS, *_OPTIONAL_FIELDS, "images", "parsing")


def feature_specs() -> dict[str, tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature]:
  """How `tf.io.parse_single_example` reads a record; F is `num_frames`."""
  frames = {
    "times": ([], tf.float32),
    "indices": ([], tf.int64),
    "images": ([], tf.string),
    "parsing": ([], tf.string),
    "landmarks": ([NUM_LANDMARKS, 2], tf.float32),
    "boxes": ([4], tf.float32),
    "squares": ([3], tf.float32),
    "source_frames": ([], tf.int64),
    "confidence": ([], tf.float32),
    "sharpness": ([], tf.float32),
  }
  scalars = ("person", "clip", "source")
  numbers = ("num_frames", "part", "num_parts", "frame_height", "frame_width")
  return {
    **{name: tf.io.FixedLenFeature([], tf.string) for name in scalars},
    **{name: tf.io.FixedLenFeature([], tf.string, "") for name in _OPTIONAL_TEXTS},
    **{name: tf.io.FixedLenFeature([], tf.int64) for name in numbers},
    **{
      name: tf.io.FixedLenSequenceFeature(shape, dtype, allow_missing=True)
      for name, (shape, dtype) in frames.items()
    },
  }


def encode_image(image: np.ndarray) -> bytes:
  """[size, size, 3] uint8 RGB as a JPEG; colour at full resolution (4:4:4), since the
  photometric loss sees every pixel."""
  options = [
    cv2.IMWRITE_JPEG_QUALITY,
    JPEG_QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
  ]
  return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[
    1
  ].tobytes()


def encode_labels(labels: np.ndarray) -> bytes:
  """[size, size] uint8 as a PNG."""
  return cv2.imencode(".png", labels)[1].tobytes()


def decode_image(data: bytes) -> np.ndarray:
  """A JPEG of a record as [size, size, 3] uint8 RGB."""
  image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_labels(data: bytes) -> np.ndarray:
  """A PNG of a record as [size, size] uint8."""
  return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def parts(clip: ClipFrames, max_frames: int = MAX_FRAMES) -> list[ClipFrames]:
  """Deals a clip out to records of at most `max_frames` (see the top of the file)."""
  count = -(-clip.num_frames // max_frames)
  return [clip.take(np.arange(i, clip.num_frames, count)) for i in range(count)]


def to_example(clip: ClipFrames, part: int = 0, num_parts: int = 1) -> bytes:
  """A record, the same bytes for the same frames."""

  def strings(values: Sequence[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

  def floats(array: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=array.ravel()))

  def integers(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

  features = {
    "person": strings([_utf8(clip.person)]),
    "clip": strings([_utf8(clip.clip)]),
    "source": strings([_utf8(clip.source)]),
    "num_frames": integers([clip.num_frames]),
    "part": integers([part]),
    "num_parts": integers([num_parts]),
    "frame_height": integers([clip.frame_height]),
    "frame_width": integers([clip.frame_width]),
    "indices": integers(clip.indices.tolist()),
    "times": floats(clip.times),
    "images": strings(clip.images),
    "parsing": strings(clip.parsing),
    "landmarks": floats(clip.landmarks),
    "boxes": floats(clip.boxes),
    "squares": floats(clip.squares),
    "source_frames": integers(clip.source_frames.tolist()),
    "confidence": floats(clip.confidence),
    "sharpness": floats(clip.sharpness),
    "landmark_source": strings([_utf8(clip.landmark_source)]),
    "parsing_source": strings([_utf8(clip.parsing_source)]),
  }
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString(deterministic=True)


def _utf8(text: str) -> bytes:
  """UTF-8; of file names in another encoding the odd bytes become question marks."""
  return text.encode(errors="replace")


def from_example(serialized: bytes) -> ClipFrames:
  """A record's frames, pictures still encoded."""
  values = tf.io.parse_single_example(serialized, feature_specs())
  values = {name: value.numpy() for name, value in values.items()}
  names = ("person", "clip", "source", *_OPTIONAL_TEXTS)
  texts = {name: values[name].decode() for name in names}
  numbers = {name: int(values[name]) for name in ("frame_height", "frame_width")}
  arrays = {name: values[name] for name in _PER_FRAME}
  return ClipFrames(**texts, **numbers, **arrays)


def split_of_person(person: str, share: float = HELD_OUT_SHARE) -> str:
  """ "train" or "test", by a hash of the name: adding persons moves nobody."""
  digest = hashlib.sha256(_utf8(person)).digest()
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
  digest = hashlib.sha256(_utf8(clip)).digest()
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


def features_json(size: int) -> dict:
  """The schema of a record for people and other programs; F is num_frames."""
  return {
    "format_version": FORMAT_VERSION,
    "record": "tf.train.Example: a clip, or the frames i with i mod num_parts = part",
    "parsing_classes": list(PARSING_CLASSES),
    "features": {
      "person": "bytes, UTF-8: identity",
      "clip": "bytes, UTF-8: name of the clip",
      "source": "bytes, UTF-8: path the clip was read from",
      "num_frames": "int64: F",
      "part": "int64: which part of the clip",
      "num_parts": "int64: parts of the clip",
      "frame_height": "int64: of the source picture, pixels",
      "frame_width": "int64: of the source picture, pixels",
      "indices": "int64 [F]: which of the sampled frames of the source",
      "times": "float32 [F]: seconds from the source's first frame",
      "images": f"bytes [F]: JPEG, RGB, {size} x {size}",
      "parsing": f"bytes [F]: PNG, 8 bit, {size} x {size}, index of parsing_classes",
      "landmarks": "float32 [F, 68, 2]: x, y in pixels of the crop, pixel centres at "
      ".5, iBUG order",
      "boxes": "float32 [F, 4]: bounds x0, y0, x1, y1 of the landmarks in the source",
      "squares": "float32 [F, 3]: left, top, side of the crop in the source; crop = "
      f"(source - (left, top)) * {size} / side",
      "source_frames": "int64 [F]: number of the frame in the source, from 0",
      "confidence": "float32 [F]: of the face detector, in [0, 1]",
      "sharpness": "float32 [F]: variance of the Laplacian of the face at 112 px",
      "landmark_source": "bytes, UTF-8: what the landmarks come from",
      "parsing_source": "bytes, UTF-8: what the parsing maps come from, with the order "
      "of the labels that were read",
    },
  }


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
    version, _ = info["format_version"], info["splits"]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path} is damaged ({error}); {remedy} again.") from error
  if version != FORMAT_VERSION:
    raise UserError(
      f"{folder} has records of format {version}, this program reads "
      f"{FORMAT_VERSION}; {remedy} again."
    )
  return info


def shard_paths(folder: str, split: str) -> list[str]:
  """The files of a split, all there and not empty of frames.

  Raises:
    UserError: unknown or empty split, a missing file.
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
    except tf.errors.DataLossError as error:
      raise UserError(f"{path} is damaged; prepare the records again.") from error
