"""A toy system, and records of the toy template in motion that it can be trained on."""

import os

import gin
import keras
import numpy as np
import tensorflow as tf
from helpers import toy_template

from personalized_face import config
from personalized_face.core.types import Tracking
from personalized_face.data import record_format, records
from personalized_face.systems.personalized_face import PersonalizedFace, build_system

SIZE = 32  # pixels of a crop
FRAMES = 24

CONFIG = """
build_system.image_size = 32
build_system.model_net_width = 0.125
build_system.track_net_width = 0.125
build_system.track_net_hidden = 16
train.stages = ("stage1", "stage2")
train.groups_per_batch = 2
train.frames_per_group = 2
train.log_every = 5
train.pictures_every = 1000
train.checkpoint_every = 4
train.recalibration_batches = 0
stage1/Stage.steps = 8
stage1/Stage.learning_rate = 1e-3
stage1/Stage.train_track_net = True
stage1/Stage.train_model_net = True
stage1/Stage.train_mean_albedo = True
stage2/Stage.steps = 4
stage2/Stage.learning_rate = 1e-3
stage2/Stage.train_track_net = False
stage2/Stage.train_model_net = True
stage2/Stage.train_mean_albedo = False
stage2/LossWeights.regularization = 0.0
"""


def configure(tmp_path, *params: str) -> None:
  """Parses CONFIG and then single values."""
  path = tmp_path / "toy.gin"
  path.write_text(CONFIG)
  config.parse([str(path)], params)


def toy_system(seed: int = 1) -> PersonalizedFace:
  """Networks of an eighth of the width; the configured corrections."""
  keras.utils.set_random_seed(seed)
  return build_system(toy_template())


def write_toy_records(folder: str, seed: int = 0) -> str:
  """Renders the toy face in motion and writes it as records; one person, one clip."""
  generator = np.random.default_rng(seed)
  with gin.unlock_config():
    system = build_system(
      toy_template(), image_size=SIZE, model_net_width=0.125, track_net_width=0.125
    )
  light = np.zeros([FRAMES, 9, 3], np.float32)
  light[:, 0] = 2.5  # irradiance .7
  light[:, 2] = 0.6  # y_1,0: brighter towards the camera
  tracking = Tracking(
    expression=generator.uniform(0, 0.7, [FRAMES, 3]),
    rotation=generator.uniform(-0.15, 0.15, [FRAMES, 3]),
    translation=generator.uniform(-0.1, 0.1, [FRAMES, 3]) - [0, 0, 10],
    light=light,
  )
  tracking = Tracking(*(tf.constant(v[None], tf.float32) for v in tracking))
  outputs = system.reconstruct_prior(tracking)
  images = np.clip(outputs.rendering.image[0], 0, 1) * 255
  labels = np.argmax(outputs.rendering.parsing[0], axis=-1)
  clip = record_format.ClipFrames(
    person="toy",
    clip="toy",
    source="toy.mp4",
    frame_height=SIZE,
    frame_width=SIZE,
    indices=np.arange(FRAMES),
    times=np.arange(FRAMES, dtype=np.float32) / 10,
    images=[record_format.encode_image(i.astype(np.uint8)) for i in images],
    parsing=[record_format.encode_labels(i.astype(np.uint8)) for i in labels],
    landmarks=np.asarray(outputs.landmarks[0]),
    boxes=np.tile(np.array([2, 2, 30, 30], np.float32), [FRAMES, 1]),
    squares=np.tile(np.array([0, 0, SIZE], np.float32), [FRAMES, 1]),
  )
  os.makedirs(folder)
  writer = records.RecordsWriter(folder, "toy", 1)
  held_out = records.held_out_frames(FRAMES)
  writer.write("train", clip.take(np.setdiff1d(np.arange(FRAMES), held_out)))
  writer.write("test", clip.take(held_out))
  info = {
    "name": "toy",
    "format_version": record_format.FORMAT_VERSION,
    "num_shards": 1,
    "splits": writer.close(),
    "split_by": "frames",
    "preparation": {"size": SIZE},
  }
  records.write_json(os.path.join(folder, "dataset_info.json"), info)
  return folder
