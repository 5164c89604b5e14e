"""From a video or photos to a run folder, with the toy template and few steps."""

import json
import os

import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from toy_clip import (
  StubDetector,
  picture,
  small_template,
  straight_path,
  toy_system,
  write_clip,
)

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.clip import Preparation
from personalized_face.export.files import write_png
from personalized_face.face_model.files import (
  Motion,
  load_motion,
  load_person,
  save_motion,
)
from personalized_face.fitting.solve_tracking import TrackingSolver
from personalized_face.pipelines import fit_preview
from personalized_face.pipelines import personalize as personalize_module
from personalized_face.pipelines.person_frames import read_person
from personalized_face.pipelines.personalize import (
  CONFIGURATION,
  fit_person,
  personalize,
)
from personalized_face.training.checkpoints import load_system

QUICK = (
  "build_fitting_system.jit_compile_renderer = False",
  "LandmarkSolver.steps = 12",
  "TrackingSolver.steps = 1",
  "TrackingSolver.chunk = 4",
  "light/Phase.steps = 1",
  "identity/Phase.steps = 1",
  "corrections/Phase.steps = 1",
  "Preparation.fps = 20.0",
  "Preparation.size = 64",
  "Preparation.min_face_pixels = 16",
)


def _write_truth(path, template, frames=18):
  tracking = Tracking(
    np.tile(np.float32([0.5, 0, 0]), [frames, 1]),
    np.zeros([frames, 3]),
    np.zeros([frames, 3]) - [0, 0, 10],
    np.ones([frames, 9, 3]),
  )
  boxes = np.tile([0.0, 0, 64, 64], (frames, 1))
  motion = Motion(np.arange(frames) / 20, tracking, boxes, (96, 128), 20.0)
  save_motion(path, motion, template)


SMALL = Preparation(size=64, fps=20.0, min_face_pixels=16, min_frames=1)


@pytest.fixture(autouse=True)
def configured():
  config.parse([CONFIGURATION], QUICK)
  yield
  gin.clear_config()


def test_a_picture_of_the_fit_is_there_while_it_runs(tmp_path, monkeypatch):
  clip, path = str(tmp_path / "clip.mp4"), str(tmp_path / "preview.png")
  write_clip(clip, straight_path(6))
  small_template().save(str(tmp_path / "toy.npz"))
  seen = []

  class Watched(fit_preview.FitPreview):
    def step(self):
      super().step()
      seen.append(np.asarray(Image.open(path)))

  monkeypatch.setattr(fit_preview, "EVERY_SECONDS", 0.0)
  monkeypatch.setattr(personalize_module, "FitPreview", Watched)
  fit_person([clip], str(tmp_path / "toy.npz"), detector=StubDetector(), preview=path)
  assert len(seen) == 3  # one step for each phase
  assert seen[0].ndim == 3 and len(np.unique(seen[0])) > 30
  assert (seen[0] != seen[-1]).any()
  assert not os.path.exists(path)


