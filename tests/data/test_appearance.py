import numpy as np
import tensorflow as tf

from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.types import Batch
from personalized_face.data.appearance import Appearance, mirrored


def _group(seed=0, count=3, side=16):
  rng = np.random.default_rng(seed)
  return Batch(
    images=tf.constant(rng.uniform(0.3, 0.7, (count, side, side, 3)), tf.float32),
    landmarks=tf.constant(rng.uniform(0, side, (count, 68, 2)), tf.float32),
    parsing=tf.constant(rng.integers(0, 8, (count, side, side)), tf.int32),
  )


def test_mirrored_twice_is_the_same():
  group = _group()
  for a, b in zip(mirrored(mirrored(group)), group, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)  # 16 - (16 - x) in float32


def test_landmarks_stay_on_their_pixels():
  """What a landmark marks in the picture, its mirror image marks in the mirror."""
  group = _group()
  points = np.floor(group.landmarks.numpy()) + 0.5  # pixel centres
  turned = mirrored(group._replace(landmarks=tf.constant(points, tf.float32)))
  for frame in range(3):
    for landmark in (0, 36, 48, 30):
      x, y = points[frame, MIRRORED_68[landmark]].astype(int)
      u, v = np.floor(turned.landmarks[frame, landmark]).astype(int)
      np.testing.assert_array_equal(
        turned.images[frame, v, u], group.images[frame, y, x]
      )
      assert turned.parsing[frame, v, u] == group.parsing[frame, y, x]


def test_nothing_is_the_default():
  assert not Appearance().changes
  same = Appearance().apply(_group(), [1, 2])
  np.testing.assert_allclose(same.images, _group().images, atol=1e-6)


def test_the_frames_of_a_group_are_recoloured_alike():
  """Equal pictures stay equal; numbers decide; the range is kept."""
  group = _group(count=1)
  twice = Batch(*(tf.repeat(value, 2, axis=0) for value in group))
  jitter = Appearance(brightness=0.2, contrast=0.3, saturation=0.5, tint=0.1)
  first, second = jitter.apply(twice, [1, 2]), jitter.apply(twice, [1, 3])
  np.testing.assert_array_equal(first.images[0], first.images[1])
  assert np.abs(first.images - second.images).max() > 0.01
  assert np.abs(first.images - twice.images).max() > 0.01
  np.testing.assert_array_equal(first.landmarks, twice.landmarks)
  assert 0 <= first.images.numpy().min() and first.images.numpy().max() <= 1


def test_a_patch_hides_a_part_of_some_frames():
  group = _group(count=200, side=32)
  found = Appearance(cover=0.5).apply(group, [3, 4])
  changed = (found.images.numpy() != group.images.numpy()).all(axis=-1)
  shares = changed.mean(axis=(1, 2))
  assert 0.35 < (shares > 0).mean() < 0.6  # the smallest patches hold no pixel
  assert 0.15 < shares.max() <= 0.26
  frame = shares.argmax()
  assert len(np.unique(found.images[frame].numpy()[changed[frame]], axis=0)) == 1
  rows, columns = np.nonzero(changed[frame])
  box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
  assert box == changed[frame].sum()
  np.testing.assert_array_equal(found.landmarks, group.landmarks)


def test_noise_differs_between_frames():
  group = Batch(*(tf.repeat(value, 40, axis=0) for value in _group(count=1)))
  found = Appearance(noise=0.05).apply(group, [3, 4]).images - group.images
  deviations = found.numpy().std(axis=(1, 2, 3))
  assert 0.04 < deviations.max() < 0.055 and deviations.min() < 0.01
  assert abs(found.numpy().mean()) < 1e-3


def test_flip_has_its_probability():
  group, flip = _group(side=4), Appearance(flip=0.3)
  apply = tf.function(lambda n: flip.apply(group, [7, n]).images)
  turned = [
    np.abs(apply(tf.constant(n)) - group.images).max() > 0.01 for n in range(400)
  ]
  assert abs(np.mean(turned) - 0.3) < 0.07  # three standard deviations
