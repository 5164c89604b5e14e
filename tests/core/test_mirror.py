import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.mirror import MIRRORED_68, alike_pairs


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


def test_a_side_has_its_other_and_a_direction_none():
  names = ["jawOpen", "mouthSmile_L", "mouthSmile_R", "jawLeft", "jawRight"]
  assert alike_pairs(names) == [(1, 2)]
  assert alike_pairs(["mouthSmile_L", "eyeBlink_R", "smile"]) == []


def test_both_eyes_look_the_same_way():
  names = ["eyeLookInLeft", "eyeLookOutLeft", "eyeLookInRight", "eyeLookOutRight"]
  assert sorted(alike_pairs(names)) == [(0, 3), (1, 2)]


def test_the_sides_of_the_template_move_alike(default_template):
  """What a blendshape moves is what its mirror image moves on the other side."""
  names, deltas = default_template.blendshape_names, default_template.blendshape_deltas
  pairs = [p for p in alike_pairs(names) if "eyeLook" not in names[p[0]]]
  assert len(pairs) == 17
  left, right = np.array(pairs).T
  swapped = deltas[right][:, default_template.mirror_vertices] * (-1, 1, 1)
  assert np.abs(swapped - deltas[left]).max() < 0.05 * np.abs(deltas).max()
