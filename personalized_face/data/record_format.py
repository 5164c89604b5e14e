"""What one training record holds: the prepared frames of a clip, and its bytes.

    ClipFrames <-> tf.train.Example

A clip of more than MAX_FRAMES frames is dealt out to several records, frame i to part
i mod parts, so that every record spans the whole clip and groups of N frames can be
drawn from its different stretches. The records need nothing of this package to be read.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS, PARSING_CLASSES
from personalized_face.data import truth as clip_truth
from personalized_face.data.video import decode_picture

FORMAT_VERSION = 1
MAX_FRAMES = 64
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
  truth: clip_truth.Truth | None = None  # of a synthetic clip, see data/truth.py

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
    if self.truth is not None:
      files["truth"] = self.truth.take(chosen)
    return self._replace(**values, **files)


_ARRAY_FIELDS = ("indices", "times", "landmarks", "boxes", "squares")
_OPTIONAL_FIELDS = ("source_frames", "confidence", "sharpness")
_OPTIONAL_TEXTS = ("landmark_source", "parsing_source")
_REQUIRED = (*_ARRAY_FIELDS, "images", "parsing")
_PER_FRAME = (*_REQUIRED, *_OPTIONAL_FIELDS)


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
    **clip_truth.feature_specs(),
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
  """A JPEG of a record as [size, size, 3] uint8 RGB; UserError if damaged."""
  return cv2.cvtColor(_decoded(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def decode_labels(data: bytes) -> np.ndarray:
  """A PNG of a record as [size, size] uint8; UserError if damaged."""
  return _decoded(data, cv2.IMREAD_GRAYSCALE)


def _decoded(data: bytes, flags: int) -> np.ndarray:
  image = decode_picture(np.frombuffer(data or b"\0", np.uint8), flags)
  if image is None:
    raise UserError("A picture in the records is damaged; prepare the records again.")
  return image


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
    "person": strings([utf8(clip.person)]),
    "clip": strings([utf8(clip.clip)]),
    "source": strings([utf8(clip.source)]),
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
    "landmark_source": strings([utf8(clip.landmark_source)]),
    "parsing_source": strings([utf8(clip.parsing_source)]),
  }
  if clip.truth is not None:
    for name, value in clip_truth.features(clip.truth).items():
      features[name] = strings(value) if isinstance(value, list) else floats(value)
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString(deterministic=True)


def utf8(text: str) -> bytes:
  """UTF-8; of file names in another encoding the odd bytes become question marks."""
  return text.encode(errors="replace")


def from_example(serialized: bytes) -> ClipFrames:
  """A record's frames, pictures still encoded.

  Raises:
    ValueError, tf.errors.OpError: not a record, or not of as many frames as it says.
  """
  values = tf.io.parse_single_example(serialized, feature_specs())
  values = {name: value.numpy() for name, value in values.items()}
  count = int(values["num_frames"])
  for name in _PER_FRAME:
    if len(values[name]) != count and (len(values[name]) or name in _REQUIRED):
      raise ValueError(f"{name} of {len(values[name])} frames, not {count}")
  names = ("person", "clip", "source", *_OPTIONAL_TEXTS)
  texts = {name: values[name].decode() for name in names}
  numbers = {name: int(values[name]) for name in ("frame_height", "frame_width")}
  arrays = {name: values[name] for name in _PER_FRAME}
  truth = clip_truth.from_features(values)
  return ClipFrames(**texts, **numbers, **arrays, truth=truth)


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
      **clip_truth.DESCRIPTIONS,
    },
  }
