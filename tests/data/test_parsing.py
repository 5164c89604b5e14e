import cv2
import numpy as np
import pytest
from matplotlib.path import Path

from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.errors import UserError
from personalized_face.core.types import PARSING_CLASSES
from personalized_face.data import specs
from personalized_face.data.parsing import (
  label_table,
  mesh_triangles,
  parse_mesh,
  polygon_mask,
  read_label_png,
  union_mask,
)


def _centres(height, width):
  rows, columns = np.mgrid[0:height, 0:width] + 0.5
  return np.stack([columns.ravel(), rows.ravel()], -1)


def _mean_face():
  """[478, 2] pixels of a 224 crop: our measured mean face, seen from the front."""
  path = f"{specs.folder()}/default_template/control_points.csv"
  rows = [r for r in open(path) if r[0].isdigit()]
  points = np.array([[float(x) for x in row.split(",")[1:3]] for row in rows])
  return points * [101.5, -101.5] + 112


@pytest.mark.parametrize("seed", range(5))
def test_polygon_mask_random(seed):
  """Star-shaped polygons against matplotlib's point-in-polygon test."""
  rng = np.random.default_rng(seed)
  angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
  radii = rng.uniform(5, 30, 12)
  polygon = 20 + np.stack([np.cos(angles), np.sin(angles)], -1) * radii[:, None]
  want = Path(polygon).contains_points(_centres(40, 48)).reshape(40, 48)
  assert 0 < want.sum() < want.size
  for corners in (polygon, polygon[::-1]):
    np.testing.assert_array_equal(polygon_mask(corners, 40, 48), want)


def test_polygon_mask_preset():
  square = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 2.0], [1.0, 2.0]])
  want = np.zeros([4, 5], bool)
  want[1, 1:3] = True
  np.testing.assert_array_equal(polygon_mask(square, 4, 5), want)
  # No area, no pixel: cv2.fillPoly would draw the line.
  line = np.array([[0.0, 2.0], [5.0, 2.0], [5.0, 2.0], [0.0, 2.0]])
  assert not polygon_mask(line, 4, 5).any()


@pytest.mark.parametrize("seed", range(3))
def test_union_mask_random(seed):
  triangles = np.random.default_rng(seed).uniform(-5, 45, (6, 3, 2))
  centres = _centres(40, 40)
  want = np.zeros(1600, bool)
  for triangle in triangles:
    want |= Path(triangle).contains_points(centres)
  assert 0 < want.sum() < want.size
  np.testing.assert_array_equal(union_mask(triangles, 40, 40), want.reshape(40, 40))


def test_parse_mesh_labels_the_parts():
  points = _mean_face()
  labels = parse_mesh(points, 224, 224)
  assert labels.shape == (224, 224) and labels.dtype == np.uint8

  def label_at(indices):
    column, row = points[list(indices)].mean(axis=0).astype(int)
    return PARSING_CLASSES[labels[row, column]]

  assert label_at(regions.LEFT_EYE) == label_at(regions.RIGHT_EYE) == "eyes"
  # Across the middle of each brow: the centroid of its bent outline may lie outside.
  assert label_at([334, 282]) == label_at([105, 52]) == "brows"
  assert label_at([4]) == "nose"  # its tip
  assert label_at([0, 13]) == "upper_lip"
  assert label_at([14, 17]) == "lower_lip"
  assert label_at([50]) == label_at([151]) == "skin"  # cheek, forehead
  assert PARSING_CLASSES[labels[2, 2]] == "background"
  assert not (labels == PARSING_CLASSES.index("inner_mouth")).sum() > 40  # shut


def test_parse_mesh_open_mouth():
  points = _mean_face()
  lower = sorted({*regions.LOWER_LIP_INNER[1:-1], *regions.LOWER_LIP_OUTER[1:-1]})
  points[lower, 1] += 20
  labels = parse_mesh(points, 224, 224)
  column, row = points[[13, 14]].mean(axis=0).astype(int)
  assert PARSING_CLASSES[labels[row, column]] == "inner_mouth"


