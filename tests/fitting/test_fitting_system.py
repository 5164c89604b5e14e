"""The system that a fit renders with."""

import pytest
from helpers import toy_template

from personalized_face.fitting.system import build_fitting_system


def test_camera_is_that_of_the_crop():
  system = build_fitting_system(
    toy_template(), image_size=32, focal_pixels_224=700.0, rasterizer="xla"
  )
  assert (system.camera.height, system.camera.width) == (32, 32)
  assert system.camera.focal_pixels == pytest.approx(100.0)
  assert system.model_net is None and system.track_net is None
