import gin
import numpy as np
import pytest
import tensorflow as tf
from test_records import toy_clip, write_toy_records

from personalized_face.core.types import Batch
from personalized_face.data.augment import Jitter
from personalized_face.data.dataset import make_dataset

SIDE = 64


def _group(count=6):
  """A blurred dot and a 7 x 7 patch of labels round each of three landmarks."""
  rng = np.random.default_rng(0)
  landmarks = np.full([count, 68, 2], SIDE / 2, np.float32)
  landmarks[:, :3] = rng.uniform(20, 44, [count, 3, 2])
  centres = np.arange(SIDE) + 0.5
  images, parsing = np.zeros([count, SIDE, SIDE, 3]), np.zeros([count, SIDE, SIDE])
  for n in range(count):
    for k in range(3):
      x, y = landmarks[n, k]
      squared = (centres - x) ** 2 + (centres[:, None] - y) ** 2
      images[n, :, :, k] = np.exp(-squared / 8)
    x, y = landmarks[n, 0]
    parsing[n] = (abs(centres - x) < 3.5) & (abs(centres[:, None] - y) < 3.5)
  return Batch(
    tf.constant(images, tf.float32), landmarks, tf.constant(parsing, tf.int32)
  )


def _centroids(weights):
  centres = np.arange(SIDE) + 0.5
  total = weights.sum((1, 2))
  x = (weights * centres).sum((1, 2)) / total
  y = (weights * centres[:, None]).sum((1, 2)) / total
  return np.stack([x, y], -1)


@pytest.mark.parametrize(
  "jitter",
  [
    Jitter(shift=0.1),
    Jitter(log_scale=0.2),
    Jitter(degrees=30.0),
    Jitter(0.1, 0.2, 30),
  ],
)
def test_picture_labels_and_landmarks_move_alike(jitter):
  group = _group()
  moved = jitter.apply(group, [3, 4])
  assert moved.images.shape == group.images.shape
  assert moved.parsing.dtype == tf.int32
  # Every frame moved, and not all alike.
  shifts = np.abs(moved.landmarks.numpy() - group.landmarks)[:, :3].max((1, 2))
  assert shifts.min() > 0.01 and len(np.unique(shifts)) == len(shifts)
  for k in range(3):
    # Bilinear sampling moves a smooth dot's centroid by far less than a pixel.
    seen = _centroids(moved.images.numpy()[..., k])
    np.testing.assert_allclose(seen, moved.landmarks[:, k], atol=0.05)
  # Labels snap to whole pixels twice, half a pixel each.
  seen = _centroids(moved.parsing.numpy())
  np.testing.assert_allclose(seen, moved.landmarks[:, 0], atol=1.0)


def test_stays_in_its_range():
  group = _group(200)
  square = np.array([[0, 0], [SIDE, 0], [0, SIDE]], np.float32)
  group.landmarks[:, :3] = square
  a, b, c = np.moveaxis(Jitter(0.1, 0.2, 10).apply(group, [0, 0]).landmarks, 1, 0)[:3]
  along = (b - a) / SIDE
  scale = np.log(np.linalg.norm(along, axis=1))
  angle = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
  shift = ((b + c) / 2 - SIDE / 2) / SIDE
  for values, limit in (
    (scale, 0.2),
    (angle, 10),
    (shift[:, 0], 0.1),
    (shift[:, 1], 0.1),
  ):
    # Inside, float32 apart, and of 200 draws some come near both ends.
    assert abs(values).max() <= limit * 1.001
    assert values.max() > 0.9 * limit and values.min() < -0.9 * limit


def test_the_same_numbers_draw_the_same():
  group = _group()
  draw = [Jitter(0.1).apply(group, [1, n]).landmarks.numpy() for n in (5, 5, 6)]
  np.testing.assert_array_equal(draw[0], draw[1])
  assert (draw[0] != draw[2]).any()


def test_training_batches_move_and_ordered_ones_do_not(tmp_path):
  folder = write_toy_records(tmp_path, [toy_clip(20)])

  def landmarks(**kwargs):
    dataset = make_dataset(folder, groups_per_batch=1, frames_per_group=4, **kwargs)
    return np.stack([b.landmarks for b in dataset.take(5).as_numpy_iterator()])

  def still(found):  # all 68 toy landmarks of a frame are (number, number)
    return (found == np.round(found)).all()

  assert still(landmarks())
  with gin.unlock_config():
    gin.bind_parameter("data.Jitter.shift", 0.1)
  try:
    assert still(landmarks(shuffle=False))
    assert not still(landmarks())
    np.testing.assert_array_equal(landmarks(seed=3), landmarks(seed=3))
  finally:
    gin.clear_config()
