"""The interpreter's landmarks are those of the system."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from toy_clip import toy_person, toy_system

from personalized_face.core.types import Tracking
from personalized_face.inference.tflite_decode import LandmarkDecoder
from personalized_face.inference.track import (
  Tracker,
  person_geometry,
  project_landmarks,
)


@pytest.mark.parametrize("whole_head_contour", [False, True])
def test_landmarks_are_the_systems(whole_head_contour):
  system = toy_system()
  system._whole_head_contour = whole_head_contour
  person, generator = toy_person(system), np.random.default_rng(0)
  offsets = generator.normal(0, 0.02, [68, 3]).astype(np.float32)
  system.template = dataclasses.replace(system.template, landmark_offsets=offsets)
  tracking = Tracking(
    expression=generator.uniform(0, 1, [4, system.template.num_blendshapes]),
    rotation=generator.uniform(-0.6, 0.6, [4, 3]),
    translation=generator.uniform(-0.3, 0.3, [4, 3]) - [0, 0, 10],
    light=np.zeros([4, 9, 3]),
  )
  tracking = Tracking(*(value.astype(np.float32) for value in tracking))
  marked = Tracker(system, lambda crops: tracking).marked(
    person_geometry(system, person)
  )
  assert isinstance(marked, LandmarkDecoder)
  expected = project_landmarks(system, person, tracking)
  np.testing.assert_allclose(marked(tracking), expected, atol=1e-3)  # pixels


def test_a_tracker_takes_whatever_tracks(monkeypatch):
  """Neither warming up nor tracking calls TensorFlow then."""
  system = toy_system()
  side, count = system.camera.height, system.template.num_blendshapes
  found = Tracking(
    *(np.zeros([1, n], np.float32) for n in (count, 3)),
    np.float32([[0, 0, -10]]),
    np.zeros([1, 9, 3], np.float32),
  )
  tracker = Tracker(system, lambda crops: found)
  marked = tracker.marked(person_geometry(system, toy_person(system)))

  def fail(*args, **named):
    raise AssertionError("a graph of TensorFlow was called")

  monkeypatch.setattr(tracker, "_step", fail)
  monkeypatch.setattr(tf, "convert_to_tensor", fail)
  tracker.warm_up()
  tracking, landmarks = tracker.track(np.zeros([1, side, side, 3], np.uint8), marked)
  assert tracking is found and landmarks.shape == (1, 68, 2)
