"""Which frames a fit looks at, and in what groups."""

import numpy as np

from personalized_face.fitting.frames import (
  minibatches,
  spread_in_pose_and_expression,
)


def test_minibatches_draw_from_different_parts_and_all_frames_equally():
  drawn = minibatches(count=40, size=4, steps=20)
  assert drawn.shape == (20, 4)
  assert (drawn // 10 == np.arange(4)).all()  # one of each quarter
  assert (np.bincount(drawn.ravel(), minlength=40) == 2).all()


def test_minibatches_of_a_single_photo():
  assert minibatches(count=1, size=4, steps=3).tolist() == [[0], [0], [0]]


def test_rare_expressions_are_chosen():
  landmarks = np.zeros([100, 68, 2], np.float32)
  landmarks[37] = 9.0  # the only blink
  chosen = spread_in_pose_and_expression(landmarks, 10)
  assert 37 in chosen and len(chosen) <= 10
  assert (np.diff(chosen) > 0).all()


def test_frames_that_all_differ_give_as_many_as_are_wanted():
  landmarks = np.random.default_rng(0).normal(size=[100, 68, 2]).astype(np.float32)
  assert len(spread_in_pose_and_expression(landmarks, 10)) == 10


def test_short_clips_are_used_whole():
  chosen = spread_in_pose_and_expression(np.zeros([5, 68, 2], np.float32), 10)
  assert chosen.tolist() == [0, 1, 2, 3, 4]
