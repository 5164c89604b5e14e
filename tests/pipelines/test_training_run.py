"""A run that begins as another ended."""

import dataclasses

import gin
import numpy as np
import pytest
from helpers import toy_template
from toy_run import CONFIG, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.pipelines.training import train_run, training_template


@pytest.fixture(autouse=True)
def clear_gin():
  yield
  gin.clear_config()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def train(folder):
  """Trains one step of a toy run in the folder of that name."""
  records = write_toy_records(str(folder / "records"))
  toy_template().save(str(folder / "toy.npz"))
  (folder / "toy.gin").write_text(CONFIG)

  def run(name, *params, initial=None):
    return train_run(
      records,
      str(folder / name),
      str(folder / "toy.npz"),
      [str(folder / "toy.gin")],
      ["train.stages = ('stage1',)", "stage1/Stage.steps = 1", *params],
      initial_run=initial and str(folder / initial),
    )

  return run


@pytest.fixture(scope="module")
def first(train):
  system = train("first", "stage1/Stage.learning_rate = 0.1")
  gin.clear_config()
  return system


def test_a_run_begins_as_another_ended(train, first):
  nearly_still = "stage1/Stage.learning_rate = 1e-9"
  anew = train("anew", nearly_still)
  second = train("second", nearly_still, initial="first")
  far = 0
  for before, after, fresh in zip(
    first.trainable_variables,
    second.trainable_variables,
    anew.trainable_variables,
    strict=True,
  ):
    # Adam moves a weight by the rate: 1e-9 in the second run, 0.1 in the first, except
    # those of ModelNet behind its heads, which begin as zeros.
    np.testing.assert_allclose(after, before, atol=1e-6)
    far += np.abs(np.array(fresh) - np.array(before)).max() > 0.05
  assert far > 20


def test_maps_take_the_configured_size(tmp_path):
  path, own = str(tmp_path / "toy.npz"), toy_template()
  own.save(path)
  assert training_template(path).hash == own.hash
  smaller = training_template(path, uv_size=own.uv_size // 2)
  assert smaller.uv_size == own.uv_size // 2
  assert smaller.mean_albedo.shape == (own.uv_size // 2, own.uv_size // 2, 3)


def test_runs_that_do_not_fit_exception_raised(train, first, folder):
  with pytest.raises(UserError, match="are of other sizes"):
    train("narrow", "build_system.track_net_hidden = 8", initial="first")
  with pytest.raises(UserError, match="not a finished run"):
    train("orphan", initial="nothing")
  template = toy_template()
  moved = dataclasses.replace(template, vertices=template.vertices + 1)
  moved.save(str(folder / "first" / "template.npz"))
  with pytest.raises(UserError, match="which cannot begin one with"):
    train("stranger", initial="first")
