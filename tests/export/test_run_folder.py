import os

import numpy as np
import pytest
from PIL import Image
from toy_clip import (
  FPS,
  HEIGHT,
  WIDTH,
  StubDetector,
  picture,
  straight_path,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.data.video import read_frames
from personalized_face.export.run_folder import write_reconstruction
from personalized_face.face_model.files import load_motion, load_person


@pytest.fixture(scope="module")
def video_run(system, tmp_path_factory):
  """A reconstruction in memory and its folder, with all that can be written."""
  parent = tmp_path_factory.mktemp("run")
  write_clip(parent / "clip.mp4", straight_path(10))
  folder = str(parent / "new" / "out")
  result = write_reconstruction(
    system,
    [str(parent / "clip.mp4")],
    folder,
    StubDetector(),
    blendshape_objs=True,
    frame_objs=True,
  )
  return result, folder


def test_write_reconstruction_of_a_video(system, video_run):
  result, folder = video_run
  names = ["face.mtl", "face.obj", "face.png", "motion.csv", "motion.npz"]
  names += ["overlay.mp4", "person.npz", "sheet.png"]
  assert sorted(os.listdir(folder)) == sorted([*names, "blendshapes", "frames"])
  assert sorted(os.listdir(f"{folder}/blendshapes")) == [
    "jawOpen.obj",
    "smile_L.obj",
    "smile_R.obj",
  ]
  assert len(os.listdir(f"{folder}/frames")) == 10
  person = load_person(f"{folder}/person.npz", system.template)
  # The maps per blendshape are kept in half precision.
  for stored, value in zip(person, result.person, strict=True):
    np.testing.assert_allclose(stored, value, rtol=1e-3, atol=1e-6)
  motion = load_motion(f"{folder}/motion.npz", system.template)
  np.testing.assert_array_equal(
    motion.tracking.expression, result.source.motion.tracking.expression
  )
  overlay = list(read_frames(f"{folder}/overlay.mp4", None))
  assert len(overlay) == 10 and overlay[0].image.shape == (HEIGHT, WIDTH, 3)
  assert overlay[-1].time == pytest.approx(9 / FPS, rel=1e-2)  # rounded timestamps
  changed = np.abs(overlay[5].image.astype(int) - picture(straight_path(6)[5])).max(-1)
  # A face is there, and only where the crop is; 40 is above H.264's noise.
  x0, y0, x1, y1 = motion.boxes[5]
  rows, columns = np.nonzero(changed > 40)
  assert len(rows) > 100
  assert x0 - 2 <= columns.min() and columns.max() <= x1 + 2
  assert y0 - 2 <= rows.min() and rows.max() <= y1 + 2


def test_write_reconstruction_meshes_are_equation_1(system, video_run):
  result, folder = video_run

  def vertices(name):
    lines = open(f"{folder}/{name}.obj").read().splitlines()
    return np.array([line.split()[1:] for line in lines if line[:2] == "v "], float)

  neutral = vertices("face")
  names = system.template.blendshape_names
  shapes = np.stack([vertices(f"blendshapes/{name}") for name in names])
  assert np.abs(shapes - neutral).max() > 1e-3
  weights = result.source.motion.tracking.expression[2]
  expected = neutral + np.einsum("k,kvc->vc", weights, shapes - neutral)
  # Metres with 7 decimals, each read back with an error of half of the last.
  np.testing.assert_allclose(vertices("frames/000002"), expected, atol=5e-7)


def test_write_reconstruction_of_photos(system, tmp_path):
  for name, centre in (("a", (40, 50)), ("b", (70, 45))):
    Image.fromarray(picture(centre)).save(tmp_path / f"{name}.png")
  folder = str(tmp_path / "out")
  inputs = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
  write_reconstruction(system, inputs, folder, StubDetector())
  assert {"overlay_01_a.png", "overlay_02_b.png"} < set(os.listdir(folder))
  assert not os.path.exists(f"{folder}/overlay.mp4")
  overlay = np.asarray(Image.open(f"{folder}/overlay_02_b.png"))
  assert overlay.shape == (HEIGHT, WIDTH, 3)
  assert (overlay != picture((70, 45))).any(-1).sum() > 100


def test_write_reconstruction_exception_raised(system, tmp_path):
  write_clip(tmp_path / "clip.mp4", [None] * 3)
  clip = [str(tmp_path / "clip.mp4")]
  with pytest.raises(UserError, match="No face was found .* 3 frames of .*clip.mp4"):
    write_reconstruction(system, clip, str(tmp_path / "out"), StubDetector())
  assert os.listdir(tmp_path / "out") == []
  with pytest.raises(UserError, match="cannot be made"):
    write_reconstruction(system, clip, f"{clip[0]}/out", StubDetector())