def test_a_clip_becomes_a_run_folder_with_figures(tmp_path):
  clip, out = str(tmp_path / "clip.mp4"), str(tmp_path / "out")
  name, template = str(tmp_path / "toy.npz"), small_template()
  template.save(name)
  write_clip(clip, straight_path(18))
  _write_truth(str(tmp_path / "clip_motion.npz"), template)
  figures = personalize(
    [clip], out, name, evaluate=True, detector=StubDetector(), avatar=True
  )
  assert {"face.glb", "live_link.csv", "page.html"} < set(os.listdir(out))
  # The toy has jawOpen alone of the nine groups; in every frame it is 0.5.
  for key in ("expression_mouth_open", "prior_expression_average"):
    assert 0 < figures[key] <= 0.5
  assert figures["expression_smile"] is None
  with open(os.path.join(out, "metrics.json")) as file:
    assert json.load(file) == figures
  assert figures["frames_fit"] == figures["frames_held_out"] == 9
  for key in (
    "nme_percent",
    "photometric_255",
    "parsing_iou",
    "prior_nme_percent",
    "prior_photometric_255",
    "turned_triangles_percent",
    "jitter_pixels",
    "detector_jitter_pixels",
    "mouth_opening_correlation",
    "eye_opening_correlation",
    "minutes",
  ):
    assert np.isfinite(figures[key]), key
  # The stub's points span no triangle: there is no parsed skin to cover.
  assert figures["coverage_percent"] is None
  for file in ("sheet.png", "overlay.mp4", "face.obj", "motion.csv", "config.gin"):
    assert os.path.getsize(os.path.join(out, file)) > 0, file
  person = load_person(os.path.join(out, "person.npz"), template)
  assert np.abs(person.neutral_correction).max() > 0
  motion = load_motion(os.path.join(out, "motion.npz"), template)
  assert len(motion.times) == 18 and (np.diff(motion.times) > 0).all()


def test_photos_fit_no_expressions_and_the_prior_fits_nothing(tmp_path):
  name, template = str(tmp_path / "toy.npz"), small_template()
  template.save(name)
  photos = [str(tmp_path / f"{i}.png") for i in range(2)]
  for i, path in enumerate(photos):
    write_png(path, picture((50 + 10 * i, 50)))
  out = str(tmp_path / "out")
  personalize(photos, out, name, detector=StubDetector())
  person = load_person(os.path.join(out, "person.npz"), template)
  assert np.abs(person.blendshape_corrections).max() == 0
  assert np.abs(person.neutral_correction).max() > 0
  assert sorted(f for f in os.listdir(out) if f.startswith("overlay")) == [
    "overlay_01_0.png",
    "overlay_02_1.png",
  ]
  personalize(photos, out, name, ablation="a", detector=StubDetector())
  person = load_person(os.path.join(out, "person.npz"), template)
  assert all(np.abs(part).max() == 0 for part in person[:2])
  np.testing.assert_array_equal(person.static_albedo, template.mean_albedo)


def test_a_held_out_photo_has_a_light_of_its_own(tmp_path):
  name = str(tmp_path / "toy.npz")
  small_template().save(name)
  photos = [str(tmp_path / f"{i}.png") for i in range(2)]
  for path, blue in zip(photos, (1, 3), strict=True):
    write_png(path, picture((50, 50)) // np.uint8([1, 1, blue]))
  out = str(tmp_path / "out")
  figures = personalize(photos, out, name, evaluate=True, detector=StubDetector())
  assert figures["frames_fit"] == figures["frames_held_out"] == 1
  light = load_motion(os.path.join(out, "motion.npz"), small_template()).tracking.light
  assert light[1, 0, 2] < 0.6 * light[0, 0, 2]


def test_videos_and_photos_are_scenes_of_one_person(tmp_path):
  write_clip(tmp_path / "clip.mp4", straight_path(6))
  folder = tmp_path / "photos"
  folder.mkdir()
  for i, centre in enumerate([(40, 50), None, (60, 50)]):
    write_png(str(folder / f"{i}.png"), picture(centre))
  frames, times, sources = read_person(
    [str(folder), str(tmp_path / "clip.mp4")], SMALL, StubDetector()
  )
  assert [source.name for source in sources] == ["clip", "photos"]
  assert frames.scenes.tolist() == [0] * 6 + [1, 2]  # the photo without a face is out
  assert (np.diff(times) > 0).all()
  photos = sources[1]
  assert [os.path.basename(path) for path in photos.paths] == ["0.png", "2.png"]
  pictures = list(photos.tracked(_still(8), SMALL.fps).pictures())
  assert (pictures[1] == picture((60, 50))).all()
  clip = sources[0].tracked(_still(8), SMALL.fps)
  assert len(list(clip.pictures())) == len(clip.crops) == 6
  assert clip.motion.fps == pytest.approx(20, rel=0.01)


def _still(count):
  from personalized_face.core.types import Tracking

  shapes = ((count, 3), (count, 3), (count, 3), (count, 9, 3))
  return Tracking(*(np.zeros(shape, np.float32) for shape in shapes))


@pytest.mark.parametrize(
  ("inputs", "message"),
  [
    ([], "No input is given"),
    (["nowhere.mp4"], "no file or folder .*nowhere.mp4"),
    (["empty"], "The folder .*empty has no images"),
    (["notes.txt"], "notes.txt"),
    (["faceless.png"], "No face was found in .*faceless.png"),
  ],
)
def test_what_cannot_be_read_is_named(tmp_path, monkeypatch, inputs, message):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "empty").mkdir()
  (tmp_path / "notes.txt").write_text("no video")
  write_png(str(tmp_path / "faceless.png"), picture(None))
  with pytest.raises(UserError, match=message):
    personalize(inputs, str(tmp_path / "out"), detector=StubDetector())


