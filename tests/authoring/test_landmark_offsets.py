"""The table of where the detector sees a template's landmarks."""

import numpy as np
import pytest

from personalized_face.authoring import landmark_offsets
from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.core.mirror import MIRRORED_68


def test_round_trip(tmp_path):
  path = str(tmp_path / "offsets.csv")
  offsets = np.random.default_rng(0).normal(0, 0.02, [68, 3])
  landmark_offsets.write(path, offsets, "of nobody,\nby nothing")
  np.testing.assert_allclose(landmark_offsets.read(path), offsets, atol=5.1e-5)
  text = (tmp_path / "offsets.csv").read_text()
  assert text.startswith("# of nobody,\n# by nothing\nlandmark,x,y,z\n0,")
  assert landmark_offsets.read(path).dtype == np.float32


def test_other_tables_are_named(tmp_path):
  path = tmp_path / "offsets.csv"
  path.write_text("landmark,x,y,z\n0,1,2,3\n")
  with pytest.raises(UserError, match="1 landmarks instead of 68"):
    landmark_offsets.read(str(path))


def test_the_default_templates_own_are_millimetres_and_mirror_images():
  template = load_template()
  offsets = template.landmark_offsets
  np.testing.assert_allclose(
    offsets[list(MIRRORED_68)] * [-1, 1, 1], offsets, atol=1e-4
  )
  marks = template.vertices[template.landmark_vertices]
  width = 100 * np.linalg.norm(marks[16] - marks[0])  # millimetres
  size = width * np.linalg.norm(offsets, axis=-1)
  assert 1 < np.median(size) < 4 and size.max() < 8
  # The corners of the eyes are seen further apart than the opening's corners are.
  assert width * offsets[45, 0] > 1 and width * offsets[42, 0] < -0.5
