"""Stages, resume, freezing, recalibration, summaries: on toy records."""

import dataclasses
import itertools
import json
import os
import shutil
import time

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_run import SIZE, configure, toy_system

from personalized_face.core.errors import UserError
from personalized_face.data.augment import Jitter
from personalized_face.data.dataset import make_dataset
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training import batch_norm, loop
from personalized_face.training.checkpoints import (
  claim_run_dir,
  load_system,
  restore_stage,
)
from personalized_face.training.held_out import evaluate_run
from personalized_face.training.loop import train
from personalized_face.training.stages import Stage, configured_stage
from personalized_face.training.trainer import Trainer

WAIT = "train/input_wait_percent"


def _values(variables):
  return [np.array(variable) for variable in variables]


def _equal(first, second):
  return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _train(tmp_path, name, records_dir, *params, system=None):
  configure(tmp_path, *params)
  run_dir = str(tmp_path / name)
  system = system or toy_system()
  claim_run_dir(run_dir, system.template)
  train(system, records_dir, run_dir)
  return system, run_dir


def test_twenty_steps_lower_the_loss(tmp_path, records_dir):
  configure(tmp_path)
  stage, weights = configured_stage("stage1")
  trainer = Trainer(toy_system(), stage, FaceLoss(toy_template(), SIZE), weights)
  data = make_dataset(records_dir, "train", groups_per_batch=2, frames_per_group=2)
  batch = next(iter(data))
  losses = [float(trainer.train_step(batch)["total"]) for _ in range(20)]
  assert losses[-1] < 0.8 * losses[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, records_dir):
  """A run of both stages that nobody changes: the system, and its folder."""
  folder = tmp_path_factory.mktemp("trained")
  found = _train(folder, "run", records_dir, "train.evaluate_every = 4")
  gin.clear_config()
  return found


def _of_stage(run_dir, stage):
  system = toy_system(seed=5)
  restore_stage(system, run_dir, stage)
  return system


def test_stage_2_starts_from_stage_1_and_leaves_track_net_alone(tmp_path, trained):
  system, run_dir = trained
  configure(tmp_path)
  after_1 = _of_stage(run_dir, "stage1")
  assert _equal(
    _values(after_1.track_net.variables), _values(system.track_net.variables)
  )
  assert _equal([after_1.mean_albedo], [system.mean_albedo])
  weights_1 = _values(after_1.model_net.trainable_variables)
  weights_2 = _values(system.model_net.trainable_variables)
  steps = [np.abs(a - b).max() for a, b in zip(weights_1, weights_2, strict=True)]
  assert all(step > 0 for step in steps)
  # Adam moves a weight by about the rate, 1e-3, a step: four steps from stage 1.
  assert max(steps) < 0.02


def test_stage_1_trains_everything(tmp_path, trained):
  configure(tmp_path)
  before = _values(toy_system().trainable_variables)
  after = _values(_of_stage(trained[1], "stage1").trainable_variables)
  assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_resume_equals_uninterrupted(tmp_path, records_dir, trained, monkeypatch):
  # Interrupted at step 4, where checkpoint_every writes one.
  _train(
    tmp_path,
    "parts",
    records_dir,
    "train.stages = ('stage1',)",
    "stage1/Stage.steps = 4",
  )
  # Meanwhile the clock is set back, and goes on being set back by an hour at a look.
  looks = itertools.count(1e9, -3600)
  monkeypatch.setattr(time, "time", lambda: float(next(looks)))
  resumed, run_dir = _train(
    tmp_path,
    "parts",
    records_dir,
    "train.stages = ('stage1',)",
    system=toy_system(seed=9),
  )
  assert next(looks) < 1e9 - 3600  # somebody looked
  latest = tf.train.latest_checkpoint(os.path.join(run_dir, "stage1"))
  assert os.path.basename(latest) == "ckpt-8"
  whole = _of_stage(trained[1], "stage1")
  assert _equal(_values(whole.variables), _values(resumed.variables))


def test_finished_stage_is_not_trained_again(
  tmp_path, records_dir, trained, monkeypatch
):
  monkeypatch.setattr(loop, "StageLoop", None)  # not even of no steps
  first, run_dir = trained
  configure(tmp_path)
  shutil.copytree(run_dir, tmp_path / "run")
  steps = ("train.evaluate_every = 4",)
  again, _ = _train(tmp_path, "run", records_dir, *steps, system=toy_system(seed=9))
  assert _equal(_values(first.variables), _values(again.variables))


