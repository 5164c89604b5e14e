"""Regions of the detector's mesh: closed, mirrored, and the detector's own."""

import pytest

from personalized_face.core import mediapipe_regions as regions


def _edges(loop):
  return {frozenset(pair) for pair in zip(loop, (*loop[1:], loop[0]), strict=True)}


@pytest.mark.parametrize(
  ("ours", "theirs"),
  [
    (regions.FACE_OVAL, "FACEMESH_FACE_OVAL"),
    (regions.LEFT_EYE, "FACEMESH_LEFT_EYE"),
    (regions.RIGHT_EYE, "FACEMESH_RIGHT_EYE"),
  ],
)
def test_loops_are_the_connection_sets(ours, theirs):
  connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
  want = {frozenset(pair) for pair in getattr(connections, theirs)}
  assert _edges(ours) == want


def test_lip_loops_are_the_connection_set():
  connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
  want = {frozenset(pair) for pair in connections.FACEMESH_LIPS}
  assert _edges(regions.LIPS_OUTER) | _edges(regions.LIPS_INNER) == want


def test_brows_use_the_connection_sets_points():
  connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
  for ours, theirs in (
    (regions.LEFT_BROW, connections.FACEMESH_LEFT_EYEBROW),
    (regions.RIGHT_BROW, connections.FACEMESH_RIGHT_EYEBROW),
  ):
    assert set(ours) == {index for pair in theirs for index in pair}


def test_no_index_twice_in_a_polygon():
  for name in (
    "FACE_OVAL",
    "LEFT_BROW",
    "NOSE",
    "LIPS_OUTER",
    "LIPS_INNER",
    "LEFT_EYE",
  ):
    polygon = getattr(regions, name)
    assert len(set(polygon)) == len(polygon), name


def test_ibug68_has_68_points_of_the_mesh():
  assert len(regions.IBUG68) == len(set(regions.IBUG68)) == 68
  assert max(regions.IBUG68) < 468