def test_distill_leaves_a_run_that_tracks(tmp_path):
  clip, out = str(tmp_path / "clip.mp4"), str(tmp_path / "out")
  name, template, run = str(tmp_path / "toy.npz"), small_template(), tmp_path / "run"
  template.save(name)
  write_clip(clip, straight_path(20))
  with pytest.raises(UserError, match="run is not a finished run"):
    personalize([clip], out, name, detector=StubDetector(), distill_run=str(run))
  run.mkdir()
  template.save(str(run / "template.npz"))
  (run / "config.gin").write_text(
    "build_system.image_size = 64\nbuild_system.model_net_width = 0.1\n"
    "build_system.track_net_width = 0.1\nbuild_system.track_net_hidden = 8\n"
  )
  checkpoint = tf.train.Checkpoint(system=toy_system())
  tf.train.CheckpointManager(checkpoint, str(run / "stage1"), 1).save(0)
  config.parse([CONFIGURATION], [*QUICK, "Distillation.steps = 2"])
  figures = personalize(
    [clip], out, name, detector=StubDetector(), distill_run=str(run)
  )
  assert figures["tracker_nme_percent"] != figures["tracker_before_nme_percent"]
  with open(os.path.join(out, "config.gin")) as file:
    assert "Distillation.steps = 2" in file.read()
  system = load_system(os.path.join(out, "tracker"))
  load_person(os.path.join(out, "person.npz"), system.template)


def test_frames_far_from_the_fitted_ones_start_anew(tmp_path, monkeypatch):
  """The last third of a clip has no neighbours but at its beginning."""
  clip, name = str(tmp_path / "clip.mp4"), str(tmp_path / "toy.npz")
  small_template().save(name)
  write_clip(clip, straight_path(18))
  solved, solve = [], TrackingSolver.solve

  def recorded(self, frames, lights=None, start=None, **kwargs):
    solved.append((frames.count, start is not None))
    return solve(self, frames, lights, start, **kwargs)

  monkeypatch.setattr(TrackingSolver, "solve", recorded)
  fitted = fit_person(
    [clip], name, evaluate=True, holdout="last_third", detector=StubDetector()
  )
  assert len(fitted.held_out) == 6
  # At 20 frames a second three are within 0.15 s, the other three are not.
  assert solved == [(3, True), (3, False)]
  assert all(np.isfinite(value).all() for value in fitted.tracking)
  assert np.abs(fitted.tracking.translation[-3:]).min(axis=1).max() > 0


def test_one_photo_cannot_be_held_out(tmp_path):
  path = str(tmp_path / "me.png")
  write_png(path, np.repeat(np.repeat(picture((60, 50)), 3, 0), 3, 1))
  with pytest.raises(UserError, match="1 frame is too few to hold any out"):
    personalize([path], str(tmp_path / "out"), evaluate=True, detector=StubDetector())
