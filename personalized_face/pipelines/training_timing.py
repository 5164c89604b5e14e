"""Where the time of a training step goes: networks, decode, render, losses, data.

Each part is timed by itself, forward and backward, on the same batch; beside them the
whole step, which is less than their sum where TensorFlow overlaps them. With records,
steps are also fed by them, as in training, and what they wait for data is measured.
"""

import contextlib
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from personalized_face import config, native_logs
from personalized_face.core.types import Batch, Outputs, Tensor
from personalized_face.data.dataset import make_dataset
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.pipelines.step_trace import TRACED_STEP, traced_wait_percent
from personalized_face.pipelines.training import training_template
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.training.stages import configured_stage
from personalized_face.training.step_clock import StepClock
from personalized_face.training.trainer import Trainer

# Rows of the table.
_FED_STEP = "step, fed by the records"
_WAIT = "data (waited for in such a step)"


class Timing(NamedTuple):
  """Milliseconds of one part, the median of the repetitions."""

  name: str
  forward: float
  both: float  # forward and backward; equal to forward where nothing is differentiated


def time_step(
  gin_files: Sequence[str],
  gin_params: Sequence[str] = (),
  template_name: str = "default",
  groups: int = 1,
  frames: int = 4,
  repeats: int = 5,
  records_dir: str | None = None,
  trace_dir: str | None = None,
) -> list[Timing]:
  """Times a configuration's step of stage 1 and its parts.

  Args:
    gin_files, gin_params: the configuration.
    template_name: "default" or a path.
    groups, frames: B and N of the batch.
    repeats: of each part, after one that compiles it.
    records_dir: records to time the input with; None leaves it out.
    trace_dir: gets TensorFlow's profile of the steps that these records feed.

  Returns:
    The whole step first, then its parts.
  """
  config.parse(gin_files, gin_params)
  config.make_deterministic()
  native_logs.start_xla()
  template = training_template(template_name)
  system = build_system(template)
  stage, weights = configured_stage("stage1")
  size = system.camera.height
  face_loss = FaceLoss(template, size, camera=system.camera)
  trainer = Trainer(system, stage, face_loss, weights)
  batch = _batch(groups, frames, size, system)
  found = [_measure("step", lambda: trainer.train_step(batch)["total"], repeats)]
  found += _network_timings(system, batch, repeats)
  outputs = tf.function(system, autograph=False)(batch.images, training=True)
  outputs = tf.nest.map_structure(tf.constant, outputs)
  found += _geometry_timings(system, outputs, repeats)
  for name, weight in weights._asdict().items():
    if name != "light_gamma" and weight:
      found.append(_loss_timing(face_loss, name, outputs, batch, repeats))
  if records_dir is not None:
    with gin.config_scope("stage1"):
      data = iter(
        make_dataset(records_dir, groups_per_batch=groups, frames_per_group=frames)
      )
    found.append(_measure("data", lambda: next(data), 4 * repeats))
    found += _fed_steps(trainer, data, 4 * repeats, trace_dir)
  return found


def _fed_steps(
  trainer: Trainer, data: Iterator[Batch], steps: int, trace_dir: str | None
) -> list[Timing]:
  """Steps on batches as they come, and what of their time is waiting for these."""
  clock = StepClock()
  batches = clock.watch(data)
  # Until what lay ready while other things were timed is used up.
  for _ in range(3):
    float(trainer.train_step(next(batches))["total"])
  clock.read(1)
  with _profile(trace_dir):
    for step in range(steps):
      with tf.profiler.experimental.Trace(TRACED_STEP, step_num=step, _r=1):
        terms = trainer.train_step(next(batches))
    float(terms["total"])  # a device may still be at work
    figures = clock.read(images_per_step=1)
  step = 1000 / figures["images_per_second"]
  waited = step * figures["input_wait_percent"] / 100
  return [
    Timing(_FED_STEP, step, step),
    Timing(_WAIT, waited, waited),
  ]


def _profile(folder: str | None) -> contextlib.AbstractContextManager:
  """TensorFlow's profiler into a folder, if there is one."""
  if folder is None:
    return contextlib.nullcontext()
  return tf.profiler.experimental.Profile(folder)


def _batch(groups: int, frames: int, size: int, system: PersonalizedFace) -> Batch:
  """A batch of noise in which the face is where an untrained tracker puts it."""
  random = np.random.default_rng(0)
  images = tf.constant(random.uniform(size=[groups, frames, size, size, 3]), tf.float32)
  rendering = system.reconstruct_prior(system.track_groups(images)).rendering
  return Batch(
    images=images,
    landmarks=tf.constant(random.uniform(0, size, [groups, frames, 68, 2]), tf.float32),
    parsing=tf.argmax(rendering.parsing, axis=-1, output_type=tf.int32),
  )


def _network_timings(
  system: PersonalizedFace, batch: Batch, repeats: int
) -> list[Timing]:
  def of(name: str, call: Callable[[], list[Tensor]], variables: list) -> Timing:
    return _both(name, call, [v.value for v in variables], repeats)

  flat = tf.reshape(batch.images, [-1, *batch.images.shape[2:]])
  return [
    of(
      "TrackNet",
      lambda: [system.track_net(flat, training=True)],
      system.track_net.trainable_variables,
    ),
    of(
      "ModelNet",
      lambda: list(system.model_net(batch.images, training=True)),
      system.model_net.trainable_variables,
    ),
  ]


