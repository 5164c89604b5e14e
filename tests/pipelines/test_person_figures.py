"""A person's figures on frames that show just what the system draws of that person."""

import numpy as np
import pytest
from toy_clip import SIZE, toy_person, toy_system

from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import Tracking
from personalized_face.fitting.frames import Frames
from personalized_face.inference.render import ClipRenderer
from personalized_face.pipelines.person_figures import person_figures

FRAMES = 3


def test_a_perfect_fit_has_no_errors_but_the_prior_has():
  system = toy_system()
  person, rng = toy_person(system), np.random.default_rng(0)
  tracking = Tracking(
    rng.uniform(0, 0.5, [FRAMES, 3]).astype(np.float32),
    rng.uniform(-0.1, 0.1, [FRAMES, 3]).astype(np.float32),
    np.tile(np.float32([0, 0, -10]), [FRAMES, 1]),
    np.tile(ambient_light(1.0).astype(np.float32), [FRAMES, 1, 1]),
  )
  drawn = ClipRenderer(system).all(person, tracking)
  images = np.round(255 * np.clip(drawn.rendering.image, 0, 1)).astype(np.uint8)
  labels = drawn.rendering.parsing.argmax(axis=-1).astype(np.uint8)
  frames = Frames(images, drawn.landmarks, labels, np.zeros(FRAMES, np.int32))
  assert images.shape == (FRAMES, SIZE, SIZE, 3)
  figures = person_figures(system, person, tracking, tracking, frames)
  assert figures["nme_percent"] == pytest.approx(0, abs=1e-4)
  assert figures["nme_percent_max"] == pytest.approx(0, abs=1e-4)
  assert figures["photometric_255"] < 1  # rounded to levels: sqrt(3) / 2 at most
  assert figures["parsing_iou"] == pytest.approx(1)
  # The strips that close the holes are labelled, and are no part of the mask.
  assert figures["coverage_percent"] > 90
  assert figures["prior_nme_percent"] > 0.5 and figures["prior_photometric_255"] > 5
  assert figures["turned_triangles_percent"] == 0  # the corrections are too small
