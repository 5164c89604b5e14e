"""From one clip to what other programs open, in one go."""

import json
import os
import re

import numpy as np
import pytest
from toy_clip import StubDetector, picture, straight_path, write_clip

from personalized_face.core.errors import UserError
from personalized_face.data.gltf import read_gltf
from personalized_face.export.avatar_folder import write_avatar_folder
from personalized_face.export.clip import clip_crops
from personalized_face.export.files import write_png
from personalized_face.export.live_link import is_live_link, read_live_link_csv
from personalized_face.export.run_folder import write_reconstruction

FRAMES = 5


@pytest.fixture(scope="module")
def of_clip(system, tmp_path_factory):
  """Reconstruction, clip and folder."""
  parent = tmp_path_factory.mktemp("clip")
  clip, folder = str(parent / "clip.mp4"), str(parent / "out")
  write_clip(clip, straight_path(FRAMES))
  result = write_reconstruction(system, [clip], folder, StubDetector())
  before = set(os.listdir(folder))
  written = write_avatar_folder(system, result, folder)
  assert set(os.listdir(folder)) - before == set(map(os.path.basename, written))
  return result, clip, folder


def _data(page):
  with open(page) as file:
    return json.loads(re.search(r'id="data">(.*?)</script>', file.read())[1])


def test_a_clip_becomes_glb_csv_and_page(system, of_clip):
  result, _, folder = of_clip
  motion = result.source.motion
  assert is_live_link(f"{folder}/live_link.csv")
  read = read_live_link_csv(f"{folder}/live_link.csv", system.template, motion.fps)
  jaw = system.template.blendshape_names.index("jawOpen")
  np.testing.assert_allclose(
    read.tracking.expression[:, jaw], motion.tracking.expression[:, jaw], rtol=1e-6
  )
  document = read_gltf(f"{folder}/face.glb").document
  assert len(document["animations"]) == 1
  assert document["meshes"][0]["extras"]["targetNames"][jaw] == "jawOpen"
  data = _data(f"{folder}/page.html")
  assert len(data["times"]) == FRAMES and data["video"].startswith("data:video/webm")
  assert data["errors"] and data["largestError"] > 0


def test_photos_become_a_still_avatar(system, tmp_path):
  paths = [str(tmp_path / f"{i}.png") for i in range(2)]
  for path, centre in zip(paths, straight_path(2), strict=True):
    write_png(path, picture(centre))
  folder = str(tmp_path / "out")
  result = write_reconstruction(system, paths, folder, StubDetector())
  written = write_avatar_folder(system, result, folder)
  assert [os.path.basename(path) for path in written] == ["face.glb", "page.html"]
  assert "animations" not in read_gltf(f"{folder}/face.glb").document
  data = _data(f"{folder}/page.html")
  assert data["times"] == [] and "video" not in data and "errors" not in data


def test_clip_crops_are_those_that_were_tracked(system, of_clip, tmp_path):
  result, clip, _ = of_clip
  crops = clip_crops(clip, result.source.motion, system.camera.height)
  np.testing.assert_array_equal(crops, result.source.crops)
  every_second = result.source.motion
  every_second = every_second._replace(
    times=every_second.times[::2], boxes=every_second.boxes[::2]
  )
  picked = clip_crops(clip, every_second, system.camera.height)
  np.testing.assert_array_equal(picked, result.source.crops[::2])
  write_clip(tmp_path / "short.mp4", straight_path(2))
  for path, motion in (
    (str(tmp_path / "short.mp4"), result.source.motion),
    (clip, result.source.motion._replace(frame_size=(96, 96))),
  ):
    with pytest.raises(UserError, match="is not the clip of this motion, which has 5"):
      clip_crops(path, motion, system.camera.height)
