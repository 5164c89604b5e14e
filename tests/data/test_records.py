import json

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.data import record_format, records


def toy_clip(count: int, clip: str = "clip", person: str = "person", size: int = 16):
  """Frames whose grey level, time and landmarks say which frame they are."""
  images = [np.full([size, size, 3], i, np.uint8) for i in range(count)]
  labels = [np.full([size, size], i % 8, np.uint8) for i in range(count)]
  number = np.arange(count, dtype=np.float32)
  return record_format.ClipFrames(
    person=person,
    clip=clip,
    source=f"videos/{clip}.mp4",
    frame_height=480,
    frame_width=640,
    indices=np.arange(count) * 2,
    times=number / 10,
    images=[record_format.encode_image(image) for image in images],
    parsing=[record_format.encode_labels(label) for label in labels],
    landmarks=np.zeros([count, 68, 2], np.float32) + number[:, None, None],
    boxes=number[:, None] + np.arange(4, dtype=np.float32),
    squares=number[:, None] + np.arange(3, dtype=np.float32),
  )


def write_toy_records(folder, clips, size=16, split="train", num_shards=1, **info):
  """A folder as `prepare` makes it, of the given clips."""
  writer = records.RecordsWriter(str(folder), "toy", num_shards)
  for clip in clips:
    writer.write(split, clip)
  info = {
    "name": "toy",
    "format_version": record_format.FORMAT_VERSION,
    "num_shards": num_shards,
    "splits": writer.close(),
    "split_by": "frames",
    "preparation": {"size": size},
    **info,
  }
  records.write_json(str(folder / "dataset_info.json"), info)
  return str(folder)


def _assert_equal(a, b):
  for field in record_format.ClipFrames._fields:
    np.testing.assert_array_equal(getattr(a, field), getattr(b, field), field)


def test_example_round_trip():
  clip = toy_clip(5, clip="föö/bar")
  data = record_format.to_example(clip)
  _assert_equal(record_format.from_example(data), clip)
  assert data == record_format.to_example(toy_clip(5, clip="föö/bar"))


def test_pictures_round_trip():
  rng = np.random.default_rng(0)
  smooth = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
  decoded = record_format.decode_image(record_format.encode_image(smooth))
  # JPEG at quality 95 keeps flat blocks within a few levels; swapped channels do not.
  assert np.abs(decoded.astype(int) - smooth).max() <= 4
  labels = rng.integers(0, 8, (32, 32), dtype=np.uint8)
  np.testing.assert_array_equal(
    record_format.decode_labels(record_format.encode_labels(labels)), labels
  )


def test_parts_span_the_clip():
  parts = record_format.parts(toy_clip(130), max_frames=64)
  assert [part.num_frames for part in parts] == [44, 43, 43]
  for i, part in enumerate(parts):
    np.testing.assert_array_equal(part.indices // 2, np.arange(i, 130, 3))
    assert part.times[-1] - part.times[0] > 12.5
  assert len(record_format.parts(toy_clip(64), 64)) == 1


def test_split_of_person_is_stable_and_a_tenth():
  names = [f"id{i:05d}" for i in range(5000)]
  held = [name for name in names if records.split_of_person(name) == "test"]
  # 5000 draws at 0.1: three standard deviations are 64.
  assert abs(len(held) - 500) < 64
  # The same names for ever: other values would move people between the splits.
  assert held[:3] == [n for n in names[:60] if records.split_of_person(n) == "test"][:3]
  assert records.split_of_person("id00003") == records.split_of_person("id00003")


@pytest.mark.parametrize("count, held", [(6, 2), (20, 2), (25, 2), (97, 10), (120, 12)])
def test_held_out_frames_are_spread(count, held):
  frames = records.held_out_frames(count)
  assert len(frames) == len(set(frames)) == held
  assert 0 < frames.min() and frames.max() < count
  gaps = np.diff(frames)
  assert gaps.min() >= count // held and gaps.max() - gaps.min() <= 1


def test_writer_counts_and_shards(tmp_path):
  clips = [toy_clip(10, f"c{i}", f"p{i // 2}") for i in range(6)] + [
    toy_clip(100, "long", "p0")
  ]
  folder = write_toy_records(tmp_path, clips, num_shards=3)
  info = records.read_info(folder)
  assert info["splits"]["train"] == {
    "persons": 3,
    "clips": 7,
    "records": 8,
    "frames": 160,
    "shortest_record": 10,
  }
  assert info["splits"]["test"]["shortest_record"] is None
  names = sorted(p.name for p in tmp_path.glob("*train*"))
  assert names == [f"toy-train.tfrecord-0000{i}-of-00003" for i in range(3)]
  read = list(records.read_clips(folder, "train"))
  assert sum(clip.num_frames for clip in read) == 160
  assert {clip.clip for clip in read} == {clip.clip for clip in clips}


def test_records_do_not_depend_on_the_order_of_clips(tmp_path):
  clips = [toy_clip(6, f"c{i}") for i in range(5)]
  for name, order in (("a", clips), ("b", clips[::-1])):
    (tmp_path / name).mkdir()
    write_toy_records(tmp_path / name, order, num_shards=5)
  for path in sorted((tmp_path / "a").glob("*tfrecord*")):
    same = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    other = tf.data.TFRecordDataset(str(tmp_path / "b" / path.name))
    assert sorted(same) == sorted(other.as_numpy_iterator())


def test_features_json_names_every_feature():
  described = record_format.features_json(224)["features"]
  assert set(described) == set(record_format.feature_specs())


def test_read_info_exception_raised(tmp_path):
  with pytest.raises(UserError, match="no training records"):
    records.read_info(str(tmp_path))
  path = tmp_path / "dataset_info.json"
  path.write_text("{")
  with pytest.raises(UserError, match="damaged"):
    records.read_info(str(tmp_path))
  path.write_text(json.dumps({"format_version": 99, "splits": {}}))
  with pytest.raises(UserError, match="format 99"):
    records.read_info(str(tmp_path))


def test_shard_paths_exception_raised(tmp_path):
  folder = write_toy_records(tmp_path, [toy_clip(4)])
  with pytest.raises(UserError, match="no split 'valid'"):
    records.shard_paths(folder, "valid")
  with pytest.raises(UserError, match="'test' .* is empty"):
    records.shard_paths(folder, "test")
  path = tmp_path / "toy-train.tfrecord-00000-of-00001"
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2])
  with pytest.raises(UserError, match="toy-train.*damaged"):
    list(records.read_clips(folder, "train"))
  path.unlink()
  with pytest.raises(UserError, match="toy-train.* is missing"):
    records.shard_paths(folder, "train")
