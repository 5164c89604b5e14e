import re

import cv2
import numpy as np
import pytest
from test_prepare import _prepare, toy_video

from personalized_face.core.errors import UserError
from personalized_face.data.inspect_records import (
  inspect,
  landmark_residual,
  overview,
)


def _faces(count, seed=0):
  """Landmarks that vary in two ways, moved, turned and scaled at random."""
  rng = np.random.default_rng(seed)
  mean, *modes = rng.normal(size=(3, 68, 2))
  weights = rng.normal(size=(count, 2, 1, 1)) * 0.05
  faces = mean + (weights * np.array(modes)).sum(axis=1)
  angles, scales = rng.uniform(-0.3, 0.3, count), rng.uniform(20, 40, count)
  turn = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
  moved = np.einsum("ijn,nlj->nli", turn, faces) * scales[:, None, None]
  moved += rng.normal(size=moved.shape) * 0.01 * scales[:, None, None]
  return moved + rng.uniform(0, 100, (count, 1, 2)), scales


def test_residual_is_large_where_a_point_is_wrong():
  faces, scales = _faces(100)
  clean = landmark_residual(faces)
  faces[37, 30] += 0.5 * scales[37]
  residual = landmark_residual(faces)
  assert residual.argmax() == 37
  # One of 68 points off by half a unit along x and y, the modes explaining a little.
  wrong = 0.5 * np.sqrt(2) * scales[37] / np.sqrt(68)
  assert 0.7 * wrong < residual[37] < 1.2 * wrong
  assert residual[37] > 3 * np.median(clean)


def test_pictures_and_page(tmp_path):
  videos = tmp_path / "videos"
  videos.mkdir()
  for i in range(2):
    toy_video(videos / f"person{i}.mp4")
  (videos / "<b>.mp4").write_text("no video")
  _prepare([str(videos)], tmp_path / "records")
  paths = inspect(str(tmp_path / "records"), str(tmp_path / "out"), count=5)
  assert set(paths) == {"sheet", "worst", "histograms", "html"}
  # Three columns of three tiles of 160 px, two rows with their captions.
  assert cv2.imread(paths["sheet"]).shape == (2 * 178, 3 * 486, 3)
  page = (tmp_path / "out" / "report.html").read_text()
  assert page.count("data:image/png;base64,") == 3
  # Self-contained, and nothing in a file's name becomes markup.
  assert not re.search(r'(?:src|href)="(?!data:)', page)
  reasons = page.split("What the manifest says (1 of 3")[1]
  assert "person0.mp4" not in reasons and "b&gt;.mp4" in reasons
  assert "<b>" not in page and "&lt;b&gt;.mp4" in page
  found = overview(str(tmp_path / "records"))
  assert len(found.frames) == 40
  assert all(len(values) == 40 for values in found.values.values())
  with pytest.raises(UserError, match="no training records"):
    inspect(str(tmp_path / "absent"), str(tmp_path / "out"))