def test_load_system_restores_the_last_stage(tmp_path, trained):
  system, run_dir = trained
  loaded = load_system(run_dir)
  assert loaded.camera.height == SIZE
  assert _equal(_values(system.variables), _values(loaded.variables))
  # As if the clock had been set back by a day between the stages.
  shutil.copytree(run_dir, tmp_path / "run")
  for file in (tmp_path / "run" / "stage2").iterdir():
    os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 86_400))
  again = load_system(str(tmp_path / "run"))
  assert _equal(_values(system.variables), _values(again.variables))


def test_load_system_names_what_is_missing(tmp_path):
  with pytest.raises(UserError, match="not a finished run"):
    load_system(str(tmp_path))


def test_run_folder_of_another_template_is_refused(tmp_path):
  claim_run_dir(str(tmp_path / "run"), toy_template())
  other = toy_template(uv_size=32, name="other")
  with pytest.raises(UserError, match="template toy .* not other"):
    claim_run_dir(str(tmp_path / "run"), other)


def test_a_resumed_run_keeps_up_with_where_landmarks_are_seen(tmp_path):
  """What is evaluated is what is trained on."""
  template = toy_template()
  claim_run_dir(str(tmp_path / "run"), template)
  offsets = np.full([68, 3], 0.01, np.float32)
  measured = dataclasses.replace(template, landmark_offsets=offsets)
  claim_run_dir(str(tmp_path / "run"), measured)
  there = FaceTemplate.load(str(tmp_path / "run" / "template.npz"))
  np.testing.assert_array_equal(there.landmark_offsets, offsets)


def test_non_finite_loss_stops_and_names_the_term(tmp_path, records_dir):
  configure(tmp_path)
  system = toy_system()
  system.mean_albedo.assign(np.full(system.mean_albedo.shape, np.nan))
  claim_run_dir(str(tmp_path / "run"), system.template)
  weights = _values(system.track_net.trainable_variables)
  with pytest.raises(UserError, match="stage1 stopped at step 1: the photometric"):
    train(system, records_dir, str(tmp_path / "run"))
  # The step has spoilt nothing.
  assert _equal(weights, _values(system.track_net.trainable_variables))
  # Nothing that looks finished is left: no configuration.
  assert not os.path.exists(tmp_path / "run" / "config.gin")


def test_stage_without_steps_is_refused(tmp_path):
  configure(tmp_path)
  with pytest.raises(TypeError, match="steps"):
    configured_stage("stage3")


def test_warm_up_leaves_model_net_alone(tmp_path, records_dir):
  configure(tmp_path)
  system = toy_system()
  stage = Stage(
    name="warm_up",
    steps=3,
    learning_rate=1e-3,
    train_track_net=True,
    train_model_net=False,
    train_mean_albedo=False,
    corrections=False,
  )
  weights = LossWeights(smoothness=0.0, blendshape_gradient=0.0)
  trainer = Trainer(system, stage, FaceLoss(toy_template(), SIZE), weights)
  before = _values(system.model_net.variables)
  tracker = _values(system.track_net.trainable_variables)
  data = make_dataset(records_dir, "train", groups_per_batch=1, frames_per_group=2)
  for batch in data.take(3):
    terms = trainer.train_step(batch)
  assert "blendshape_gradient" not in terms
  assert _equal(before, _values(system.model_net.variables))
  assert not _equal(tracker, _values(system.track_net.trainable_variables))


def test_stage_without_batch_statistics_learns_and_holds_them_still(
  tmp_path, records_dir
):
  configure(tmp_path, "train.recalibration_batches = 2", "train.stages = ('stage1',)")
  system = toy_system()
  claim_run_dir(str(tmp_path / "run"), system.template)
  with gin.unlock_config():
    gin.bind_parameter("stage1/Stage.batch_statistics", False)
  before = {v.path: np.array(v) for v in system.variables}
  train(system, records_dir, str(tmp_path / "run"))
  changed = {v.path for v in system.variables if not np.array_equal(before[v.path], v)}
  statistics = {path for path in before if "moving_" in path}
  assert statistics and not changed & statistics
  assert changed >= {v.path for v in system.track_net.trainable_variables}


def test_recalibration_averages_batch_statistics(tmp_path, records_dir):
  configure(tmp_path)
  system = toy_system()
  data = make_dataset(records_dir, "train", groups_per_batch=2, frames_per_group=2)
  batches = list(data.take(3))
  conv, norm = system.model_net.encoder.layers[:2]
  momentum = norm.momentum
  means = [
    np.mean(conv(tf.reshape(b.images, [-1, SIZE, SIZE, 3]) - 0.5), axis=(0, 1, 2))
    for b in batches
  ]
  assert batch_norm.recalibrate(system, batches) == 3
  # float32 means over 4 * 16 * 16 positions.
  np.testing.assert_allclose(norm.moving_mean, np.mean(means, axis=0), atol=1e-5)
  assert norm.momentum == momentum


