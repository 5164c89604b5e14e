"""Hostile records, pictures and checkpoints."""

import os
import pathlib
import shutil
import struct
import zlib

import cv2
import hostile
import numpy as np
import pytest
import tensorflow as tf
from data.test_records import toy_clip, write_toy_records
from hostile import Format, json_text, mangled, refuses, rewritten
from hypothesis import strategies as st

from personalized_face.core.errors import UserError
from personalized_face.data import record_format, records
from personalized_face.data.parsing import read_label_png
from personalized_face.data.video import read_frames, read_image
from personalized_face.training import checkpoints

RNG = np.random.default_rng(0)
PICTURE = cv2.GaussianBlur(RNG.integers(0, 255, (24, 32, 3), np.uint8), (0, 0), 2)


def _write_records(path):
  """A folder of records; `path` becomes its only shard of training records."""
  folder = pathlib.Path(path).parent
  write_toy_records(folder, [toy_clip(3)])
  for extra in ("toy-test.tfrecord-00000-of-00001",):
    assert (folder / extra).exists()


def _read_records(path):
  """Everything in the shard, pictures decoded."""
  records._is_framed.cache_clear()  # one file follows another within a clock tick
  clips = list(records.read_clips(os.path.dirname(path), "train"))
  for clip in clips:
    for image, labels in zip(clip.images, clip.parsing, strict=True):
      record_format.decode_image(image)
      record_format.decode_labels(labels)
  return clips


def _reframed(data):
  """Other bytes in sound records, sound bytes in other records."""
  length = struct.unpack_from("<Q", data)[0]
  record = data[12 : 12 + length]

  def frame(content: bytes) -> bytes:
    path = _Scratch.path
    with tf.io.TFRecordWriter(path) as file:
      file.write(content)
    return pathlib.Path(path).read_bytes()

  return st.one_of(mangled(record).map(frame), mangled(data))


class _Scratch:
  """Where a record is framed: TensorFlow computes the checksums, to files only."""

  path = ""


@pytest.fixture(autouse=True, scope="module")
def scratch(tmp_path_factory):
  _Scratch.path = str(tmp_path_factory.mktemp("scratch") / "one.tfrecord")


def _check_clips(clips):
  for clip in clips:
    assert len(clip.images) == len(clip.parsing) == len(clip.landmarks)


def _write_picture(path):
  assert cv2.imwrite(path, PICTURE)


def _write_labels(path):
  assert cv2.imwrite(path, PICTURE[..., 0] % 19)


def _check_picture(picture):
  assert picture.ndim == 3 and picture.dtype == np.uint8 and picture.size


def _check_labels(labels):
  assert labels.ndim == 2 and labels.max() < 8


def _write_video(path):
  from data.malformed import _good

  _good(pathlib.Path(path), count=4)


def _read_video(path):
  return sum(frame.image.size > 0 for frame in read_frames(path))


def _write_checkpoint(path):
  """`path` is one of the three files of a checkpoint; the others are always sound."""
  folder = pathlib.Path(path).parent
  value = tf.Variable(np.arange(50, dtype=np.float32))
  manager = tf.train.CheckpointManager(
    tf.train.Checkpoint(value=value), str(folder), max_to_keep=2
  )
  for step in (1, 2):
    manager.save(checkpoint_number=step)


def _read_checkpoint(path):
  """Restores the newest sound one: of step 1 where that of step 2 is mangled."""
  value = tf.Variable(np.zeros(50, np.float32))
  found = checkpoints._newest_sound(os.path.dirname(path))
  if found is not None:
    checkpoints._restore(tf.train.Checkpoint(value=value), found)
  return found, value.numpy()


def _check_checkpoint(result):
  found, value = result
  assert found is None or (value == np.arange(50)).all()


FORMATS = (
  Format(
    "toy-train.tfrecord-00000-of-00001",
    _write_records,
    _read_records,
    _reframed,
    _check_clips,
  ),
  Format("dataset_info.json", _write_records, _read_records, json_text, _check_clips),
  *(
    Format(f"picture{ending}", _write_picture, read_image, mangled, _check_picture)
    for ending in (".png", ".jpg", ".bmp", ".tiff", ".webp")
  ),
  Format(
    "labels.png",
    _write_labels,
    lambda path: read_label_png(path, "celebamask_hq"),
    mangled,
    _check_labels,
  ),
  Format("clip.mp4", _write_video, _read_video, mangled),
  *(
    Format(name, _write_checkpoint, _read_checkpoint, mangle, _check_checkpoint)
    for name, mangle in (
      ("ckpt-2.index", mangled),
      ("ckpt-2.data-00000-of-00001", mangled),
      ("checkpoint", rewritten),
    )
  ),
)


@pytest.mark.parametrize("case", FORMATS, ids=[case.file for case in FORMATS])
def test_record_picture_or_checkpoint(case, tmp_path):
  hostile.attack(case, tmp_path)


def _png(width: int, height: int, rows: bytes = b"") -> bytes:
  """A PNG of one bit a pixel that says how large it is."""

  def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum

  header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
  packed = zlib.compress(rows, 9)
  return b"".join(
    [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", packed)]
    + [chunk(b"IEND", b"")]
  )


@pytest.mark.parametrize("side", [17_000, 100_000, 2**31 - 1])
def test_a_picture_of_any_size_is_not_decoded(tmp_path, side):
  path = tmp_path / "bomb.png"
  path.write_bytes(_png(side, side))
  for read in (read_image, lambda name: read_label_png(name, "celebamask_hq")):
    assert refuses(read, path)


def test_a_damaged_picture_in_the_records_is_one_sentence():
  for decode in (record_format.decode_image, record_format.decode_labels):
    for data in (b"", b"no picture"):
      with pytest.raises(UserError, match="prepare the records again"):
        decode(data)


def test_a_record_that_says_it_is_larger_than_the_file(tmp_path):
  """TensorFlow would make room for it first: the length's checksum is right."""
  write_toy_records(tmp_path, [toy_clip(3)])
  path = tmp_path / "toy-train.tfrecord-00000-of-00001"
  length = struct.pack("<Q", 1 << 40)
  path.write_bytes(length + struct.pack("<I", _masked_crc(length)) + bytes(100))
  assert refuses(_read_records, path)


def _masked_crc(data: bytes) -> int:
  """TFRecord's checksum: CRC-32C, turned and shifted by a constant."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
  crc ^= 0xFFFFFFFF
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_the_list_of_checkpoints_may_be_no_text(tmp_path):
  _write_checkpoint(str(tmp_path / "checkpoint"))
  (tmp_path / "checkpoint").write_bytes(b'model_checkpoint_path: "\xff\xfe"')
  found, value = _read_checkpoint(str(tmp_path / "checkpoint"))
  assert found == str(tmp_path / "ckpt-2") and value[7] == 7


def test_damaged_figures_of_the_best_checkpoint_are_written_anew(tmp_path):
  for text in ("", "{", "[]", '{"loss": "x"}', "[" * 100_000):
    path = tmp_path / "figures.json"
    path.write_text(text)
    assert checkpoints._best_loss(str(path)) == np.inf
  path.write_text('{"loss": 0.5}')
  assert checkpoints._best_loss(str(path)) == 0.5
  shutil.rmtree(tmp_path)
  assert checkpoints._best_loss(str(path)) == np.inf
