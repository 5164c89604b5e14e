"""What stands in the log of losses: as it was, and as it counts."""

import types

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from personalized_face.losses.total import LossWeights
from personalized_face.training.summaries import Summaries


def test_a_term_is_logged_raw_and_weighted(tmp_path):
  weights = LossWeights()._replace(landmark=0.25)
  trainer = types.SimpleNamespace(
    weights=weights, stage=types.SimpleNamespace(name="stage1")
  )
  summaries = Summaries(str(tmp_path), trainer)
  terms = {"landmark": tf.constant(8.0), "total": tf.constant(3.0)}
  summaries.scalars(7, {**terms, "gradient_norm": tf.constant(5.0)}, 0.5)
  summaries.close()
  events = EventAccumulator(str(tmp_path / "logs" / "stage1"), {"tensors": 0})
  events.Reload()
  found = {}
  for tag in events.Tags()["tensors"]:
    (event,) = events.Tensors(tag)
    assert event.step == 7
    found[tag] = float(tf.make_ndarray(event.tensor_proto))
  assert found == pytest.approx(
    {
      "loss/landmark": 8.0,
      "loss_weighted/landmark": 2.0,
      "loss/total": 3.0,
      "train/gradient_norm": 5.0,
      "train/learning_rate": 0.5,
    }
  )
