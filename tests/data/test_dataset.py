import numpy as np
import pytest
import tensorflow as tf
from test_records import toy_clip, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.data.dataset import (
  make_dataset,
  make_eval_dataset,
  make_mixed_dataset,
  stretch_indices,
)


@pytest.fixture
def folder(tmp_path):
  """Three clips, 20 + 12 + 100 frames (the last in two records), 16 px."""
  clips = [toy_clip(20, "a"), toy_clip(12, "b"), toy_clip(100, "c")]
  return write_toy_records(tmp_path, clips)


def _batches(folder, count, **kwargs):
  return list(make_dataset(folder, **kwargs).take(count).as_numpy_iterator())


def test_static_shapes_and_types(folder):
  spec = make_dataset(folder, groups_per_batch=2, frames_per_group=3).element_spec
  assert spec.images == tf.TensorSpec([2, 3, 16, 16, 3], tf.float32)
  assert spec.landmarks == tf.TensorSpec([2, 3, 68, 2], tf.float32)
  assert spec.parsing == tf.TensorSpec([2, 3, 16, 16], tf.int32)


def test_pictures_labels_and_landmarks_belong_together(folder):
  """Grey level, label and landmarks of toy frames are the frame's number."""
  for batch in _batches(folder, 10, groups_per_batch=2, frames_per_group=4):
    number = batch.landmarks[:, :, 0, 0]
    # JPEG keeps a flat grey; float32.
    np.testing.assert_allclose(batch.images.mean((2, 3, 4)) * 255, number, atol=1e-3)
    np.testing.assert_array_equal(batch.parsing[:, :, 5, 5], number % 8)


def test_a_group_has_one_frame_of_each_stretch(folder):
  for batch in _batches(folder, 40, groups_per_batch=1, frames_per_group=4):
    number = batch.landmarks[0, :, 0, 0].astype(int)
    # The records: 20 and 12 frames, and every second one of 100, from 0 and from 1.
    for count, step in ((20, 1), (12, 1), (50, 2)):
      bounds = np.arange(5) * count // 4
      place = number // step
      if (bounds[:-1] <= place).all() and (place < bounds[1:]).all():
        break
    else:
      pytest.fail(f"{number} are not one frame of each quarter of any record")


def test_seed_decides(folder):
  def numbers(seed, **kwargs):
    batches = _batches(folder, 12, seed=seed, groups_per_batch=2, **kwargs)
    return np.stack([batch.landmarks[..., 0, 0] for batch in batches])

  np.testing.assert_array_equal(numbers(1), numbers(1))
  np.testing.assert_array_equal(numbers(1), numbers(1, cache=True))
  assert (numbers(1) != numbers(2)).any()
  # Draws change from pass to pass: not the same four frames of a clip for ever.
  assert len({tuple(row) for row in numbers(1).reshape(-1, 4)}) > 20


def test_draws_cover_every_frame():
  seen = {int(i) for n in range(400) for i in stretch_indices(13, 4, [3, n])}
  assert seen == set(range(13))


@pytest.mark.parametrize("count, groups", [(4, 4), (5, 4), (64, 4), (7, 1), (9, 8)])
def test_stretch_indices_stay_in_their_stretch(count, groups):
  bounds = np.arange(groups + 1) * count // groups
  for n in range(50):
    drawn = stretch_indices(count, groups, [0, n]).numpy()
    assert (bounds[:-1] <= drawn).all() and (drawn < bounds[1:]).all()
  middle = stretch_indices(count, groups).numpy()
  assert (bounds[:-1] <= middle).all() and (middle < bounds[1:]).all()


def test_without_repeat_every_record_is_seen_once(folder):
  batches = list(make_dataset(folder, groups_per_batch=2, shuffle=False, repeat=False))
  assert len(batches) == 2  # four records
  rounded = make_dataset(folder, groups_per_batch=3, shuffle=False, repeat=False)
  assert len(list(rounded)) == 2  # the last one filled from the start again


