"""Records to batches: groups of N frames, one from each of N stretches of a clip.

    TFRecord shards -> shuffled records -> N frames of each -> core.types.Batch

Section 4: mini-batches of groups "each of N images chosen randomly from different parts
of a video to ensure sufficient diversity". The same seed gives the same batches.
"""

import gin
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS, Batch, Tensor
from personalized_face.data import records
from personalized_face.data.augment import Jitter

# Records in the shuffle's reservoir: of about 1 MB, in compressed form.
_SHUFFLE_RECORDS = 256


@gin.configurable(module="data", denylist=["records_dir", "split"])
def make_dataset(
  records_dir: str,
  split: str = "train",
  groups_per_batch: int = 8,
  frames_per_group: int = 4,
  seed: int = 0,
  shuffle: bool = True,
  repeat: bool = True,
  cache: bool = False,
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
      it is; True also moves each crop by gin's `Jitter`.
    repeat: True never ends; False makes one pass, rounded up to whole batches (the
      last one filled from the start again).
    cache: keeps the records (compressed) in memory; for small corpora.

  Returns:
    Batch of images [B, N, size, size, 3] float32 in [0, 1], landmarks [B, N, 68, 2]
    float32, parsing [B, N, size, size] int32; static shapes.

  Raises:
    UserError: no records there, an empty split, or clips of fewer than N frames.
  """
  info = records.read_info(records_dir)
  jitter = Jitter()
  paths = records.shard_paths(records_dir, split)
  counts = info["splits"][split]
  if counts["shortest_record"] < frames_per_group:
    raise UserError(
      f"The split {split!r} of {records_dir} has clips of "
      f"{counts['shortest_record']} frames, too few for groups of {frames_per_group}; "
      "prepare them again with a larger Preparation.min_frames."
    )
  dataset = tf.data.TFRecordDataset(paths)
  if cache:
    dataset = dataset.cache()
  if shuffle:
    dataset = dataset.shuffle(_SHUFFLE_RECORDS, seed, reshuffle_each_iteration=True)
  dataset = dataset.repeat()
  if not repeat:
    batches = -(-counts["records"] // groups_per_batch)
    dataset = dataset.take(batches * groups_per_batch)

  def group(number: Tensor, serialized: Tensor) -> Batch:
    record = tf.io.parse_single_example(serialized, records.feature_specs())
    numbers = [seed, number] if shuffle else None
    chosen = stretch_indices(record["num_frames"], frames_per_group, numbers)
    decoded = _decode(record, chosen, info["preparation"]["size"])
    return jitter.apply(decoded, numbers) if numbers and jitter.moves else decoded

  return (
    dataset.enumerate()
    .map(group, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    .batch(groups_per_batch, drop_remainder=True)
    .prefetch(2)
  )


def make_eval_dataset(
  records_dir: str, split: str = "test", frames_per_group: int = 1
) -> tf.data.Dataset:
  """Every frame of a split exactly once, in order, for evaluation (N = 1, Section 4).

  Args:
    records_dir: a folder that `prepare` made.
    split: "train" or "test".
    frames_per_group: N. Groups never mix records; a record's last group is filled up
      with its last frame, and `valid` says which frames count.

  Returns:
    (Batch [1, N, ...] as of `make_dataset`, valid [1, N] bool).

  Raises:
    UserError: no records there, or an empty split.
  """
  size = records.read_info(records_dir)["preparation"]["size"]

  def groups(serialized: Tensor) -> tf.data.Dataset:
    record = tf.io.parse_single_example(serialized, records.feature_specs())
    count = record["num_frames"]
    starts = tf.data.Dataset.range(0, count, frames_per_group)

    def group(start: Tensor) -> tuple[Batch, Tensor]:
      wanted = start + tf.range(frames_per_group, dtype=tf.int64)
      batch = _decode(record, tf.minimum(wanted, count - 1), size)
      return batch, wanted < count

    return starts.map(group)

  paths = records.shard_paths(records_dir, split)
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
