"""Damaged records: which file it is, and nothing where they are not to blame."""

import pathlib
import struct

import numpy as np
import pytest
import tensorflow as tf
from data.test_records import toy_clip, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.data import record_damage, record_format, records
from personalized_face.data.dataset import make_dataset, make_eval_dataset

SHARD = "toy-train.tfrecord-00000-of-00001"


def _folder(tmp_path, clip=None):
  return write_toy_records(tmp_path, [clip or toy_clip(6)])


def _all_of(folder):
  """Reads as a training does: in tf.data's threads."""
  with record_damage.named(folder):
    dataset = make_dataset(folder, groups_per_batch=1, frames_per_group=6, repeat=False)
    return list(dataset)


def _overwrite(path: pathlib.Path, place: int, new: bytes):
  data = path.read_bytes()
  path.write_bytes(data[:place] + new + data[place + len(new) :])


def test_sound_records_are_read(tmp_path):
  folder = _folder(tmp_path)
  assert len(_all_of(folder)) == 1
  record_damage.check(folder)


@pytest.mark.parametrize(
  "read",
  [
    lambda folder: make_dataset(folder, groups_per_batch=1, frames_per_group=2),
    lambda folder: make_eval_dataset(folder, "train"),
    lambda folder: next(records.read_clips(folder, "train")),
  ],
)
@pytest.mark.parametrize("length", [1 << 40, 1 << 63, 0])
def test_a_length_that_cannot_be_is_said_before_tensorflow_reads(
  tmp_path, read, length
):
  folder = _folder(tmp_path)
  _overwrite(tmp_path / SHARD, 0, struct.pack("<Q", length))
  with pytest.raises(UserError, match=f"{SHARD} is damaged; prepare"):
    read(folder)


def test_a_file_that_was_cut_off_is_said_again_after_it_was_sound(tmp_path):
  folder = _folder(tmp_path)
  records.shard_paths(folder, "train")
  path = tmp_path / SHARD
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(UserError, match="is damaged"):
    records.shard_paths(folder, "train")


def test_a_flipped_byte_is_said_where_it_is_read(tmp_path):
  folder = _folder(tmp_path)
  _overwrite(tmp_path / SHARD, 300, b"\xa5\x5a")
  with pytest.raises(UserError, match=f"{SHARD} is damaged; prepare"):
    _all_of(folder)


def test_other_contents_with_right_checksums_are_said(tmp_path):
  folder = _folder(tmp_path)
  with tf.io.TFRecordWriter(str(tmp_path / SHARD)) as file:
    file.write(b"no example")
  with pytest.raises(UserError, match=f"{SHARD} is damaged; prepare"):
    _all_of(folder)


@pytest.mark.parametrize(
  ("picture", "sentence"),
  [
    (b"no picture", "A picture in the records is damaged"),
    (record_format.encode_image(np.zeros([8, 8, 3], np.uint8)), "is not of 16 pixels"),
  ],
)
def test_a_picture_that_is_none_or_of_another_size_is_said(tmp_path, picture, sentence):
  clip = toy_clip(6)
  folder = _folder(tmp_path, clip._replace(images=[*clip.images[:5], picture]))
  with pytest.raises(UserError, match=sentence):
    _all_of(folder)


def test_who_balances_persons_is_told_too(tmp_path):
  folder = _folder(tmp_path)
  _overwrite(tmp_path / SHARD, 300, b"\xa5\x5a")
  with pytest.raises(UserError, match="is damaged"):
    make_dataset(folder, groups_per_batch=1, frames_per_group=2, records_per_person=1)


def test_a_failure_of_the_block_s_own_is_handed_on(tmp_path):
  folder = _folder(tmp_path)
  own = tf.errors.InvalidArgumentError(None, None, "a step's own")
  with pytest.raises(tf.errors.InvalidArgumentError, match="a step's own"):
    with record_damage.named(folder):
      raise own