def _geometry_timings(
  system: PersonalizedFace, outputs: Outputs, repeats: int
) -> list[Timing]:
  """Eq. 1 and 2 ("decode") and the renderer, each from fixed inputs."""
  person, tracking = outputs.person, outputs.tracking

  def decode(person, tracking):
    neutral, blendshapes = system.face_model.vertex_offsets(person)
    geometry = system.face_model.geometry(neutral, blendshapes)
    vertices = system.face_model.shape(geometry, tracking.expression)
    albedo = system.face_model.albedo(person, tracking.expression)
    return [system.camera_vertices(vertices, tracking), albedo]

  camera_vertices = system.camera_vertices(outputs.mesh.vertices, tracking)
  inputs = [camera_vertices, outputs.mesh.albedo, tracking.light]
  render = tf.function(lambda *x: [*system.renderer(*x)], autograph=False)

  def of(name, call, sources):
    return _both(name, call, sources, repeats)

  leaves = tf.nest.flatten((person, tracking))
  return [
    of("decode", lambda: decode(person, tracking), leaves),
    of("render", lambda: render(*inputs), inputs),
  ]


def _loss_timing(
  face_loss: FaceLoss, name: str, outputs: Outputs, batch: Batch, repeats: int
) -> Timing:
  """One term, from fixed outputs."""
  alone = LossWeights(**dict.fromkeys(LossWeights._fields, 0.0))
  alone = alone._replace(**{name: 1.0, "light_gamma": 1.0})
  sources = [leaf for leaf in tf.nest.flatten(outputs) if leaf.dtype.is_floating]

  def call():
    return [face_loss(outputs, batch, alone)[0]]

  return _both(f"loss: {name}", call, sources, repeats)


def _both(
  name: str, call: Callable[[], list[Tensor]], sources: list, repeats: int
) -> Timing:
  @tf.function(autograph=False)
  def forward():
    # A sum, so that nothing is left out as unused.
    return tf.add_n([tf.reduce_sum(value) for value in call()])

  @tf.function(autograph=False)
  def both():
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(sources)
      value = tf.add_n([tf.reduce_sum(value) for value in call()])
    found = [g for g in tape.gradient(value, sources) if g is not None]
    return [value, *found]

  return Timing(name, _median(forward, repeats), _median(both, repeats))


def _measure(name: str, call: Callable[[], object], repeats: int) -> Timing:
  milliseconds = _median(call, repeats)
  return Timing(name, milliseconds, milliseconds)


def _median(call: Callable[[], object], repeats: int) -> float:
  call()
  taken = []
  for _ in range(repeats):
    start = time.perf_counter()
    call()
    taken.append(time.perf_counter() - start)
  return 1000 * float(np.median(taken))


def markdown(timings: Sequence[Timing]) -> str:
  """The timings as a table, with each part's share of the step."""
  step = timings[0].both
  lines = [
    "| part | forward ms | with gradient ms | of the step |",
    "|---|---|---|---|",
  ]
  for name, forward, both in timings:
    lines.append(f"| {name} | {forward:.1f} | {both:.1f} | {100 * both / step:.0f} % |")
  return "\n".join(lines) + "\n"


def figures(
  timings: Sequence[Timing], groups: int, frames: int, trace_dir: str | None = None
) -> dict:
  """What there is to keep of a measurement, as JSON can hold it.

  Args:
    timings, groups, frames, trace_dir: of `time_step`.

  Returns:
    "PART_forward_ms" and "PART_ms" (with gradients) of each part, the sizes, the peak
    memory of this process so far (MiB, TensorFlow included) and, where records fed
    steps, the share of these steps that is waiting for data, by the clock and by the
    profile.

  Raises:
    UserError: there is no profile in `trace_dir`.
  """
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: of KiB
  found = {
    "groups": groups,
    "frames": frames,
    "peak_memory_mib": round(peak, 1),
  }
  for name, forward, both in timings:
    key = re.sub(r"\W+", "_", name.lower()).strip("_")
    found |= {f"{key}_forward_ms": round(forward, 3), f"{key}_ms": round(both, 3)}
  by_name = {timing.name: timing.both for timing in timings}
  if _FED_STEP in by_name:
    found["input_wait_percent"] = 100 * by_name[_WAIT] / by_name[_FED_STEP]
    if trace_dir is not None:
      found["input_wait_percent_of_profile"] = traced_wait_percent(trace_dir)
  return found


def describe(found: dict) -> str:
  """The `figures` that are not in the table, for the screen."""
  lines = [
    f"{found['groups']} groups of {found['frames']} frames; peak memory "
    f"{found['peak_memory_mib']:.0f} MiB"
  ]
  for name, source in (("", "the clock"), ("_of_profile", "the profile")):
    if f"input_wait_percent{name}" in found:
      share = found[f"input_wait_percent{name}"]
      lines.append(f"By {source}, {share:.2f} % of a fed step is waiting for data.")
  return "\n".join(lines)
