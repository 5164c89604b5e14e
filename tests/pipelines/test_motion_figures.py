"""Jitter and correlations of a toy person's motion, whose landmarks are known."""

import numpy as np
import pytest
from toy_clip import SIZE, toy_person, toy_system

from personalized_face.core.types import Tracking
from personalized_face.data.record_format import ClipFrames
from personalized_face.inference.track import project_landmarks
from personalized_face.metrics.motion import jitter
from personalized_face.pipelines.motion_figures import motion_figures
from personalized_face.pipelines.person_frames import Source

FRAMES, RATE = 40, 10.0
STILL = slice(20, 31)  # a second and its last frame


@pytest.fixture(scope="module")
def system():
  return toy_system()


@pytest.fixture(scope="module")
def person(system):
  return toy_person(system)


def motion(seed=0, trembling=0.003):
  """A head that nods, rests in STILL, and trembles all the time."""
  rng = np.random.default_rng(seed)
  angle = 0.2 * np.sin(np.arange(FRAMES))
  angle[STILL] = 0.1
  rotation = np.stack([angle, 0 * angle, 0 * angle], -1)
  rotation += rng.normal(0, trembling, rotation.shape)
  light = np.zeros([FRAMES, 9, 3])
  opening = rng.uniform(0, 0.5, [FRAMES, 3])
  opening[STILL] = 0.2
  values = opening, rotation, np.tile([0.0, 0, -10], [FRAMES, 1]), light
  return Tracking(*(value.astype(np.float32) for value in values))


def source(landmarks, side=2.0 * SIZE, first=0, is_video=True):
  """A video whose detector found `landmarks` [F, 68, 2], in crops that wander."""
  count = len(landmarks)
  left = 5.0 + np.sin(np.arange(count))
  squares = np.stack([left, left, np.full(count, side)], -1).astype(np.float32)
  clip = ClipFrames(
    person="toy",
    clip="toy",
    source="toy.mp4",
    frame_height=96,
    frame_width=128,
    indices=np.arange(count),
    times=np.arange(count, dtype=np.float32) / np.float32(RATE),
    images=[],
    parsing=[],
    landmarks=landmarks,
    boxes=np.zeros([count, 4], np.float32),
    squares=squares,
  )
  return Source("toy", ["toy.mp4"], is_video, clip, first + np.arange(count))


def test_the_detectors_own_motion_has_its_jitter_and_follows_it(system, person):
  tracking = motion()
  found = project_landmarks(system, person, tracking)
  clip = source(found)
  figures = motion_figures(
    system, person, tracking, [clip], np.arange(FRAMES), smoothing=1.0
  )
  # Float32 pixels of some 100.
  for key in ("mouth_opening_correlation", "eye_opening_correlation"):
    assert figures[key] == pytest.approx(1.0, abs=1e-6)
  assert figures["jitter_pixels"] == figures["detector_jitter_pixels"]
  # In the video's own pixels, where the crops wander, scaled to a crop of 224.
  squares = clip.clip.squares
  whole = found * 2.0 + squares[:, np.newaxis, :2]
  expected = jitter(whole[STILL]) * 224 / (2 * SIZE)
  assert figures["jitter_pixels"] == pytest.approx(expected, rel=1e-4)
  steady = figures["smoothed_jitter_pixels"]
  assert steady < figures["jitter_pixels"]


def test_a_trembling_detector_is_told_apart(system, person):
  tracking = motion(trembling=0.0)
  found = project_landmarks(system, person, tracking)
  noise = np.random.default_rng(1).normal(0, 0.1, found.shape).astype(np.float32)
  figures = motion_figures(
    system, person, tracking, [source(found + noise)], np.arange(FRAMES)
  )
  assert figures["detector_jitter_pixels"] > figures["jitter_pixels"]
  assert figures["smoothed_jitter_pixels"] is None
  assert 0 < figures["mouth_opening_correlation"] < 1


def test_correlations_are_of_held_out_frames_and_photos_do_not_count(system, person):
  tracking = motion()
  found = project_landmarks(system, person, tracking)
  wrong = found.copy()
  wrong[::2] = wrong[::-2]  # what the fit saw does not count
  odd = np.arange(1, FRAMES, 2)
  figures = motion_figures(system, person, tracking, [source(wrong)], odd)
  assert figures["mouth_opening_correlation"] == pytest.approx(1.0, abs=1e-6)
  photos = source(found, is_video=False)
  figures = motion_figures(system, person, tracking, [photos], odd)
  assert set(figures.values()) == {None}
  two = Tracking(*(value[:2] for value in tracking))
  figures = motion_figures(system, person, two, [source(found[:2])], np.arange(2))
  assert set(figures.values()) == {None}