def test_parse_mesh_covers_a_turned_face():
  """Turned by 50 degrees, the nose leaves the face oval, and stays face."""
  path = f"{specs.folder()}/default_template/control_points.csv"
  rows = [r for r in open(path) if r[0].isdigit()]
  points = np.array([[float(x) for x in row.split(",")[1:4]] for row in rows])
  angle = np.radians(50)
  x = points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle)
  points = np.stack([x, -points[:, 1]], -1) * 101.5 + 112
  labels = parse_mesh(points, 224, 224)
  oval = polygon_mask(points[list(regions.FACE_OVAL)], 224, 224)
  assert ((labels > 0) & ~oval).sum() > 100
  assert ((labels == 0) & oval).sum() == 0


def test_mesh_triangles_are_those_of_the_mesh():
  triangles = mesh_triangles()
  # mediapipe's own tessellation has 2556 directed edges, three for each triangle.
  from mediapipe.python.solutions import face_mesh_connections

  assert len(triangles) >= len(face_mesh_connections.FACEMESH_TESSELATION) / 3
  assert triangles.max() == 467 and len(np.unique(triangles)) == 468


def _as_ours(names, order):
  """What our table makes of their class names."""
  table = label_table(order)
  classes = specs.load("labels", order, ("source", "licence", "classes"))["classes"]
  numbers = {theirs: i for i, (theirs, _) in enumerate(classes)}
  return [PARSING_CLASSES[table[numbers[name]]] for name in names]


@pytest.mark.parametrize("order", ["celebamask_hq", "face_parsing_pytorch"])
def test_label_orders_mean_the_same(order):
  names = ["skin", "l_brow", "r_eye", "nose", "mouth", "u_lip", "l_lip", "hair", "neck"]
  assert len(label_table(order)) == 19
  assert _as_ours(names, order) == [
    *("skin", "brows", "eyes", "nose", "inner_mouth", "upper_lip", "lower_lip"),
    *("background", "background"),
  ]


def test_label_orders_differ():
  # Number 2 is the nose in one, a brow in the other (FIELD.md, "TWO orders").
  assert PARSING_CLASSES[label_table("celebamask_hq")[2]] == "nose"
  assert PARSING_CLASSES[label_table("face_parsing_pytorch")[2]] == "brows"


def test_read_label_png(tmp_path):
  path = str(tmp_path / "labels.png")
  cv2.imwrite(path, np.array([[0, 1, 10], [2, 11, 17]], np.uint8))
  want = [["background", "skin", "inner_mouth"], ["nose", "upper_lip", "background"]]
  got = read_label_png(path, "celebamask_hq")
  assert [[PARSING_CLASSES[v] for v in row] for row in got] == want


def test_read_label_png_exception_raised(tmp_path):
  path = str(tmp_path / "labels.png")
  with pytest.raises(UserError, match="labels.png"):
    read_label_png(path, "celebamask_hq")
  cv2.imwrite(path, np.array([[0, 19]], np.uint8))
  with pytest.raises(UserError, match="label 19"):
    read_label_png(path, "celebamask_hq")
  with pytest.raises(UserError, match="face_parsing_pytorch"):
    read_label_png(path, "bisenet")
  cv2.imwrite(path, np.zeros([4, 4, 3], np.uint8))
  with pytest.raises(UserError, match="single-channel"):
    read_label_png(path, "celebamask_hq")


def test_specs_are_strict(tmp_path):
  path = str(tmp_path / "mine.yaml")
  for text, match in (
    ("source: x\nlicence: y\n", "lacks classes"),
    ("source: x\nlicence: y\nclasses: []\nclases: []\n", "unknown key 'clases'"),
    ("[unclosed", "cannot be read"),
    ("just text", "lacks source"),
  ):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=match):
      specs.load("labels", path, ("source", "licence", "classes"))
  with pytest.raises(UserError, match="cannot be read"):
    specs.load("labels", str(tmp_path / "absent.yaml"), ())
