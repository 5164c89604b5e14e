"""A tracker learns fitted frames, on the toy system."""

import os

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from toy_run import SIZE, configure, toy_system

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.core.types import Batch, PersonModel, Tracking
from personalized_face.data.augment import Jitter
from personalized_face.fitting.frames import Frames
from personalized_face.inference.track import project_landmarks
from personalized_face.pipelines.distillation import (
  STAGE,
  Distillation,
  distill,
  moved_tracking,
  require_run,
)
from personalized_face.rendering.camera import project
from personalized_face.training.checkpoints import load_system

FRAMES = 32
MEASURED = np.arange(2, FRAMES, 4)
LEARNED = np.setdiff1d(np.arange(FRAMES), MEASURED)


@pytest.fixture
def run_dir(tmp_path):
  """An untrained run."""
  configure(tmp_path)
  folder = str(tmp_path / "run")
  os.makedirs(folder)
  system = toy_system()
  system.template.save(f"{folder}/template.npz")
  config.save_operative(f"{folder}/config.gin")
  checkpoint = tf.train.Checkpoint(system=system)
  tf.train.CheckpointManager(checkpoint, f"{folder}/stage1", 1).save(0)
  yield folder
  gin.clear_config()


def motion(count=FRAMES):
  """A head that moves, as pictures show it: [count, ...]."""
  rng = np.random.default_rng(0)
  light = np.zeros([count, 9, 3], np.float32)
  light[:, 0] = 2.5
  light[:, 2] = 0.6
  return Tracking(
    rng.uniform(0, 0.7, [count, 3]).astype(np.float32),
    rng.uniform(-0.15, 0.15, [count, 3]).astype(np.float32),
    (rng.uniform(-0.3, 0.3, [count, 3]) - [0, 0, 10]).astype(np.float32),
    light,
  )


def rendered(system, tracking):
  """Frames of the template in motion, and its person."""
  batch = system.face_model.template_person()
  grouped = Tracking(*(tf.constant(value)[tf.newaxis] for value in tracking))
  image = system.reconstruct(batch, grouped).rendering.image[0]
  crops = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
  person = PersonModel(*(value[0].numpy() for value in batch))
  points = project_landmarks(system, person, tracking)
  labels = np.zeros(crops.shape[:3], np.uint8)
  return Frames(crops, points, labels, np.zeros(len(crops), np.int32)), person


def test_distill_brings_the_tracker_near_the_fit(run_dir, tmp_path):
  tracking, start = motion(), load_system(run_dir)
  frames, person = rendered(start, tracking)
  out = str(tmp_path / "out")
  settings = Distillation(steps=60, learning_rate=2e-3)
  before, after = distill(
    run_dir, out, person, frames, tracking, LEARNED, MEASURED, settings
  )
  # An untrained tracker says frontal and centred; half of the error is gone at least.
  assert after < 0.6 * before
  learned = load_system(out)
  images = frames.images[MEASURED].astype(np.float32) / 255
  errors = [
    np.abs(system.track(images).light - tracking.light[MEASURED]).mean()
    for system in (start, learned)
  ]
  # The light is the same in all frames, and no point shows it.
  assert errors[1] < 0.5 * errors[0], errors
  assert sorted(os.listdir(out)) == ["config.gin", STAGE, "template.npz"]
  pairs = zip(start.model_net.weights, learned.model_net.weights, strict=True)
  for value, other in pairs:
    np.testing.assert_array_equal(value, other)


def test_distill_takes_crops_of_another_size_and_its_own_run(run_dir, tmp_path):
  tracking = motion()
  frames, person = rendered(load_system(run_dir), tracking)
  large = frames._replace(
    images=frames.images.repeat(2, axis=1).repeat(2, axis=2),
    landmarks=frames.landmarks * 2,
  )
  out, settings = str(tmp_path / "out"), Distillation(steps=1)
  ends = [
    distill(run_dir, out, person, given, tracking, LEARNED, MEASURED, settings)
    for given in (frames, large)
  ]
  # INTER_AREA of doubled pixels is the picture itself.
  np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)
  again = distill(out, out, person, frames, tracking, LEARNED, MEASURED, settings)
  assert again.before == pytest.approx(ends[1].after, rel=1e-5)


def test_distillation_exception_raised(run_dir, tmp_path):
  tracking = motion()
  frames, person = rendered(load_system(run_dir), tracking)
  with pytest.raises(UserError, match="15 pictures are too few"):
    distill(
      run_dir,
      str(tmp_path / "out"),
      person,
      frames,
      tracking,
      np.arange(15),
      MEASURED,
      Distillation(),
    )
  require_run(run_dir, toy_template())
  with pytest.raises(UserError, match="not a finished run .it has no template.npz"):
    require_run(str(tmp_path), toy_template())
  other = toy_template(uv_size=8)
  with pytest.raises(UserError, match="is of the template toy .*fit with --template="):
    require_run(run_dir, other)


def test_moved_tracking_is_the_pose_in_the_moved_crop(run_dir):
  """Turned and scaled points are those of the new pose, but for perspective."""
  system = load_system(run_dir)
  vertices = toy_template().vertices[np.newaxis, np.newaxis]

  def projected(tracking):
    grouped = Tracking(*(value[tf.newaxis] for value in tracking))
    shape = tf.repeat(tf.constant(vertices), len(tracking.rotation), axis=1)
    return project(system.camera_vertices(shape, grouped), system.camera)[0]

  tracking = Tracking(*(tf.constant(value) for value in motion(6)))
  # On the line of sight, so that what is left out, the place across it, stays.
  tracking = tracking._replace(translation=tracking.translation * [0.0, 0.0, 1.0])
  points, blank = projected(tracking), tf.zeros([6, SIZE, SIZE])
  batch = Batch(blank[..., tf.newaxis], points, tf.cast(blank, tf.int32))
  jitter, numbers = Jitter(shift=0.0, log_scale=0.05, degrees=10.0), [0, 1]
  moved = jitter.apply(batch, numbers).landmarks
  assert np.abs(moved - points).max() > 1
  found = projected(moved_tracking(tracking, jitter, numbers, system.camera))
  # The head's depth of 1 dm at 10 dm is not scaled along: 5 % of a tenth of 16 pixels.
  np.testing.assert_allclose(found, moved, atol=0.1)
