"""What the detector is shown of a foreign mesh."""

import types

import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.export.characters import Character
from personalized_face.export.landmark_detection import detect_landmarks


def test_a_mesh_is_centred_and_scaled_for_the_detector():
  template, seen = load_template(), []
  vertices = 3.0 * template.vertices.astype(np.float64) + [20, -7, 40]
  character = Character("far", vertices, template.triangles, (), np.zeros([0, 1, 3]))
  blind = types.SimpleNamespace(detect=seen.append)  # returns None: no face
  with pytest.raises(UserError, match="No face was found in renders of far"):
    detect_landmarks(character, template, blind)
  frontal = seen[0]
  rows, columns = np.nonzero((frontal != frontal[0, 0]).any(axis=-1))
  assert len(rows) > 0.2 * frontal[..., 0].size
  middle = (len(frontal) - 1) / 2
  # Perspective: what is nearer lies farther out; the neck is farther than the brow.
  assert (rows.min() + rows.max()) / 2 == pytest.approx(middle, abs=20)
  assert (columns.min() + columns.max()) / 2 == pytest.approx(middle, abs=2)
  assert 0.7 < np.ptp(rows) / len(frontal) < 1
