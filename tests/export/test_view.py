import base64
import os
import re

import numpy as np
import pytest
from node_tools import browse, served, workshop
from PIL import Image
from toy_clip import FPS, SIZE, straight_path, write_clip

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.export.avatar import make_avatar
from personalized_face.export.view import write_view
from personalized_face.face_model.files import Motion
from personalized_face.inference.error_map import vertex_errors_255
from personalized_face.inference.render import ClipRenderer

FRAMES = 6


@pytest.fixture(scope="module")
def motion():
  rng = np.random.default_rng(1)
  light = np.zeros([FRAMES, 9, 3], np.float32)
  light[:, 0] = 3.5
  tracking = Tracking(
    rng.uniform(0, 1, [FRAMES, 3]).astype(np.float32),
    rng.normal(0, 0.1, [FRAMES, 3]).astype(np.float32),
    np.tile(np.float32([0, 0, -10]), [FRAMES, 1]),
    light,
  )
  boxes = np.tile(np.float32([0, 0, 64, 64]), [FRAMES, 1])
  return Motion(np.arange(FRAMES) / FPS, tracking, boxes, (96, 128), FPS)


@pytest.fixture(scope="module")
def page(system, person, motion, tmp_path_factory):
  folder = tmp_path_factory.mktemp("view")
  clip = str(folder / "clip.mp4")
  write_clip(clip, straight_path(FRAMES))
  crops = np.random.default_rng(2).integers(0, 255, [FRAMES, SIZE, SIZE, 3])
  write_view(
    system,
    person,
    str(folder / "a.html"),
    motion,
    clip,
    "A <b>",
    crops.astype(np.uint8),
  )
  return folder / "a.html"


def test_view_is_one_file_that_asks_for_nothing(page):
  text = page.read_text()
  assert "<title>A &lt;b></title>" in text
  assert sorted(os.listdir(page.parent)) == ["a.html", "clip.mp4"]
  assert not re.search(r"""(?:src|href)=["']|https?://|import """, text)


def test_errors_are_steps_of_the_largest(system, person, motion, tmp_path):
  drawn = ClipRenderer(system).all(person, motion.tracking).rendering.image
  noise = np.random.default_rng(2).integers(0, 30, drawn.shape)
  crops = (255 * np.clip(drawn, 0, 0.85) + noise).astype(np.uint8)
  write_view(system, person, str(tmp_path / "a.html"), motion, crops=crops)
  text = (tmp_path / "a.html").read_text()
  found = re.search('"errors":"([^"]*)","largestError":64.0', text)[1]
  steps = np.frombuffer(base64.b64decode(found), np.uint8).astype(float)
  errors = vertex_errors_255(system, person, motion.tracking, crops)
  seen = ~np.isnan(errors)
  assert np.median(errors[seen]) < 50
  np.testing.assert_array_equal(steps == 255, ~seen)
  # A step is 64 / 254 grey levels.
  expected = np.minimum(errors[seen], 64)
  np.testing.assert_allclose(steps[seen] * 64 / 254, expected, atol=0.51 * 64 / 254)


def test_view_exception_raised(system, person, tmp_path):
  with pytest.raises(UserError, match="is an .html file"):
    write_view(system, person, str(tmp_path / "a.htm"))
  with pytest.raises(UserError, match="missing.mp4"):
    out, video = str(tmp_path / "a.html"), str(tmp_path / "missing.mp4")
    write_view(system, person, out, video=video)
  assert os.listdir(tmp_path) == []


_SLIDE = """(() => {
  const slider = document.getElementById("w_jawOpen");
  slider.value = VALUE;
  slider.dispatchEvent(new Event("input"));
  return Array.from(vertices);
})()"""
_SWITCH = """(() => {
  const box = document.getElementById("NAME");
  box.click();
  return Array.from(vertices);
})()"""
_READY = """(async () => {
  await ready;
  const video = document.getElementById("video");
  for (let i = 0; i < 200 && video.readyState < 2; ++i)
    await new Promise((done) => setTimeout(done, 50));
  return [video.readyState, video.videoWidth, video.videoHeight];
})()"""


def test_view_in_a_browser(system, person, motion, page, tmp_path):
  folder = workshop(tmp_path)
  (folder / "a.html").write_text(page.read_text())
  steps = [{"run": _READY}, {"run": "Array.from(vertices)"}]
  steps.append({"run": "(goTo(3), Array.from(vertices))"})
  steps.append({"run": "document.getElementById('rest').click()"})
  steps.append({"run": _SLIDE.replace("VALUE", "0")})
  steps.append({"run": _SLIDE.replace("VALUE", "1")})
  names = ("personal", "albedo", "light", "wire", "error")
  steps += [{"run": _SWITCH.replace("NAME", name)} for name in names]
  steps.append({"run": "document.getElementById('play').click()"})
  for i, step in enumerate(steps):
    step["screenshot"] = str(folder / f"{i}.png")
  with served(folder) as site:
    seen = browse(folder, f"{site}/a.html", steps, size=(1320, 620))
  assert seen["errors"] == []
  results = seen["results"]
  assert results[0][0] >= 2 and results[0][1:] == [128, 96]
  avatar = make_avatar(system.template, person)

  def shape(weights):
    return avatar.neutral + np.tensordot(weights, avatar.displacements, axes=1)

  def read(i):
    return np.array(results[i], np.float32).reshape(-1, 3)

  # 16-bit steps of the displacements.
  weights = motion.tracking.expression
  for i, expected in ((1, weights[0]), (2, weights[3]), (4, [0] * 3), (5, [1, 0, 0])):
    np.testing.assert_allclose(read(i), shape(expected), atol=1e-4)
  template = system.template
  plain = template.vertices + template.blendshape_deltas[0]
  np.testing.assert_allclose(read(6), plain, atol=1e-4)
  pictures = [np.asarray(Image.open(folder / f"{i}.png")) for i in range(len(steps))]
  faces = [p[12:492, 12:492, :3].astype(int) for p in pictures]
  assert faces[1].std() > 10
  # The painted eye: no other part is as bright and as grey, the page's ground brighter.
  sclera = np.abs(faces[4] - [214, 207, 199]).max(axis=-1) < 6
  assert sclera.any()
  # Random pictures are far from any face: the error map is of its red end.
  red, green, blue = np.moveaxis(faces[10], -1, 0)
  assert ((red > 2 * green) & (red > 2 * blue)).mean() > 0.1
  # Frame, slider and each switch change the picture.
  for before, after in ((1, 2), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10)):
    assert (np.abs(faces[after] - faces[before]).max(-1) > 8).mean() > 1e-3, after
