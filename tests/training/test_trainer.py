"""The trainer's options: micro-batches, warm-up, moving averages, logged norms."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from toy_run import SIZE, configure, toy_system

from personalized_face.core.types import Batch
from personalized_face.losses.total import FaceLoss, LossWeights
from personalized_face.training.stages import Stage
from personalized_face.training.trainer import Trainer

# Landmarks alone: no rendering, no ModelNet, a graph that is quickly traced.
WEIGHTS = LossWeights(
  photometric=0.0,
  image_gradient=0.0,
  parsing=0.0,
  smoothness=0.0,
  blendshape_gradient=0.0,
)


@pytest.fixture(autouse=True)
def toy_configuration(tmp_path):
  configure(tmp_path)
  yield
  gin.clear_config()


def _stage(**values):
  stage = {
    "name": "warm_up",
    "steps": 20,
    "learning_rate": 1e-3,
    "train_track_net": True,
    "train_model_net": False,
    "train_mean_albedo": False,
    "corrections": False,
  }
  return Stage(**{**stage, **values})


def _trainer(weights=WEIGHTS, micro_batches=1, **values):
  loss = FaceLoss(toy_template(), SIZE)
  return Trainer(toy_system(), _stage(**values), loss, weights, micro_batches)


def _batch(groups=4, seed=0):
  rng = np.random.default_rng(seed)
  return Batch(
    images=tf.constant(rng.uniform(size=[groups, 2, SIZE, SIZE, 3]), tf.float32),
    landmarks=tf.constant(rng.uniform(0, SIZE, [groups, 2, 68, 2]), tf.float32),
    parsing=tf.constant(rng.integers(0, 8, [groups, 2, SIZE, SIZE]), tf.int32),
  )


def test_micro_batches_give_the_gradient_of_the_whole():
  # Without batch statistics, which are the pieces' own.
  whole = _trainer(batch_statistics=False)
  pieces = _trainer(batch_statistics=False, micro_batches=4)
  values, gradients = tf.function(whole._gradients)(_batch())
  values_4, gradients_4 = tf.function(pieces._gradients)(_batch())
  assert values.keys() == values_4.keys()
  for name, value in values.items():
    np.testing.assert_allclose(value, values_4[name], rtol=1e-5)  # float32 sums
  for a, b in zip(gradients, gradients_4, strict=True):
    # Relative to the largest entry: small ones are differences of large float32 sums.
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())


def test_warm_up_rises_in_a_line_and_a_cosine_follows():
  stage = _stage(steps=30, warm_up_steps=10, final_learning_rate=1e-4)
  rate = stage.optimizer(toy_system())._learning_rate
  np.testing.assert_allclose([rate(0), rate(5), rate(10)], [0, 5e-4, 1e-3], rtol=1e-6)
  np.testing.assert_allclose(rate(20), (1e-3 + 1e-4) / 2, rtol=1e-5)  # half-way
  np.testing.assert_allclose([rate(30), rate(99)], 1e-4, rtol=1e-5)
  constant = _stage(steps=30, warm_up_steps=10)
  constant = constant.optimizer(toy_system())._learning_rate
  np.testing.assert_allclose([constant(10), constant(25)], 1e-3, rtol=1e-6)


def test_tracker_learns_at_its_share_of_the_rate():
  steps = {}
  for share in (1.0, 0.25):
    trainer = _trainer(track_net_share=share, train_model_net=True, corrections=True)
    before = [np.array(variable) for variable in trainer.variables]
    trainer.train_step(_batch())
    steps[share] = [
      np.array(variable) - old
      for variable, old in zip(trainer.variables, before, strict=True)
    ]
  tracker = len(trainer.system.track_net.trainable_variables)
  assert 0 < tracker < len(trainer.variables)
  for i, (whole, part) in enumerate(zip(steps[1.0], steps[0.25], strict=True)):
    # Adam's first step is the rate in the gradient's direction; float32 differences.
    expected = (0.25 if i < tracker else 1.0) * whole
    np.testing.assert_allclose(part, expected, atol=2e-7)
  assert all(np.any(step) for step in steps[1.0][:tracker])


def test_moving_average_of_the_weights():
  trainer = _trainer(ema_momentum=0.8)
  (bias,) = [v for v in trainer.variables if v.path.endswith("head/raw/bias")]
  average = None
  for seed in range(3):
    trainer.train_step(_batch(1, seed))
    value = np.array(bias)
    average = value if average is None else 0.8 * average + 0.2 * value
  assert not np.allclose(average, bias, rtol=1e-3)
  with trainer.averaged_weights():
    np.testing.assert_allclose(bias, average, rtol=1e-5)  # float32
  np.testing.assert_array_equal(bias, value)
  trainer.take_averages()
  np.testing.assert_allclose(bias, average, rtol=1e-5)


def test_loss_scale_changes_no_gradient():
  # A power of 2 moves the exponent alone: equal bit for bit.
  plain = tf.function(_trainer().gradients)(_batch(1))[2]
  scaled = tf.function(_trainer(loss_scale=1024.0).gradients)(_batch(1))[2]
  assert all(np.array_equal(a, b) for a, b in zip(plain, scaled, strict=True))


def test_module_norms_make_up_the_gradient_norm():
  trainer = _trainer(LossWeights(), train_model_net=True, corrections=True)
  terms = trainer.train_step(_batch(1))
  norms = {k: float(v) for k, v in terms.items() if k.startswith("gradient_norm/")}
  assert set(norms) == {
    f"gradient_norm/{name}"
    for name in ("track_net", "model_net_encoder", "shape_decoder", "albedo_decoder")
  }
  total = np.sqrt(sum(norm**2 for norm in norms.values()))
  np.testing.assert_allclose(total, terms["gradient_norm"], rtol=1e-5)  # float32
  assert 0 <= float(terms["coverage_percent"]) <= 100


def test_a_stage_that_draws_nothing_counts_nothing():
  assert "coverage_percent" not in _trainer().train_step(_batch(1))
