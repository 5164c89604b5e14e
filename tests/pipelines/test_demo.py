"""The whole path at the template's full size, with narrow networks and few steps."""

import dataclasses
import json
import os

import gin
import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.data.synthetic import render_clip
from personalized_face.face_model.files import load_motion
from personalized_face.pipelines.demo import CONFIGURATION, MARK, run_demo
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training.checkpoints import load_system

QUICK = (
  "build_system.model_net_width = 0.25",
  "build_system.track_net_width = 0.25",
  "build_system.jit_compile_renderer = False",
  # The other stages differ in values; tracing each takes longer than its steps.
  'train.stages = ("pose_and_light", "stage1", "stage2")',
  'prior/train.stages = ("prior",)',
  "pose_and_light/Stage.steps = 2",
  "stage1/Stage.steps = 2",
  "stage2/Stage.steps = 2",
  "prior/Stage.steps = 2",
  "train.recalibration_batches = 1",
  "train.log_every = 1",
  "make_deterministic.seed = 1",
)


@pytest.fixture(autouse=True)
def clean_gin():
  yield
  gin.clear_config()


def other_template() -> FaceTemplate:
  """The default without its last blendshape, as imports have other numbers of them."""
  default = load_template()
  return dataclasses.replace(
    default,
    name="other",
    blendshape_names=default.blendshape_names[:-1],
    blendshape_deltas=default.blendshape_deltas[:-1],
    attention_masks=default.attention_masks[..., :-1],
  )


def test_demo_leaves_everything_it_promises(tmp_path):
  clip, out = str(tmp_path / "clip.mp4"), str(tmp_path / "out")
  template, path = other_template(), str(tmp_path / "other.npz")
  template.save(path)
  render_clip(load_template(), clip, seconds=2.4, size=256)
  figures = run_demo(out, clip, path, gin_files=(CONFIGURATION,), gin_params=QUICK)
  with open(os.path.join(out, "metrics.json")) as file:
    assert json.load(file) == figures
  for key in (
    "nme_percent",
    "photometric_255",
    "coverage_percent",
    "turned_triangles_percent",
    "prior_nme_percent",
    "prior_photometric_255",
    "seconds_prepare",
    "seconds_train",
    "seconds_total",
  ):
    assert np.isfinite(figures[key]), key
  for name in (
    "reconstruction/sheet.png",
    "reconstruction/overlay.mp4",
    "reconstruction/person.npz",
    "reconstruction/motion.npz",
    "retargeting/driven.mp4",
    "retargeting/metrics.json",
    "saved_model/1/saved_model.pb",
    "run/config.gin",
  ):
    assert os.path.getsize(os.path.join(out, name)) > 0, name
  # What it leaves is what the other commands start from.
  system = load_system(os.path.join(out, "run"))
  assert system.template.hash == template.hash
  motion = load_motion(os.path.join(out, "reconstruction/motion.npz"), template)
  assert motion.tracking.expression.shape[1] == template.num_blendshapes == 55


def test_missing_template_is_named_and_an_earlier_demo_stays(tmp_path):
  out, clip = tmp_path / "out", tmp_path / "clip.mp4"
  out.mkdir()
  (out / MARK).write_text("")
  (out / "metrics.json").write_text("{}")
  clip.write_bytes(b"")
  with pytest.raises(UserError, match="nowhere.npz"):
    run_demo(str(out), str(clip), str(tmp_path / "nowhere.npz"))
  assert (out / "metrics.json").read_text() == "{}"


def test_missing_video_is_named_and_nothing_is_made(tmp_path):
  with pytest.raises(UserError, match="There is no video .*nowhere.mp4"):
    run_demo(str(tmp_path / "out"), str(tmp_path / "nowhere.mp4"))
  assert not os.path.exists(tmp_path / "out")


@pytest.mark.parametrize("name", ["thesis.tex", "clip.mp4", "metrics.json"])
def test_folder_of_something_else_is_left_alone(tmp_path, name):
  mine, clip = tmp_path / "mine", tmp_path / "clip.mp4"
  mine.mkdir()
  (mine / name).write_text("years of work")
  clip.write_bytes(b"")
  with pytest.raises(UserError, match="something other than a demo"):
    run_demo(str(mine), str(clip))
  assert (mine / name).read_text() == "years of work"


def test_video_inside_the_output_folder_survives(tmp_path):
  out = tmp_path / "out"
  out.mkdir()
  (out / MARK).write_text("")
  (out / "clip.mp4").write_text("my only copy")
  with pytest.raises(UserError, match="which the demo replaces"):
    run_demo(str(out), str(out / "clip.mp4"))
  assert (out / "clip.mp4").read_text() == "my only copy"
