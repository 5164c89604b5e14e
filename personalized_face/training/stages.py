"""What one stage of training does: which networks learn, how long, how fast.

The paper trains in two stages (Section 4): stage 1 everything, stage 2 ModelNet alone
under a fixed TrackNet. Training from scratch on one clip puts a warm-up before them.
gin gives each stage its values under its name as a scope: `stage1/Stage.steps = ...`.
"""

import dataclasses
from collections.abc import Sequence

import gin
import keras
import tensorflow as tf

from personalized_face.losses.total import LossWeights
from personalized_face.systems.personalized_face import PersonalizedFace


@gin.configurable(module="training")
@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage. No default where a forgotten value would train the wrong thing.

  Attributes:
    name: of its checkpoint folder and its gin scope.
    steps: optimizer steps.
    learning_rate: Adam's, at the start.
    train_track_net, train_model_net, train_mean_albedo: what learns. The others are
      held still bit for bit, batch-norm statistics included.
    batch_statistics: True normalises by each batch, as usual. False holds the
      statistics still while the weights go on learning: what is trained is then what
      will be used, without the noise of a batch of a few frames.
    corrections: False shows the template in place of ModelNet's corrections.
    final_learning_rate: at the last step, by a cosine; None keeps it constant.
    warm_up_steps: over which the learning rate first rises from 0, in a line.
    gradient_clip_norm: global norm the gradient is cut to; None leaves it.
    ema_momentum: the stage ends with, and is evaluated by, the exponential moving
      average of what it trains, with this momentum per step, such as 0.999; None takes
      the last values.
    track_net_share: TrackNet's learning rate as a share of the others'. A tracker that
      knows its work already unlearns it at the rate that ModelNet begins with.
    groups_per_batch: B of this stage; None: of the training.
    loss_scale: the loss is multiplied by it before, and the gradient divided by it
      after differentiation, so that float16 does not lose small gradients; None for
      float32 and bfloat16. A power of 2, such as 1024.
  """

  name: str
  steps: int
  learning_rate: float
  train_track_net: bool
  train_model_net: bool
  train_mean_albedo: bool
  batch_statistics: bool = True
  corrections: bool = True
  final_learning_rate: float | None = None
  warm_up_steps: int = 0
  gradient_clip_norm: float | None = None
  ema_momentum: float | None = None
  track_net_share: float = 1.0
  groups_per_batch: int | None = None
  loss_scale: float | None = None

  def variables(self, system: PersonalizedFace) -> list[tf.Variable]:
    """The variables this stage trains, in a fixed order."""
    found = []
    if self.train_track_net:
      found += system.track_net.trainable_variables
    if self.train_model_net:
      found += system.model_net.trainable_variables
    if self.train_mean_albedo:
      found.append(system.mean_albedo)
    return found

  def optimizer(self, system: PersonalizedFace) -> keras.optimizers.Optimizer:
    """Adam, as the paper, for `variables` in their order."""
    shares = [1.0] * len(self.variables(system))
    if self.train_track_net:
      count = len(system.track_net.trainable_variables)
      shares[:count] = [self.track_net_share] * count
    return ReplicatedAdam(
      shares,
      self._schedule(),
      global_clipnorm=self.gradient_clip_norm,
      use_ema=self.ema_momentum is not None,
      ema_momentum=self.ema_momentum or 0.0,
      name="adam",
    )

  def _schedule(self) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Constant, or a line up to the learning rate and a cosine down from it."""
    rate, warm_up = self.learning_rate, self.warm_up_steps
    if self.final_learning_rate is None and not warm_up:
      return rate
    final = rate if self.final_learning_rate is None else self.final_learning_rate
    return keras.optimizers.schedules.CosineDecay(
      0.0 if warm_up else rate,
      max(self.steps - warm_up, 1),
      alpha=final / rate,
      warmup_target=rate if warm_up else None,
      warmup_steps=warm_up,
    )


class ReplicatedAdam(keras.optimizers.Adam):
  """Adam for gradients that are averages over all replicas already.

  Keras would add them up over the replicas once more. The trainer averages before, so
  that the norm they are clipped by is the whole batch's.
  """

  def __init__(self, shares: Sequence[float], *args, **kwargs):
    """Takes each variable's share of the learning rate, in the order of `build`."""
    super().__init__(*args, **kwargs)
    self._shares = tuple(shares)

  def update_step(self, gradient, variable, learning_rate):
    """Adam's, at the variable's share of the learning rate."""
    share = self._shares[self._get_variable_index(variable)]
    if share != 1:
      learning_rate *= share
    super().update_step(gradient, variable, learning_rate)

  def _all_reduce_sum_gradients(self, grads_and_vars):
    return grads_and_vars


def configured_stage(name: str) -> tuple[Stage, LossWeights]:
  """The stage and its loss weights as gin has them under the scope `name`."""
  with gin.config_scope(name):
    return Stage(name=name), LossWeights()
