"""Layouts in which some of the surface is cramped, as the insides of nostrils are."""

import numpy as np

from personalized_face.authoring import charts

SIDE = 21


def grid():
  """A flat square of SIDE x SIDE vertices: places, triangles, border."""
  axis = np.linspace(0, 1, SIDE)
  places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
  index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
  a, b, c, d = (
    part.ravel()
    for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
  )
  triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
  border = np.unique(np.concatenate([*index[[0, -1]], *index[:, [0, -1]].T]))
  return places, triangles, border


def room(uv, vertices, triangles):
  """Texels per area of each triangle, over their median."""
  corners = vertices[triangles]
  sides = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  area = np.linalg.norm(np.cross(*sides), axis=-1) / 2
  share = np.abs(charts.signed_areas(uv, triangles)) / area
  return share / np.median(share)


def pinched(places):
  """The layout of a sock: what lies near the middle shrinks to a hundredth."""
  offset = places - 0.5
  radius = np.linalg.norm(offset, axis=-1, keepdims=True)
  return 0.5 + offset * np.clip((radius - 0.2) / 0.15, 0.02, 1)


def test_cramped_surface_gets_room_and_nothing_folds():
  places, triangles, border = grid()
  vertices = np.pad(places, ((0, 0), (0, 1)))
  uv = pinched(places)
  assert (charts.signed_areas(uv, triangles) > 0).all()
  assert np.quantile(room(uv, vertices, triangles), 0.05) < 0.01
  spread = charts.with_room(uv, vertices, triangles, border, rounds=12)
  np.testing.assert_array_equal(spread[border], uv[border])
  assert (charts.signed_areas(spread, triangles) > 0).all()
  least = [np.quantile(room(u, vertices, triangles), 0.05) for u in (uv, spread)]
  assert least[1] > 20 * least[0] and least[1] > charts.CRAMPED_SHARE / 2
  # Far from it the layout keeps its shape.
  far = np.abs(places - 0.5).max(axis=1) > 0.45
  assert np.abs(spread - uv)[far].max() < 0.01


def test_layout_with_room_everywhere_is_left_alone():
  places, triangles, border = grid()
  vertices = np.pad(places, ((0, 0), (0, 1)))
  uv = places**1.2
  assert charts.with_room(uv, vertices, triangles, border) is uv
  # What is small on the surface too is not cramped.
  uv = places**2
  assert charts.with_room(uv, np.pad(uv, ((0, 0), (0, 1))), triangles, border) is uv
