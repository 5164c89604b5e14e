"""`Trainer`: one stage's step, step_fn < train_step, and what it trains.

batch -> system -> Outputs -> FaceLoss -> gradients -> Adam
"""

import re

import tensorflow as tf

from personalized_face.core.types import Batch, Outputs, Tensor
from personalized_face.losses.total import FaceLoss, LossWeights
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
  ):
    self.system = system
    self.stage = stage
    self.weights = weights
    self.face_loss = face_loss
    self.variables = stage.variables(system)
    self._values = [variable.value for variable in self.variables]  # for the tape
    self.optimizer = stage.optimizer()
    self.optimizer.build(self.variables)
    self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
    self.train_step = tf.function(self._train_step)

  def step_fn(self, batch: Batch) -> dict[str, Tensor]:
    """One step on one replica: forward, loss, gradients, update.

    Returns:
      Raw terms by name, plus "total", "gradient_norm" and "expression_sum"; scalars.

    Raises:
      tf.errors.InvalidArgumentError: a term or the gradient is not finite. Nothing has
        been updated then; `non_finite_term` gives its name.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(self._values)
      outputs = self.forward(batch.images, training=True)
      total, terms = self.face_loss(outputs, batch, self.weights)
    gradients = tape.gradient(total, self._values)
    norm = tf.linalg.global_norm(gradients)
    # On the device: no wait of the host. Before the update: the weights stay sound.
    checked = [
      tf.debugging.check_numerics(value, _MARK + name) for name, value in terms.items()
    ]
    with tf.control_dependencies(checked):  # a bad term also makes a bad gradient
      checked = [tf.debugging.check_numerics(norm, _MARK + "gradient")]
    with tf.control_dependencies(checked):
      self.optimizer.apply(gradients, self.variables)
      self.step.assign_add(1)
    return {
      **terms,
      "total": total,
      "gradient_norm": norm,
      "expression_sum": tf.reduce_mean(
        tf.reduce_sum(outputs.tracking.expression, axis=-1)
      ),
    }

  def _train_step(self, batch: Batch) -> dict[str, Tensor]:
    return self.step_fn(batch)

  def forward(self, images: Tensor, training: bool = False) -> Outputs:
    """The system as this stage runs it, [B, N, H, W, 3] to Outputs."""
    live = training and self.stage.batch_statistics
    return self.system(
      images,
      train_track_net=live and self.stage.train_track_net,
      train_model_net=live and self.stage.train_model_net,
      corrections=self.stage.corrections,
    )
