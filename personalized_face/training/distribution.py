"""Where a training runs: one device, the GPUs of one machine, several machines.

    make_strategy.name = "mirrored" -> tf.distribute -> Trainer.step_fn on each replica

A batch is the same whatever it is spread over: worker i of W takes the i-th part of
every batch's groups, its replicas equal parts of that. Gradients, losses and the
batch statistics of the normalisations are means over all replicas, so that a run's
losses do not depend, but for rounding, on how many there are. The first worker alone
writes checkpoints, logs and the configuration; the others read the run folder, which
they have to see too.
"""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import gin
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import Batch

STRATEGIES = ("none", "one_device", "mirrored", "multi_worker")


@gin.configurable(module="training")
def make_strategy(
  name: str = "none", devices: Sequence[str] = ()
) -> tf.distribute.Strategy | None:
  """The strategy that a configuration asks for; before any other use of TensorFlow.

  Args:
    name: one of STRATEGIES. "none" leaves placement to TensorFlow: one GPU, or the
      CPU. "mirrored" takes all GPUs of this machine. "multi_worker" reads the cluster
      from the environment's TF_CONFIG, as tf.distribute documents it.
    devices: "one_device" and "mirrored" take these, such as ("/gpu:0", "/gpu:1").

  Returns:
    The strategy; None for "none".

  Raises:
    UserError: an unknown name; "multi_worker" without TF_CONFIG.
  """
  if name == "none":
    return None
  if name == "one_device":
    return tf.distribute.OneDeviceStrategy(devices[0] if devices else _first_device())
  if name == "mirrored":
    return tf.distribute.MirroredStrategy(list(devices) or None)
  if name != "multi_worker":
    raise UserError(
      f"make_strategy.name is {name!r}; choose one of {', '.join(STRATEGIES)}."
    )
  try:
    json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"]
  except (KeyError, ValueError, TypeError) as error:
    raise UserError(
      "make_strategy.name = 'multi_worker' needs the cluster in the environment "
      'variable TF_CONFIG: {"cluster": {"worker": ["host:port", ...]}, "task": '
      '{"type": "worker", "index": 0}}, with another index on each worker.'
    ) from error
  return tf.distribute.MultiWorkerMirroredStrategy()


def _first_device() -> str:
  return "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"


def scope(strategy: tf.distribute.Strategy | None) -> AbstractContextManager:
  """Within it variables are made on, and `train` runs on, the strategy's devices."""
  return strategy.scope() if strategy else contextlib.nullcontext()


def num_workers() -> int:
  """Processes that take part under the present scope."""
  resolver = tf.distribute.get_strategy().cluster_resolver
  if resolver is None or not resolver.cluster_spec().jobs:
    return 1
  return sum(map(resolver.cluster_spec().num_tasks, resolver.cluster_spec().jobs))


def writes() -> bool:
  """Whether this process is the one that writes the run folder."""
  if num_workers() == 1:
    return True
  resolver = tf.distribute.get_strategy().cluster_resolver
  has_chief = "chief" in resolver.cluster_spec().jobs
  return resolver.task_type == "chief" or (
    not has_chief and resolver.task_type == "worker" and resolver.task_id == 0
  )


def spread(
  batches: Callable[..., tf.data.Dataset],
  groups_per_batch: int,
  steps: int,
  micro_batches: int = 1,
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
  """Batches for `Trainer.train_step` under the present scope.

  Args:
    batches: makes the dataset of whole batches, or with `shard=(i, W)` of worker i's
      parts of them.
    groups_per_batch: of the whole batch.
    steps: so many batches.
    micro_batches: into so many pieces each replica's part is cut.

  Raises:
    UserError: a batch that cannot be dealt out evenly.
  """
  strategy = tf.distribute.get_strategy()
  replicas = strategy.num_replicas_in_sync
  if groups_per_batch % (replicas * micro_batches):
    raise UserError(
      f"train.groups_per_batch is {groups_per_batch}, which {replicas} replicas with "
      f"train.micro_batches = {micro_batches} cannot share evenly; choose a multiple "
      f"of {replicas * micro_batches}."
    )
  if not tf.distribute.has_strategy():
    return batches().take(steps)

  def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
    shard = (context.input_pipeline_id, context.num_input_pipelines)
    # One element for each replica of this worker, in turn.
    return batches(shard=shard).take(steps).rebatch(groups_per_batch // replicas)

  return strategy.distribute_datasets_from_function(of_worker)


def local(batch: Batch) -> Batch:
  """This worker's part of a batch of `spread`, as plain tensors."""
  if not tf.distribute.has_strategy():
    return batch
  results = tf.distribute.get_strategy().experimental_local_results
  return tf.nest.map_structure(lambda part: tf.concat(results(part), axis=0), batch)