def test_summaries_can_be_read_back(tmp_path, trained):
  _, run_dir = trained
  configure(tmp_path)
  events = EventAccumulator(
    os.path.join(run_dir, "logs", "stage1"), size_guidance={"tensors": 0}
  )
  events.Reload()
  tags = events.Tags()["tensors"]
  for term in LossWeights._fields[:7]:  # the paper's terms
    assert f"loss/{term}" in tags
    assert f"loss_weighted/{term}" in tags
  assert {"loss/total", "train/learning_rate", "train/gradient_norm"} <= set(tags)
  picture = events.Tensors("input_overlay_shape_albedo_lighting")[-1]
  width, height = picture.tensor_proto.string_val[:2]
  assert (int(width), int(height)) == (5 * SIZE, SIZE)
  assert len(picture.tensor_proto.string_val) == 2 + 2  # the two held-out frames
  assert {"loss", "nme_percent", "coverage_percent"} <= {
    tag.removeprefix("metric/") for tag in tags if tag.startswith("metric/")
  }
  assert {"train/images_per_second", "gradient_norm/shape_decoder"} <= set(tags)
  wait = [tf.make_ndarray(e.tensor_proto) for e in events.Tensors(WAIT)]
  assert all(0 <= share <= 100 for share in wait)
  assert [e.step for e in events.Tensors("metric/loss")] == [4, 8]
  # The best of them is there to be loaded, and says how good it was.
  system = toy_system()
  restore_stage(system, run_dir, "stage1/best")
  with open(os.path.join(run_dir, "stage1", "best", "figures.json")) as file:
    best = json.load(file)
  losses = [tf.make_ndarray(e.tensor_proto) for e in events.Tensors("metric/loss")]
  assert best["loss"] == pytest.approx(min(losses))
  # Heat maps of the corrections, histograms, the mesh and the configuration.
  sheet = events.Tensors("blendshapes/corrections_mm")[-1].tensor_proto.string_val
  assert tf.io.decode_png(sheet[2]).shape[-1] == 3
  histogram = tf.make_ndarray(
    events.Tensors("coefficients/expression")[-1].tensor_proto
  )
  assert histogram[:, 2].sum() == 2 * 3  # frames times blendshapes
  vertices = tf.make_ndarray(events.Tensors("face_VERTEX")[-1].tensor_proto)
  assert vertices.shape == (1, toy_template().num_vertices, 3)
  assert {"face_FACE", "face_COLOR"} <= set(tags)
  text = tf.make_ndarray(events.Tensors("config")[-1].tensor_proto).item().decode()
  assert "stage1/Stage.steps = 8" in text
  raw = tf.make_ndarray(events.Tensors("loss/landmark")[-1].tensor_proto)
  weighted = tf.make_ndarray(events.Tensors("loss_weighted/landmark")[-1].tensor_proto)
  np.testing.assert_allclose(weighted, 0.1 * raw, rtol=1e-6)  # float32


def test_evaluate_run_at_ground_truth_quality(tmp_path, records_dir):
  configure(tmp_path, "build_system.shape_corrections = 'neutral'")
  system = toy_system()
  figures = evaluate_run(system, toy_system(), records_dir)
  # Untrained, both show the template itself, uncorrected.
  assert figures["turned_triangles_percent"] == 0
  assert figures["nme_percent"] == pytest.approx(figures["prior_nme_percent"])
  assert figures["frames_held_out"] == 2
  assert 0 < figures["nme_percent"] < 30
  assert 50 < figures["coverage_percent"] <= 100


def test_gin_gives_a_stage_its_own_crops_and_batches_and_compiling_is_silent(
  records_dir, tmp_path, monkeypatch, capfd
):
  short = ("stage1/Stage.steps = 1", "stage2/Stage.steps = 1")
  own = ("stage1/Jitter.shift = 0.1", "stage1/Stage.groups_per_batch = 3")
  configure(tmp_path, *own, *short)
  shifts, sizes, step = [], [], Trainer.step_fn

  def make(*args, **options):
    shifts.append(Jitter().shift)
    return make_dataset(*args, **options)

  def chattering(self, batch, *stop):
    sizes.append((self.stage.name, batch.images.shape[0]))
    os.write(2, b"Compiled cluster")  # as native code does
    return step(self, batch, *stop)

  monkeypatch.setattr(loop, "make_dataset", make)
  monkeypatch.setattr(Trainer, "step_fn", chattering)
  system = toy_system()
  claim_run_dir(str(tmp_path / "run"), system.template)
  train(system, records_dir, str(tmp_path / "run"))
  assert shifts == [0.1, 0.0]
  assert sizes == [("stage1", 3), ("stage2", 2)]  # each was traced once
  assert "Compiled" not in capfd.readouterr().err
