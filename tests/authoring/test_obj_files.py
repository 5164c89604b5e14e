"""OBJ files as exporters write them."""

import numpy as np
import pytest

from personalized_face.authoring import obj_files
from personalized_face.core.errors import UserError

# Two objects, each with numbers that count back from its own vertices; tabs, too.
TWO_OBJECTS = """\
v 0 0 0
v 1 0 0
v 1 1 0
vt 0 0
f -3/-1 -2/-1 -1/-1
  v 5 0 0
v\t6 0 0
v 6 1 0
v 5 1 0
vt 1 1
f\t-4/-1/1 -3/-1/1 -2/-2/1 -1//1
"""


def test_negative_numbers_count_back_from_the_polygon(tmp_path):
  path = tmp_path / "a.obj"
  path.write_text(TWO_OBJECTS)
  vertices, triangles = obj_files.read_triangles(str(path))
  assert triangles.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6]]
  np.testing.assert_array_equal(vertices[3:, 0], [5, 6, 6, 5])
  mesh = obj_files.read_obj(str(path))
  assert mesh.corners.tolist() == [0, 1, 2, 3, 4, 5, 6]
  assert mesh.corner_uv.tolist() == [0, 0, 0, 1, 1, 0, -1]
  assert mesh.starts.tolist() == [0, 3, 7]


def test_fan_triangles_of_mixed_polygons():
  corners, starts = np.arange(10, 22), np.array([0, 3, 4, 4, 9, 12])
  # A triangle, a lone corner, nothing, a pentagon and a triangle.
  assert obj_files.fan_triangles(corners, starts).tolist() == [
    *([10, 11, 12], [14, 15, 16], [14, 16, 17], [14, 17, 18], [19, 20, 21])
  ]


@pytest.mark.parametrize(
  ("face", "message"),
  [
    ("f 1 2 4", "outside its 3 vertices"),
    ("f 0 1 2", "outside its 3 vertices"),
    ("f -4 1 2", "outside its 3 vertices"),
    ("f 1/1 2/1 3/2", "outside its 1 "),
    ("f 1/-2 2/1 3/1", "outside its 1 "),
    ("f 1 2", "fewer than three"),
    ("f 1 2 x", "cannot be read"),
    ("", "no polygons"),
  ],
)
def test_read_obj_exception_raised(tmp_path, face, message):
  path = tmp_path / "a.obj"
  path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\n" + face)
  with pytest.raises(UserError, match=message):
    obj_files.read_obj(str(path))
