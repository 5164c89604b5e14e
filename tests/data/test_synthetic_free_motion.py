"""Random motion: in range, different for everybody, no two shapes that exclude."""

import numpy as np

from personalized_face.authoring.cache import load_template
from personalized_face.data.synthetic_free_motion import _OPPOSITES, free_motion

TIMES = np.arange(28) / 4.0


def _expressions(names, persons):
  return np.stack([free_motion(names, TIMES, i).expression for i in range(persons)])


def test_everybody_does_something_else_and_each_shape_moves():
  names = load_template().blendshape_names
  found = _expressions(names, 60)
  assert found.dtype == np.float32
  assert found.min() >= 0 and found.max() <= 1
  assert (found.max(axis=(0, 1)) > 0.3).all()  # each of the 56
  # Between people at one time as much as over all: there is no common scene.
  between, overall = found.std(axis=0).mean(), found.reshape(-1, 56).std(axis=0).mean()
  assert between > 0.8 * overall  # of the scene: 0.1
  # Not all at once: some rest, some shapes.
  assert 2 < (found > 0.05).sum(axis=-1).mean() < 6


def test_what_excludes_each_other_does():
  names = load_template().blendshape_names
  found = _expressions(names, 60)
  for first, second in _OPPOSITES:
    for suffix in ("", "_L", "_R"):
      if first + suffix in names and second + suffix in names:
        pair = found[..., [names.index(first + suffix), names.index(second + suffix)]]
        assert pair.min(axis=-1).max() == 0
  close, jaw = names.index("mouthClose"), names.index("jawOpen")
  assert (found[..., close] <= found[..., jaw]).all()
  assert found[..., close].max() > 0.2


def test_sides_differ_and_jaw_and_mouth_are_no_sides():
  names = ["mouthSmileLeft", "mouthSmileRight", "jawLeft", "jawRight"]
  found = _expressions(names, 80)
  left, right = found[..., 0], found[..., 1]
  assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.5
  assert (left < 0.5 * right).any() and (right < 0.5 * left).any()
  assert np.minimum(found[..., 2], found[..., 3]).max() == 0
  assert found[..., 2].max() > 0.3


def test_heads_turn_further_than_in_the_scene_and_light_comes_from_both_sides():
  motions = [free_motion(["jawOpen"], TIMES, i) for i in range(60)]
  yaw = np.degrees([m.rotation[:, 1] for m in motions])
  assert 35 < np.abs(yaw).max() <= 45
  assert yaw.max() > 30 and yaw.min() < -30
  side = np.array([m.light[:, 3, 0].mean() for m in motions])
  assert (side > 0.3).any() and (side < -0.3).any()


def test_the_seed_decides():
  names = ["jawOpen", "eyeBlink_L", "eyeBlink_R"]
  for first, again, other in zip(
    free_motion(names, TIMES, 3),
    free_motion(names, TIMES, 3),
    free_motion(names, TIMES, 4),
    strict=True,
  ):
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