def test_resume_by_skipping(folder):
  whole = _batches(folder, 9, groups_per_batch=1)
  rest = list(make_dataset(folder, groups_per_batch=1).skip(5).take(4))
  for a, b in zip(whole[5:], rest, strict=True):
    np.testing.assert_array_equal(a.landmarks, b.landmarks)


@pytest.mark.parametrize("group", [1, 8])
def test_eval_has_every_frame_once(tmp_path, group):
  folder = write_toy_records(tmp_path, [toy_clip(10), toy_clip(7, "b")], split="test")
  numbers = []
  for batch, valid in make_eval_dataset(folder, frames_per_group=group):
    assert batch.images.shape == (1, group, 16, 16, 3)
    numbers += batch.landmarks[:, :, 0, 0][valid].numpy().tolist()
  assert sorted(numbers) == sorted([*range(10), *range(7)])


def test_make_dataset_exception_raised(folder, tmp_path):
  with pytest.raises(UserError, match="12 frames, too few for groups of 13"):
    make_dataset(folder, frames_per_group=13)
  with pytest.raises(UserError, match="is empty"):
    make_dataset(folder, "test")
  with pytest.raises(UserError, match="no training records"):
    make_dataset(str(tmp_path / "absent"))
  with pytest.raises(UserError, match="no training records"):
    make_eval_dataset(str(tmp_path / "absent"))


def test_resume_without_decoding_what_is_skipped(folder):
  whole = _batches(folder, 9, groups_per_batch=2, seed=3)
  rest = _batches(folder, 4, groups_per_batch=2, seed=3, skip_batches=5)
  for a, b in zip(whole[5:], rest, strict=True):
    np.testing.assert_array_equal(a.images, b.images)


def test_every_shard_is_read(tmp_path):
  clips = [toy_clip(5, f"clip{i}") for i in range(12)]
  folder = write_toy_records(tmp_path, clips, num_shards=5)
  dataset = make_dataset(folder, groups_per_batch=1, frames_per_group=1, repeat=False)
  assert len(list(dataset)) == 12


def _persons_seen(folder, count, **kwargs):
  """How often a frame of the person of long clips (numbers past 11) comes up."""
  batches = _batches(folder, count, groups_per_batch=1, frames_per_group=1, **kwargs)
  return np.mean([batch.landmarks[0, 0, 0, 0] >= 100 for batch in batches])


def test_persons_are_balanced_not_clips(tmp_path):
  """One person has a single clip, another nine."""
  clips = [toy_clip(10, "a", "ann")] + [toy_clip(10, f"b{i}", "bob") for i in range(9)]
  bob = [c._replace(landmarks=c.landmarks + 100) for c in clips[1:]]
  folder = write_toy_records(tmp_path, [clips[0], *bob])
  assert abs(_persons_seen(folder, 200) - 0.9) < 0.02  # whole passes of ten records
  # 400 draws at 1/2 have a standard deviation of 0.025.
  assert abs(_persons_seen(folder, 400, records_per_person=1) - 0.5) < 0.1


def test_corpora_are_mixed_by_their_weights(tmp_path):
  folders = []
  for name, weight, shift in (("a", 3.0, 0), ("b", 1.0, 100)):
    (tmp_path / name).mkdir()
    clips = [toy_clip(10, f"{name}{i}") for i in range(3)]
    clips = [c._replace(landmarks=c.landmarks + shift) for c in clips]
    folders.append(write_toy_records(tmp_path / name, clips, weight=weight))

  def numbers(count, **kwargs):
    dataset = make_mixed_dataset(
      folders, groups_per_batch=2, frames_per_group=2, **kwargs
    )
    return np.stack([b.landmarks[..., 0, 0] for b in dataset.take(count)])

  drawn = numbers(150)
  # 300 draws at 1/4 have a standard deviation of 0.025.
  assert abs((drawn[..., 0] >= 100).mean() - 0.25) < 0.1
  np.testing.assert_array_equal(drawn[5:9], numbers(4, skip_batches=5))
  (tmp_path / "c").mkdir()
  other = write_toy_records(tmp_path / "c", [toy_clip(9, size=24)], size=24)
  with pytest.raises(UserError, match="several sizes"):
    make_mixed_dataset([*folders, other])
