"""The system that a fit renders with."""

import dataclasses

import numpy as np
import pytest
from helpers import toy_template

from personalized_face.core.seen_landmarks import seen_landmarks
from personalized_face.fitting.system import build_fitting_system
from personalized_face.rendering.camera import project


def test_camera_is_that_of_the_crop():
  system = build_fitting_system(
    toy_template(), image_size=32, focal_pixels_224=700.0, rasterizer="xla"
  )
  assert (system.camera.height, system.camera.width) == (32, 32)
  assert system.camera.focal_pixels == pytest.approx(100.0)
  assert system.model_net is None and system.track_net is None


@pytest.mark.parametrize("whole_head_contour", [False, True])
def test_landmarks_are_where_the_template_says_they_are_seen(whole_head_contour):
  """On whole heads; the paper's are at their vertices, whatever the template says."""
  offsets = np.random.default_rng(0).normal(0, 0.02, [68, 3]).astype(np.float32)
  template = dataclasses.replace(toy_template(), landmark_offsets=offsets)
  system = build_fitting_system(
    template, 32, rasterizer="xla", whole_head_contour=whole_head_contour
  )
  vertices = template.vertices + np.float32([0, 0, -10])
  expected = vertices[template.landmark_vertices]
  if whole_head_contour:
    expected = seen_landmarks(expected, offsets)
  np.testing.assert_allclose(
    system.project_landmarks(vertices), project(expected, system.camera), rtol=1e-5
  )
