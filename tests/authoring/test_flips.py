"""Mending a triangulation: edges flipped, slivers moved, on two small meshes."""

import numpy as np

from personalized_face.authoring import flips

# A strip right of the midline (x < 0) and its mirror image; the diagonal of the quad
# (0, 1, 2, 3) is the long one.
HALF = np.array([(-3.0, 0.0), (-2.0, -0.3), (-1.0, 0.0), (-2.0, 0.3)])
PLANE = np.concatenate([HALF, HALF * [-1, 1]])
VERTICES = np.append(PLANE, np.zeros([8, 1]), -1)
MIRROR = np.array([4, 5, 6, 7, 0, 1, 2, 3])
TRIANGLES = np.array([(0, 1, 2), (0, 2, 3), (4, 6, 5), (4, 7, 6)])


def _sets(triangles):
  return {frozenset(t.tolist()) for t in triangles}


def test_flips_to_the_better_diagonal_on_both_sides():
  mended = flips.mend(TRIANGLES, VERTICES, PLANE, MIRROR)
  assert _sets(mended) == _sets(np.array([(0, 1, 3), (1, 2, 3), (4, 5, 7), (5, 6, 7)]))
  a, b, c = (PLANE[mended[:, i]] for i in range(3))
  assert (np.cross(b - a, c - a) > 0).all()


def test_a_crease_stays():
  crease = np.array([0, 2])
  mended = flips.mend(TRIANGLES, VERTICES, PLANE, MIRROR, [crease])
  assert _sets(mended) == _sets(TRIANGLES)


def test_a_flip_never_turns_the_layout_over():
  plane = PLANE.copy()
  plane[[1, 5], 1] = 0.2  # the quad is no longer convex in the layout
  plane[[0, 4], 1] = plane[[2, 6], 1] = 0.25
  mended = flips.mend(TRIANGLES, VERTICES, plane, MIRROR)
  assert _sets(mended) == _sets(TRIANGLES)


def test_relax_moves_only_what_helps():
  vertices = VERTICES.copy()
  vertices[[1, 5], 1] = -0.01  # nearly on the line from 0 to 2
  held = flips.relax(vertices, TRIANGLES, np.zeros(8, bool), MIRROR)
  np.testing.assert_array_equal(held, vertices)
  free = np.zeros(8, bool)
  free[[3, 7]] = True  # in no sliver
  np.testing.assert_array_equal(
    flips.relax(vertices, TRIANGLES, free, MIRROR), vertices
  )
  # A fan about vertex 4, which lies almost on the edge (0, 1).
  fan = np.array([(-2, 0, 0), (-1, 0, 0), (-1, 1, 0), (-2, 1, 0), (-1.5, 0.005, 0)])
  triangles = np.array([(0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)])
  moved = flips.relax(
    np.concatenate([fan, fan * [-1, 1, 1]]),
    np.concatenate([triangles, triangles[:, ::-1] + 5]),
    np.arange(10) % 5 == 4,
    np.array([5, 6, 7, 8, 9, 0, 1, 2, 3, 4]),
  )
  np.testing.assert_allclose(moved[4], [-1.5, 0.2525, 0])
  np.testing.assert_allclose(moved[9], [1.5, 0.2525, 0])


def test_smallest_angles():
  corners = np.array([[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]])
  np.testing.assert_allclose(flips.smallest_angles(corners), np.pi / 4)
