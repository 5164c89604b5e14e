"""Records to batches: groups of N frames, one from each of N stretches of a clip.

    TFRecord shards -> shuffled records -> N frames of each -> core.types.Batch

Section 4: mini-batches of groups "each of N images chosen randomly from different parts
of a video to ensure sufficient diversity". The same seed gives the same batches.
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS, Batch, Tensor
from personalized_face.data import record_damage, record_format, records
from personalized_face.data.appearance import Appearance
from personalized_face.data.augment import Jitter
from personalized_face.data.frame_truth import FrameTruth, frame_truth, in_crop
from personalized_face.data.truth import blendshapes_of

# Records in the shuffle's reservoir: of about 1 MB, in compressed form.
_SHUFFLE_RECORDS = 256
_SHARDS_AT_ONCE = 16


@gin.configurable(
  module="data", denylist=["records_dir", "split", "truth", "known_blendshapes"]
)
def make_dataset(
  records_dir: str,
  split: str = "train",
  groups_per_batch: int = 8,
  frames_per_group: int = 4,
  seed: int = 0,
  shuffle: bool = True,
  repeat: bool = True,
  cache: bool = False,
  records_per_person: int | None = None,
  skip_batches: int = 0,
  names: bool = False,
  shard: tuple[int, int] = (0, 1),
  truth: bool = False,
  known_blendshapes: Sequence[str] | None = None,
) -> tf.data.Dataset:
  """Batches of B groups of N frames for training.

  A record gives one group per pass: its frames, in order of time, are cut into N equal
  stretches, and one frame is drawn from each.

  Args:
    records_dir: a folder that `prepare` made.
    split: "train" or "test".
    groups_per_batch: B.
    frames_per_group: N; a record must have as many frames.
    seed: of the order of the records and of the frames drawn.
    shuffle: False takes the records in file order and the middle of each stretch, as
      it is; True also moves each crop by gin's `Jitter`, and recolours and mirrors
      groups by its `Appearance`.
    repeat: True never ends; False makes one pass, rounded up to whole batches (the
      last one filled from the start again).
    cache: keeps the records (compressed) in memory; for small corpora.
    records_per_person: who has more records gives, in the mean, so many a pass, other
      ones each time: persons count alike, not clips. None uses every record.
    skip_batches: so many come first that are left out, undecoded: a run that goes on
      gets what an uninterrupted one would have got.
    names: True gives, in place of each batch, which records it is made of: [B] strings
      "person/clip", with the part where a clip has several.
    shard: (i, W) gives the i-th of W equal parts of every batch, and decodes no other.
    truth: True gives (Batch, FrameTruth [B, N, ...]), of records of synthetic clips. No
      augmentation may be set then, since the truth is that of the crop as it is.
    known_blendshapes: K names; Batch.truth is then known, with the coefficients of
      these, of records of synthetic clips. `Jitter` moves it with the crop.

  Returns:
    Batch of images [B, N, size, size, 3] float32 in [0, 1], landmarks [B, N, 68, 2]
    float32, parsing [B, N, size, size] int32; static shapes.

  Raises:
    UserError: no records there, an empty split, clips of fewer than N frames; with
      `truth`: a record has none, or an augmentation is set; with `known_blendshapes`: a
      record has no truth, or that of other blendshapes, or groups are to be mirrored.
    ValueError: batches that do not divide into the parts.
  """
  index, count = shard
  if groups_per_batch % count:
    raise ValueError(f"batches of {groups_per_batch} do not divide into {count} parts")
  part = groups_per_batch // count
  counts = records.read_info(records_dir)["splits"][split]
  groups = _groups(
    records_dir,
    split,
    frames_per_group,
    seed,
    shuffle,
    cache,
    records_per_person,
    truth,
    known_blendshapes,
  )
  if not repeat:
    batches = -(-counts["records"] // groups_per_batch)
    groups = groups._replace(
      serialized=groups.serialized.take(batches * groups_per_batch)
    )
  serialized = groups.serialized.skip(skip_batches * groups_per_batch)
  if count > 1:
    serialized = serialized.filter(
      lambda number, _: number % groups_per_batch // part == index
    )
  decode = _name if names else groups.decode
  return (
    serialized.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    .batch(part, drop_remainder=True)
    .prefetch(2)
  )


def make_mixed_dataset(
  records_dirs: Sequence[str],
  split: str = "train",
  groups_per_batch: int = 8,
  frames_per_group: int = 4,
  seed: int = 0,
  records_per_person: int | None = None,
  skip_batches: int = 0,
) -> tf.data.Dataset:
  """Batches of groups drawn from several corpora by their weights; never ends.

  Args:
    records_dirs: folders that `prepare` made, with crops of one size; the weight of
      each is its corpus's (`weight` in data_specs).
    split, groups_per_batch, frames_per_group, seed, records_per_person, skip_batches:
      see `make_dataset`.

  Returns:
    Batches as of `make_dataset`.

  Raises:
    UserError: see `make_dataset`; crops of several sizes.
  """
  infos = [records.read_info(folder) for folder in records_dirs]
  if len({info["preparation"]["size"] for info in infos}) > 1:
    raise UserError(
      f"{', '.join(records_dirs)} have crops of several sizes; prepare them alike."
    )
  sources = [
    _groups(folder, split, frames_per_group, seed + i, True, False, records_per_person)
    for i, folder in enumerate(records_dirs)
  ]
  # Which corpus a record is of goes with it, since each decodes with its own numbers.
  tagged = [
    source.serialized.map(lambda number, record, i=i: (i, number, record))
    for i, source in enumerate(sources)
  ]
  weights = np.array([info.get("weight", 1.0) for info in infos], np.float64)
  mixed = tf.data.Dataset.sample_from_datasets(
    tagged, weights / weights.sum(), seed, stop_on_empty_dataset=False
  )

  def decode(corpus: Tensor, number: Tensor, record: Tensor) -> Batch:
    return tf.switch_case(
      corpus, [lambda s=source: s.decode(number, record) for source in sources]
    )

  return (
    mixed.skip(skip_batches * groups_per_batch)
    .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    .batch(groups_per_batch, drop_remainder=True)
    .prefetch(2)
  )


class _Groups(NamedTuple):
  """Records in the order in which they are used, and what makes a group of each."""

  serialized: tf.data.Dataset  # (number, record), without end
  decode: Callable[[Tensor, Tensor], Batch | tuple[Batch, FrameTruth]]


def _groups(
  records_dir: str,
  split: str,
  frames_per_group: int,
  seed: int,
  shuffle: bool,
  cache: bool,
  records_per_person: int | None,
  truth: bool = False,
  known_blendshapes: Sequence[str] | None = None,
) -> _Groups:
  """See `make_dataset`."""
  info = records.read_info(records_dir)
  jitter, appearance = Jitter(), Appearance()
  paths = records.shard_paths(records_dir, split)
  if truth and shuffle and (jitter.moves or appearance.changes):
    raise UserError(
      "The ground truth is that of crops as they are; set Jitter and Appearance to 0, "
      "or shuffle = False, to read it."
    )
  supervised = known_blendshapes is not None
  with record_damage.named(records_dir):
    names = blendshapes_of(records_dir, paths) if truth or supervised else ()
  if supervised:
    mirrors = shuffle and appearance.flip > 0
    _check_supervision(records_dir, names, known_blendshapes, mirrors)
  shortest = info["splits"][split]["shortest_record"]
  if shortest < frames_per_group:
    raise UserError(
      f"The split {split!r} of {records_dir} has clips of {shortest} frames, too few "
      f"for groups of {frames_per_group}; prepare them again with a larger "
      "Preparation.min_frames."
    )
  dataset = tf.data.TFRecordDataset(paths)
  if shuffle:
    # Several shards at once: records that lie side by side are of alike names.
    dataset = tf.data.Dataset.from_tensor_slices(paths).interleave(
      tf.data.TFRecordDataset,
      cycle_length=min(len(paths), _SHARDS_AT_ONCE),
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )
  if cache:
    dataset = dataset.cache()
  if shuffle:
    dataset = dataset.shuffle(_SHUFFLE_RECORDS, seed, reshuffle_each_iteration=True)
  dataset = dataset.repeat()
  if records_per_person is not None:
    with record_damage.named(records_dir):
      chosen = _person_balance(records_dir, split, records_per_person, seed)
    dataset = dataset.enumerate().filter(chosen).map(lambda number, record: record)

  def decode(number: Tensor, serialized: Tensor) -> Batch:
    record = tf.io.parse_single_example(serialized, record_format.feature_specs())
    numbers = [seed, number] if shuffle else None
    chosen = stretch_indices(record["num_frames"], frames_per_group, numbers)
    size = info["preparation"]["size"]
    group = _decode(record, chosen, size)
    known = frame_truth(record, chosen, len(names)) if names else None
    if truth:
      return group, known
    if numbers and jitter.moves:
      group = jitter.apply(group, numbers)
      known = known and jitter.apply_to_truth(known, numbers, size)
    if supervised:
      group = group._replace(truth=in_crop(known, size))
    return appearance.apply(group, numbers) if numbers and appearance.changes else group

  return _Groups(dataset.enumerate(), decode)


def _check_supervision(
  records_dir: str, there: Sequence[str], wanted: Sequence[str], mirrors: bool
) -> None:
  """Raises UserError unless the truth of the records can be learned from."""
  if tuple(there) != tuple(wanted):
    raise UserError(
      f"The ground truth of {records_dir} is told in other blendshapes than the "
      "template's; train with the template that its clips were rendered with."
    )
  if mirrors:
    raise UserError(
      "What is true of a mirrored face is not what its record says; set "
      "Appearance.flip = 0 where LossWeights.true_* are not 0."
    )


def _name(number: Tensor, serialized: Tensor) -> Tensor:
  """Which record this is, for people to read."""
  del number
  record = tf.io.parse_single_example(serialized, record_format.feature_specs())
  count = tf.strings.as_string(record["num_parts"])
  part = tf.strings.as_string(record["part"] + 1)
  suffix = tf.strings.join([" (part ", part, " of ", count, ")"])
  return tf.strings.join(
    [
      *(record["person"], "/", record["clip"]),
      tf.where(record["num_parts"] > 1, suffix, ""),
    ]
  )


def _person_balance(
  records_dir: str, split: str, records_per_person: int, seed: int
) -> Callable[[Tensor, Tensor], Tensor]:
  """Whether a record is used this time: with probability `wanted / there are`."""
  person = tf.io.FixedLenFeature([], tf.string)
  counts = collections.Counter()
  for path in records.shard_paths(records_dir, split):
    for serialized in tf.data.TFRecordDataset(path):
      parsed = tf.io.parse_single_example(serialized, {"person": person})
      counts[parsed["person"].numpy()] += 1
  table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(
      tf.constant(list(counts)), tf.constant(list(counts.values()), tf.float32)
    ),
    default_value=1.0,
  )

  def chosen(number: Tensor, serialized: Tensor) -> Tensor:
    parsed = tf.io.parse_single_example(serialized, {"person": person})
    draw = tf.random.stateless_uniform([], tf.stack([seed, number]))
    return draw * table.lookup(parsed["person"]) < records_per_person

  return chosen


def make_eval_dataset(
  records_dir: str,
  split: str = "test",
  frames_per_group: int = 1,
  truth: bool = False,
) -> tf.data.Dataset:
  """Every frame of a split exactly once, in order, for evaluation (N = 1, Section 4).

  Args:
    records_dir: a folder that `prepare` made.
    split: "train" or "test".
    frames_per_group: N. Groups never mix records; a record's last group is filled up
      with its last frame, and `valid` says which frames count.
    truth: True adds the FrameTruth [1, N, ...] of each group.

  Returns:
    (Batch [1, N, ...] as of `make_dataset`, valid [1, N] bool), and the truth.

  Raises:
    UserError: no records there, an empty split, or a record without truth.
  """
  size = records.read_info(records_dir)["preparation"]["size"]
  paths = records.shard_paths(records_dir, split)
  with record_damage.named(records_dir):
    names = blendshapes_of(records_dir, paths) if truth else ()

  def groups(serialized: Tensor) -> tf.data.Dataset:
    record = tf.io.parse_single_example(serialized, record_format.feature_specs())
    count = record["num_frames"]
    starts = tf.data.Dataset.range(0, count, frames_per_group)

    def group(start: Tensor) -> tuple:
      wanted = start + tf.range(frames_per_group, dtype=tf.int64)
      chosen = tf.minimum(wanted, count - 1)
      found = _decode(record, chosen, size), wanted < count
      return (*found, frame_truth(record, chosen, len(names))) if truth else found

    return starts.map(group)

  return tf.data.TFRecordDataset(paths).flat_map(groups).batch(1).prefetch(4)


def stretch_indices(
  num_frames: Tensor, groups: int, numbers: list | None = None
) -> Tensor:
  """One index from each of `groups` equal stretches of 0..num_frames-1.

  Args:
    num_frames: scalar integer, at least `groups`.
    groups: N.
    numbers: two integers that fix the draw; None takes the middle of each stretch.

  Returns:
    [N] int64, ascending, no index twice.
  """
  num_frames = tf.cast(num_frames, tf.int64)
  bounds = tf.range(groups + 1, dtype=tf.int64) * num_frames // groups
  lengths = bounds[1:] - bounds[:-1]
  if numbers is None:
    return bounds[:-1] + lengths // 2
  numbers = tf.stack([tf.cast(number, tf.int64) for number in numbers])
  share = tf.random.stateless_uniform([groups], numbers)
  drawn = tf.cast(share * tf.cast(lengths, tf.float32), tf.int64)
  # float32 can round share * length up to the length itself.
  return bounds[:-1] + tf.minimum(drawn, lengths - 1)


def _decode(record: dict[str, Tensor], chosen: Tensor, size: int) -> Batch:
  """The chosen frames [N] of a parsed record as one group of a Batch."""
  count = chosen.shape[0]
  images = [
    tf.io.decode_jpeg(record["images"][chosen[i]], 3, dct_method="INTEGER_ACCURATE")
    for i in range(count)
  ]
  parsing = [tf.io.decode_png(record["parsing"][chosen[i]], 1) for i in range(count)]
  return Batch(
    images=tf.ensure_shape(
      tf.cast(tf.stack(images), tf.float32) / 255.0, [count, size, size, 3]
    ),
    landmarks=tf.ensure_shape(
      tf.gather(record["landmarks"], chosen), [count, NUM_LANDMARKS, 2]
    ),
    parsing=tf.ensure_shape(
      tf.cast(tf.stack(parsing)[..., 0], tf.int32), [count, size, size]
    ),
  )
