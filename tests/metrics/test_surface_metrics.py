import numpy as np
import pytest
from helpers import toy_template

from personalized_face.metrics.surface import turned_triangles_percent

# Two triangles of a square in the x-y plane.
_SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def _tilted(degrees):
  """The square, its second triangle turned about the diagonal by some angle."""
  tilted = _SQUARE.copy()
  angle = np.radians(degrees)
  towards = np.array([-1, 1, 0]) / np.sqrt(2)
  tilted[3] = [0.5, 0.5, 0] + (
    np.cos(angle) * towards + np.sin(angle) * np.array([0, 0, 1])
  ) / np.sqrt(2)
  return tilted


def test_turned_triangles_percent_preset():
  vertices = np.stack([_tilted(angle) for angle in (0, 59, -59, 61, -61, 180)])
  found = turned_triangles_percent(vertices, _SQUARE, _TRIANGLES)
  np.testing.assert_array_equal(found, [0, 0, 0, 50, 50, 50])
  found = turned_triangles_percent(vertices, _SQUARE, _TRIANGLES, degrees=58)
  np.testing.assert_array_equal(found, [0, 50, 50, 50, 50, 50])


def test_turned_triangles_percent_template_is_none():
  template = toy_template()
  # float32 coordinates 30 times as large: neither size nor place matters.
  moved = 30 * template.vertices + np.float32(5)
  for vertices in (template.vertices, moved):
    assert (
      turned_triangles_percent(vertices, template.vertices, template.triangles) == 0
    )
  mirrored = template.vertices * np.array([-1, 1, 1], np.float32)
  assert (
    turned_triangles_percent(mirrored, template.vertices, template.triangles) == 100
  )


def test_turned_triangles_percent_counts_collapsed_ones():
  collapsed = _SQUARE.copy()
  collapsed[3] = collapsed[0]
  found = turned_triangles_percent(
    np.stack([collapsed, _SQUARE, collapsed]),
    np.stack([_SQUARE, collapsed, collapsed]),
    _TRIANGLES,
  )
  # Collapsed against whole counts; what the template has collapsed itself does not.
  np.testing.assert_array_equal(found, [50, 0, 0])


def test_turned_triangles_percent_exception_raised():
  with pytest.raises(ValueError, match="vertices has shape"):
    turned_triangles_percent(_SQUARE[:, :2], _SQUARE, _TRIANGLES)
