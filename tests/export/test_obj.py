import os

import numpy as np
import pytest
from helpers import toy_template
from PIL import Image

from personalized_face.export.obj import write_obj


def _read(path):
  rows = {"v": [], "vt": [], "f": []}
  for line in open(path, encoding="utf-8"):
    kind, *rest = line.split()
    if kind in rows:
      rows[kind].append([tuple(map(float, r.split("/"))) for r in rest])
  return {kind: np.array(value)[..., :] for kind, value in rows.items()}


def test_write_obj_positions_corners_and_texture(tmp_path):
  template = toy_template()
  path = str(tmp_path / "new" / "face.obj")
  write_obj(
    path,
    template.vertices,
    template.triangles,
    template.uv,
    texture=template.mean_albedo * 2 - 0.5,
  )
  data = _read(path)
  # 1e-7 m is the last digit written.
  np.testing.assert_allclose(data["v"][..., 0], template.vertices * 0.1, atol=1e-7)
  np.testing.assert_array_equal(data["f"][..., 0], template.triangles + 1)
  np.testing.assert_array_equal(data["f"][..., 1], template.triangles + 1)
  texture = np.asarray(Image.open(tmp_path / "new" / "face.png"))
  clamped = np.clip(template.mean_albedo * 2 - 0.5, 0, 1)
  np.testing.assert_allclose(texture / 255.0, clamped, atol=0.5 / 255 + 1e-6)
  # What an OBJ reader looks up, with v upwards, is what the template's own uv says.
  u, v = data["vt"][..., 0].T
  size = template.uv_size
  texels = texture[
    np.minimum(((1 - v) * size).astype(int), size - 1), (u * size).astype(int)
  ]
  own = (template.uv * size).astype(int)
  np.testing.assert_array_equal(texels, texture[own[:, 1], own[:, 0]])
  assert open(path).read().startswith("# unit: metre")
  assert "map_Kd face.png" in (tmp_path / "new" / "face.mtl").read_text()
  assert sorted(os.listdir(tmp_path / "new")) == ["face.mtl", "face.obj", "face.png"]


def test_write_obj_without_texture_is_one_file(tmp_path):
  template = toy_template()
  write_obj(str(tmp_path / "bare.obj"), template.vertices, template.triangles)
  assert os.listdir(tmp_path) == ["bare.obj"]
  assert "/" not in (tmp_path / "bare.obj").read_text()


def test_write_obj_exception_raised(tmp_path):
  template = toy_template()
  with pytest.raises(ValueError, match="uv for a texture"):
    write_obj(
      str(tmp_path / "a.obj"),
      template.vertices,
      template.triangles,
      texture=template.mean_albedo,
    )
  with pytest.raises(ValueError, match=".obj path"):
    write_obj(str(tmp_path / "a.ply"), template.vertices, template.triangles)
  assert os.listdir(tmp_path) == []
