"""Scene graphs of glTF files, made up as JSON."""

import numpy as np
import pytest

from personalized_face.data.gltf import GltfFile
from personalized_face.data.gltf_nodes import shown_nodes, world_matrices

QUARTER_TURN = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # about z, x to y; x y z w


def gltf(nodes, **rest):
  return GltfFile("made up", {"nodes": nodes} | rest, ())


def test_world_matrices_scale_then_turn_then_move_then_the_parent():
  nodes = [
    {"rotation": QUARTER_TURN, "scale": [2, 3, 4], "translation": [10, 0, 0]},
    {"children": [0], "scale": [1, 1, -1], "translation": [0, 0, 5]},
  ]
  child, parent = world_matrices(gltf(nodes))
  # (1, 1, 1) -> (2, 3, 4) -> (-3, 2, 4) -> (7, 2, 4) -> (7, 2, 1)
  np.testing.assert_allclose(child @ [1, 1, 1, 1], [7, 2, 1, 1], atol=1e-12)
  np.testing.assert_allclose(parent @ [1, 1, 1, 1], [1, 1, 4, 1], atol=1e-12)


def test_a_matrix_is_stored_column_by_column():
  moved = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 7, 8, 9, 1]
  (matrix,) = world_matrices(gltf([{"matrix": moved}]))
  np.testing.assert_array_equal(matrix @ [0, 0, 0, 1], [7, 8, 9, 1])


def test_shown_nodes_are_the_scenes_own():
  nodes = [{}, {"children": [0]}, {}]
  assert shown_nodes(gltf(nodes)) == {0, 1, 2}
  scenes = [{"nodes": [2]}, {"nodes": [1]}]
  assert shown_nodes(gltf(nodes, scenes=scenes)) == {2}
  assert shown_nodes(gltf(nodes, scenes=scenes, scene=1)) == {0, 1}


@pytest.mark.parametrize(
  ("nodes", "message"),
  [
    ([{}, {"children": [0]}, {"children": [0]}], "two others"),
    ([{"children": [1]}, {"children": [0]}], "in a ring"),
  ],
)
def test_world_matrices_exception_raised(nodes, message):
  with pytest.raises(ValueError, match=message):
    world_matrices(gltf(nodes))
