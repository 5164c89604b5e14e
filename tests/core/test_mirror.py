import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.mirror import MIRRORED_68, mirrored_blendshapes


@pytest.fixture(scope="module")
def default_template():
  return load_template("default")


def test_landmarks_twice_are_themselves():
  order = np.array(MIRRORED_68)
  np.testing.assert_array_equal(order[order], np.arange(68))
  # The middle of the face stays: chin, nose, lips.
  assert [i for i in range(68) if order[i] == i] == [
    *(8, 27, 28, 29, 30, 33),
    *(51, 57, 62, 66),
  ]


def test_landmarks_of_a_symmetric_face(default_template):
  """The template's own points, mirrored, are those of the other side."""
  points = default_template.vertices[default_template.landmark_vertices]
  swapped = points[list(MIRRORED_68)] * (-1, 1, 1)
  # The template is symmetric, and each point a vertex of it, a millimetre apart.
  np.testing.assert_allclose(swapped, points, atol=0.02)


def test_blendshapes():
  names = ["jawOpen", "mouthSmile_L", "mouthSmile_R", "jawRight", "jawLeft"]
  assert mirrored_blendshapes(names) == [0, 2, 1, 4, 3]
  with pytest.raises(ValueError, match="no blendshape 'eyeBlink_R'"):
    mirrored_blendshapes(["eyeBlink_L"])


def test_blendshapes_of_the_template(default_template):
  order = mirrored_blendshapes(default_template.blendshape_names)
  np.testing.assert_array_equal(np.array(order)[order], np.arange(len(order)))
  # What a blendshape moves is what its mirror image moves on the other side.
  deltas = default_template.blendshape_deltas
  mirror = default_template.mirror_vertices
  swapped = deltas[order][:, mirror] * (-1, 1, 1)
  reach = np.abs(deltas).max()
  assert np.abs(swapped - deltas).max() < 0.05 * reach
