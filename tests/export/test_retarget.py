import json
import os

import numpy as np
import pytest
from PIL import Image
from toy_clip import (
  FPS,
  SIZE,
  StubDetector,
  picture,
  straight_path,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.data.video import read_frames
from personalized_face.export.retarget import (
  open_driver,
  read_landmarks,
  retarget,
  target_person,
)
from personalized_face.export.run_folder import write_reconstruction
from personalized_face.face_model.files import save_person
from personalized_face.inference.render import ClipRenderer


@pytest.fixture()
def clip(tmp_path):
  write_clip(tmp_path / "a.mp4", straight_path(8))
  return str(tmp_path / "a.mp4")


def test_retarget_of_a_person_onto_themself_is_the_identity(system, clip, tmp_path):
  own = write_reconstruction(system, [clip], str(tmp_path / "run"), StubDetector())
  frames = ClipRenderer(system).all(own.person, own.source.motion.tracking)
  for target in (str(tmp_path / "run"), clip):
    driver = open_driver(system, [clip], StubDetector())
    driven = retarget(system, driver, target, str(tmp_path / "out"), StubDetector())
    # person.npz keeps the blendshapes' maps in half precision: 2^-11 of some 0.1 dm.
    np.testing.assert_allclose(driven.vertices, frames.vertices, atol=2e-4)
    np.testing.assert_allclose(driven.landmarks, frames.landmarks, atol=2e-2)
    own_expression = own.source.motion.tracking.expression
    np.testing.assert_array_equal(
      driven.driver.motion.tracking.expression, own_expression
    )


def test_target_person_from_a_folder_or_its_file(system, tmp_path):
  person = system.face_model.template_person()
  person = type(person)(*(value[0].numpy() for value in person))
  path = str(tmp_path / "person.npz")
  save_person(path, person, system.template)
  for target in (path, str(tmp_path)):
    read = target_person(system, target, StubDetector(), 8)
    np.testing.assert_array_equal(read.static_albedo, person.static_albedo)


def test_retarget_moves_the_target_as_the_driver(system, clip, tmp_path):
  Image.fromarray(np.roll(picture((64, 48)), 1, -1)).save(tmp_path / "target.png")
  out = str(tmp_path / "out")
  driver = open_driver(system, [clip], StubDetector())
  driven = retarget(system, driver, str(tmp_path / "target.png"), out, StubDetector())
  template, tracking = system.template, driven.driver.motion.tracking
  assert sorted(os.listdir(out)) == [
    "driven.glb",
    "driven.mp4",
    "metrics.json",
    "motion.csv",
    "motion.npz",
    "person.npz",
    "sheet.png",
  ]
  batched = type(driven.target)(*(value[np.newaxis] for value in driven.target))
  offsets = system.face_model.vertex_offsets(batched)
  geometry = system.face_model.geometry(*offsets)
  assert np.abs(geometry.neutral[0] - template.vertices).max() > 1e-3
  # Eq. 1 by hand: the target's shapes, the driver's coefficients.
  expected = geometry.neutral[0] + np.einsum(
    "vkc,fk->fvc", geometry.displacements[0], tracking.expression
  )
  np.testing.assert_allclose(driven.vertices, expected, atol=1e-5)
  video = list(read_frames(f"{out}/driven.mp4", None))
  assert len(video) == 8 and video[0].image.shape == (SIZE, 2 * SIZE, 3)
  assert video[-1].time == pytest.approx(7 / FPS, rel=1e-2)  # rounded timestamps
  left = video[3].image[:, :SIZE].astype(int) - driven.driver.crops[3]
  assert np.abs(left).mean() < 4  # H.264 at crf 18, colour at half resolution
  metrics = json.loads(open(f"{out}/metrics.json").read())
  assert metrics["frames"] == metrics["frames_with_detected_face"] == 8
  assert metrics == driven.metrics


def test_retarget_from_a_motion_file_is_the_same(system, clip, tmp_path):
  write_reconstruction(system, [clip], str(tmp_path / "run"), StubDetector())
  sources = {"video": clip, "npz": str(tmp_path / "run" / "motion.npz")}
  sources["csv"] = str(tmp_path / "run" / "motion.csv")
  vertices = {}
  for name, source in sources.items():
    driver = open_driver(system, [source], StubDetector())
    out = str(tmp_path / name)
    driven = retarget(system, driver, str(tmp_path / "run"), out, StubDetector())
    vertices[name] = driven.vertices
  np.testing.assert_array_equal(vertices["npz"], vertices["csv"])
  np.testing.assert_allclose(vertices["npz"], vertices["video"], atol=1e-6)
  metrics = json.loads(open(tmp_path / "npz" / "metrics.json").read())
  assert metrics["frames"] == 8 and metrics["mouth_opening_correlation"] is None
  video = list(read_frames(str(tmp_path / "npz" / "driven.mp4"), None))
  assert video[0].image.shape == (SIZE, SIZE, 3)


def test_retarget_from_a_folder_with_its_clip_is_as_from_the_clip(
  system, clip, tmp_path
):
  run = str(tmp_path / "run")
  write_reconstruction(system, [clip], run, StubDetector())
  results = [
    retarget(
      system,
      open_driver(system, sources, StubDetector(), clip=of),
      run,
      str(tmp_path / "out"),
      StubDetector(),
    )
    for sources, of in (([clip], None), ([run], clip))
  ]
  assert results[1].metrics == results[0].metrics
  assert results[1].metrics["mouth_opening_correlation"] is not None
  np.testing.assert_array_equal(results[1].driver.crops, results[0].driver.crops)
  video = list(read_frames(str(tmp_path / "out" / "driven.mp4"), None))
  assert video[0].image.shape == (SIZE, 2 * SIZE, 3)
  with pytest.raises(UserError, match="A clip goes with a motion"):
    open_driver(system, [clip], StubDetector(), clip=clip)
  write_clip(tmp_path / "short.mp4", straight_path(2))
  with pytest.raises(UserError, match="is not the clip of this motion"):
    open_driver(system, [run], StubDetector(), clip=str(tmp_path / "short.mp4"))


def test_open_driver_adjusts_the_motion(system, clip):
  plain = open_driver(system, [clip], StubDetector()).motion.tracking.expression
  driver = open_driver(
    system, [clip], StubDetector(), gains={"jaw_open": 0.5}, neutral_frame=2
  )
  expected = np.maximum((plain - plain[2]) / (1 - plain[2]), 0) * [0.5, 1, 1]
  np.testing.assert_allclose(driver.motion.tracking.expression, expected, atol=1e-6)
  assert (driver.motion.tracking.expression[2] == 0).all()


def test_retarget_exception_raised(system, clip, tmp_path):
  out = str(tmp_path / "out")
  driver = open_driver(system, [clip], StubDetector())
  with pytest.raises(UserError, match="nobody.npz"):
    retarget(system, driver, str(tmp_path / "nobody.npz"), out, StubDetector())
  with pytest.raises(UserError, match="neither a person.npz nor images"):
    retarget(system, driver, str(tmp_path / "out"), out, StubDetector())
  with pytest.raises(UserError, match="missing.mp4"):
    open_driver(system, [str(tmp_path / "missing.mp4")], StubDetector())
  with pytest.raises(UserError, match="no frame 99"):
    open_driver(system, [clip], StubDetector(), neutral_frame=99)
  with pytest.raises(UserError, match="no blendshape wings"):
    open_driver(system, [clip], StubDetector(), gains={"wings": 2.0})
  assert os.listdir(out) == []


def test_read_landmarks(tmp_path):
  path = tmp_path / "marks.json"
  marks = list(range(68))
  path.write_text(json.dumps(marks))
  assert read_landmarks(str(path), 68).tolist() == marks
  for wrong in (marks[:-1], [0.0, *marks[1:]], [*marks[:-1], 68], [-1, *marks[1:]], {}):
    path.write_text(json.dumps(wrong))
    with pytest.raises(UserError, match="no list of 68 of the mesh's 68 vertices"):
      read_landmarks(str(path), 68)
