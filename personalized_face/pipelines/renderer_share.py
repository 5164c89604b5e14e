"""The renderer's share of a training step at the paper's sizes.

The step is `Trainer.train_step` of stage 1: both networks, renderer, losses, gradients
and Adam. The rendering is the same `RendererLayer` on the same number of frames, with
the gradients to all it takes. The two take turns; a share is the ratio of medians.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.core.types import Batch, Tracking
from personalized_face.losses.total import FaceLoss
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.training.stages import configured_stage
from personalized_face.training.trainer import Trainer

_STAGE = "stage1"


def measure_share(
  template: str = "default",
  gin_file: str = "papers/personalized_face/stage1.gin",
  gin_params: tuple[str, ...] = (),
  frames: int = 4,
  rounds: int = 5,
) -> dict[str, float]:
  """Times the training step of one group of frames, and the rendering in it.

  Args:
    template: "default" or a path.
    gin_file, gin_params: the configuration; the stage is "stage1".
    frames: N, of one person.
    rounds: how often, after the first time.

  Returns:
    `training_step_ms`, `rendering_ms`, of all frames, and `rendering_share` in [0, 1].
  """
  config.parse([gin_file], gin_params)
  system = build_system(load_template(template))
  camera = system.camera
  stage, weights = configured_stage(_STAGE)
  loss = FaceLoss(system.template, camera.height, camera=camera)
  trainer = Trainer(system, stage, loss, weights)
  batch = _batch(system, frames)
  contenders = {
    "training_step": lambda: trainer.train_step(batch),
    "rendering": _rendering(system, frames),
  }
  for run in contenders.values():  # traces and compiles
    run()
  times = {name: [] for name in contenders}
  for _ in range(rounds):
    for name, run in contenders.items():
      begin = time.perf_counter()
      run()
      tf.test.experimental.sync_devices()
      times[name].append(1e3 * (time.perf_counter() - begin))
  step, rendering = (statistics.median(times[name]) for name in contenders)
  return {
    "training_step_ms": step,
    "rendering_ms": rendering,
    "rendering_share": rendering / step,
  }


def describe(figures: dict[str, float]) -> str:
  """The figures of `measure_share` as a sentence."""
  return (
    f"A training step takes {figures['training_step_ms']:.0f} ms, the rendering in it "
    f"{figures['rendering_ms']:.0f} ms: {100 * figures['rendering_share']:.1f} %."
  )


def _batch(system: PersonalizedFace, frames: int) -> Batch:
  """Noise: the work does not depend on what the pictures show."""
  rng = np.random.default_rng(0)
  size = system.camera.height
  landmarks = [1, frames, len(system.template.landmark_vertices), 2]
  return Batch(
    images=tf.constant(rng.uniform(size=[1, frames, size, size, 3]), tf.float32),
    landmarks=tf.constant(rng.uniform(0, size, landmarks), tf.float32),
    parsing=tf.constant(rng.integers(0, 2, [1, frames, size, size]), tf.int32),
  )


def _rendering(system: PersonalizedFace, frames: int) -> Callable[[], object]:
  """The renderer on a posed template, and the gradients to all that it takes."""
  template = system.template
  rng = np.random.default_rng(0)
  light = np.zeros([1, frames, 9, 3])
  light[:, :, 0] = 2.5  # an irradiance of about 0.7
  tracking = Tracking(
    expression=np.zeros([1, frames, template.num_blendshapes]),
    rotation=rng.uniform(-0.2, 0.2, [1, frames, 3]),
    translation=np.tile([0.0, 0.0, -10.0], [1, frames, 1]),
    light=light,
  )
  tracking = Tracking(*(tf.constant(value, tf.float32) for value in tracking))
  vertices = tf.tile(
    tf.constant(template.vertices, tf.float32)[tf.newaxis, tf.newaxis],
    [1, frames, 1, 1],
  )
  maps = tf.tile(
    tf.constant(template.mean_albedo, tf.float32)[tf.newaxis, tf.newaxis],
    [1, frames, 1, 1, 1],
  )
  inputs = [system.camera_vertices(vertices, tracking), maps, tracking.light]

  @tf.function
  def step(inputs):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      rendering = system.renderer(*inputs)
      # As the losses do: no field without a gradient but what has none.
      loss = tf.reduce_sum(rendering.image**2) + tf.reduce_sum(rendering.parsing**2)
    return tape.gradient(loss, inputs)

  return lambda: step(inputs)
