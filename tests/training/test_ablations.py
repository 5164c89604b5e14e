"""The rows of Table 1 differ in what the paper says, and in nothing else."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from toy_run import SIZE, toy_system

from personalized_face import config
from personalized_face.core.types import Batch
from personalized_face.losses.total import FaceLoss
from personalized_face.training.stages import configured_stage

TOY = [
  "build_system.image_size = 32",
  "build_system.model_net_width = 0.125",
  "build_system.track_net_width = 0.125",
  "build_system.track_net_hidden = 16",
  "build_system.jit_compile_renderer = False",
]

# Row: corrected neutral, blendshapes, static albedo, dynamic albedo, parsing, L_bg.
ROWS = {
  "ablation_a": (0, 0, 0, 0, 0, 0),
  "ablation_b": (1, 1, 0, 0, 0, 0),
  "ablation_c": (1, 1, 1, 1, 0, 0),
  "ablation_d": (1, 1, 1, 1, 1, 0),
  "stage2": (1, 1, 1, 1, 1, 1),
  "identity_only": (1, 0, 1, 0, 1, 1),
}


@pytest.mark.parametrize("name", ROWS)
def test_row_of_table_1(name):
  config.parse([f"papers/personalized_face/{name}.gin"], TOY)
  system = toy_system()
  net = system.model_net
  heads = (
    net.shape_neutral,
    net.shape_blendshapes,
    net.albedo_neutral,
    net.albedo_blendshapes,
  )
  for head in heads:  # as if training had moved them
    head.bias.assign(np.ones(head.bias.shape))
  stage, weights = configured_stage("stage1")
  rng = np.random.default_rng(0)
  batch = Batch(
    images=tf.constant(rng.uniform(size=[1, 2, SIZE, SIZE, 3]), tf.float32),
    landmarks=tf.constant(rng.uniform(0, SIZE, [1, 2, 68, 2]), tf.float32),
    parsing=tf.zeros([1, 2, SIZE, SIZE], tf.int32),
  )
  outputs = system(batch.images, corrections=stage.corrections)
  _, terms = FaceLoss(toy_template(), SIZE)(outputs, batch, weights)
  found = (
    np.any(outputs.neutral_offsets),
    np.any(outputs.blendshape_offsets),
    np.any(outputs.person.static_albedo != toy_template().mean_albedo),
    np.any(outputs.person.dynamic_albedo),
    "parsing" in terms,
    "blendshape_gradient" in terms,
  )
  assert tuple(map(int, found)) == ROWS[name]
  # In every row, and with the paper's weight.
  assert {"photometric", "image_gradient", "landmark", "regularization"} <= set(terms)
  assert weights.image_gradient == weights.photometric == 200
  learns_albedo = any(v is system.mean_albedo for v in stage.variables(system))
  assert learns_albedo == bool(ROWS[name][2])


def test_later_stages_hold_the_tracker_still():
  for name in set(ROWS) - {"ablation_a"}:
    config.parse([f"papers/personalized_face/{name}.gin"], TOY)
    stage, weights = configured_stage("stage2")
    assert not stage.train_track_net and stage.train_model_net
    assert weights.regularization == 0
    gin.clear_config()
