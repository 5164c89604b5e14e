"""`Trainer`: one stage's step, step_fn < train_step, and what it trains.

batch -> system -> Outputs -> FaceLoss -> gradients -> Adam
"""

import contextlib
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from personalized_face.core.types import Batch, Outputs, Tensor
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.metrics.pictures import SKIN_CLASSES
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.stages import Stage

# How an error of the step says which value is not finite; see `non_finite_term`.
_MARK = "not finite: "


def non_finite_term(error: tf.errors.InvalidArgumentError) -> str | None:
  """The loss term (or "gradient") that stopped a step; None for another error."""
  found = re.search(_MARK + r"(\w+)", str(error))
  return found[1] if found else None


class Trainer:
  """Trains a system's variables for one stage.

  Attributes:
    system, stage, weights: what, how and for what.
    optimizer: the stage's own Adam.
    step: int64 variable, optimizer steps done in this stage.
  """

  def __init__(
    self,
    system: PersonalizedFace,
    stage: Stage,
    face_loss: FaceLoss,
    weights: LossWeights,
    micro_batches: int = 1,
  ):
    """Builds the optimizer, under the strategy of the present scope if there is one.

    Args:
      system, stage, face_loss, weights: what, how and for what.
      micro_batches: a replica's part of a batch goes through the networks in so many
        equal pieces, one after the other, and their gradients are averaged: a batch
        that memory would not hold at once. Batch statistics are then the pieces'.
    """
    self.system = system
    self.stage = stage
    self.weights = weights
    self.face_loss = face_loss
    self._micro_batches = micro_batches
    self._strategy = tf.distribute.get_strategy()
    self.variables = stage.variables(system)
    self._values = [variable.value for variable in self.variables]  # for the tape
    self.optimizer = stage.optimizer(system)
    self.optimizer.build(self.variables)
    self.step = tf.Variable(
      0,
      dtype=tf.int64,
      trainable=False,
      name="step",
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
    # No `if` or loop over tensors in it: a trace is seconds quicker without autograph.
    self.train_step = tf.function(self._train_step, autograph=False)
    # A warm-up led by the landmarks alone draws nothing; then nothing is to be counted.
    drawing = (weights.photometric, weights.image_gradient, weights.parsing)
    self._draws = any(tf.is_tensor(weight) or weight != 0 for weight in drawing)

  def step_fn(self, batch: Batch, stop: Tensor | None = None) -> dict[str, Tensor]:
    """One step on one replica: forward, loss, gradients, update.

    Args:
      batch: the replica's part of the batch.
      stop: scalar, whether this worker was told to stop; averaged like the terms.

    Returns:
      Raw terms by name, plus "total", "gradient_norm", "gradient_norm/<module>",
      "expression_sum" and, where a term draws the face, "coverage_percent" (of the
      parsed skin); scalars, means over the whole batch.

    Raises:
      tf.errors.InvalidArgumentError: a term or the gradient is not finite. Nothing has
        been updated then; `non_finite_term` gives its name.
    """
    values, gradients = self._gradients(batch)
    if stop is not None:
      values["stop"] = tf.identity(stop)  # on the replica's device
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
      # Before clipping and checks: every replica decides alike.
      values, gradients = context.all_reduce(
        tf.distribute.ReduceOp.MEAN, (values, gradients)
      )
    norm = tf.linalg.global_norm(gradients)
    # On the device: no wait of the host. Before the update: the weights stay sound.
    checked = [
      tf.debugging.check_numerics(value, _MARK + name)
      for name, value in values.items()
      if name in self.weights._fields
    ]
    with tf.control_dependencies(checked):  # a bad term also makes a bad gradient
      checked = [tf.debugging.check_numerics(norm, _MARK + "gradient")]
    with tf.control_dependencies(checked):
      self.optimizer.apply(gradients, self.variables)
      self.step.assign_add(1)
    return {**values, "gradient_norm": norm, **self.module_norms(gradients)}

  def gradients(self, batch: Batch) -> tuple[Outputs, dict[str, Tensor], list[Tensor]]:
    """One forward and backward pass, without update.

    Returns:
      The outputs, the raw terms with "total", and a gradient for each of `variables`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(self._values)
      outputs = self.forward(batch.images, training=True)
      total, terms = self.face_loss(outputs, batch, self.weights)
      scale = self.stage.loss_scale
      scaled = total if scale is None else scale * total
    gradients = tape.gradient(scaled, self._values)
    if scale is not None:
      gradients = [gradient / scale for gradient in gradients]
    return outputs, {**terms, "total": total}, gradients

  def _train_step(self, batch: Batch, stop: Tensor | None = None) -> dict[str, Tensor]:
    if not tf.distribute.has_strategy():
      return self.step_fn(batch, stop)
    results = self._strategy.run(self.step_fn, args=(batch, stop))
    # They are means over all replicas already, so that each holds the same.
    return {
      name: self._strategy.experimental_local_results(value)[0]
      for name, value in results.items()
    }

  def _gradients(self, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Means over the micro-batches of what is logged, and of the gradients."""
    if self._micro_batches == 1:
      return self._values_and_gradients(batch)
    parts = [tf.split(field, self._micro_batches) for field in tf.nest.flatten(batch)]
    pieces = [
      tf.nest.pack_sequence_as(batch, fields) for fields in zip(*parts, strict=True)
    ]
    sums = self._values_and_gradients(pieces[0])
    # A loop rather than a sum of copies of the graph: one piece is in memory at a time.
    with tf.control_dependencies(sums[1]):
      sums = tf.foldl(
        lambda sums, piece: tf.nest.map_structure(
          tf.add, sums, self._values_and_gradients(piece)
        ),
        tf.nest.map_structure(lambda *fields: tf.stack(fields), *pieces[1:]),
        sums,
        parallel_iterations=1,
      )
    return tf.nest.map_structure(lambda value: value / self._micro_batches, sums)

  def _values_and_gradients(
    self, batch: Batch
  ) -> tuple[dict[str, Tensor], list[Tensor]]:
    outputs, values, gradients = self.gradients(batch)
    expression = outputs.tracking.expression
    values["expression_sum"] = tf.reduce_mean(tf.reduce_sum(expression, axis=-1))
    if self._draws:
      values["coverage_percent"] = _coverage_percent(
        outputs.rendering.mask, batch.parsing
      )
    return values, gradients

  def module_norms(self, gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """The norm of each module's gradient, "gradient_norm/<module>"."""
    of = {id(v): g for v, g in zip(self.variables, gradients, strict=True)}
    return {
      f"gradient_norm/{name}": tf.linalg.global_norm([of[id(v)] for v in variables])
      for name, variables in _modules(self.system).items()
      if id(variables[0]) in of
    }

  @contextlib.contextmanager
  def averaged_weights(self) -> Iterator[None]:
    """Within, the system has the moving averages of its weights, if the stage has."""
    if self.stage.ema_momentum is None:
      yield
      return
    values = [tf.identity(value) for value in self._values]
    self.take_averages()
    try:
      yield
    finally:
      for variable, value in zip(self.variables, values, strict=True):
        variable.assign(value)

  def take_averages(self) -> None:
    """Replaces what the stage trains by its moving averages, if the stage has any."""
    if self.stage.ema_momentum is not None:
      self.optimizer.finalize_variable_values(self.variables)

  def forward(self, images: Tensor, training: bool = False) -> Outputs:
    """The system as this stage runs it, [B, N, H, W, 3] to Outputs."""
    live = training and self.stage.batch_statistics
    return self.system(
      images,
      train_track_net=live and self.stage.train_track_net,
      train_model_net=live and self.stage.train_model_net,
      corrections=self.stage.corrections,
    )


def _modules(system: PersonalizedFace) -> dict[str, list]:
  """The trainable variables by the parts of the paper's Fig. 1."""
  net = system.model_net

  def of(*layers):
    return [v for layer in layers for v in layer.trainable_variables]

  return {
    "track_net": of(system.track_net),
    "model_net_encoder": of(net.encoder),
    "shape_decoder": of(net.shape_decoder, net.shape_neutral, net.shape_blendshapes),
    "albedo_decoder": of(
      net.albedo_decoder, net.albedo_neutral, net.albedo_blendshapes
    ),
    "mean_albedo": [system.mean_albedo],
  }


def _coverage_percent(mask: Tensor, labels: Tensor) -> Tensor:
  """metrics.pictures.coverage_percent inside a graph; the mean over the pictures."""
  skin = tf.reduce_any(labels[..., tf.newaxis] == tf.constant(SKIN_CLASSES), axis=-1)
  covered = tf.logical_and(skin, mask != 0)
  counts = [tf.reduce_sum(tf.cast(m, tf.float32), [-2, -1]) for m in (covered, skin)]
  return 100.0 * tf.reduce_mean(tf.math.divide_no_nan(*counts))
