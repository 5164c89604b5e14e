import random

import gin
import numpy as np
import pytest
import tensorflow as tf

from personalized_face import config
from personalized_face.core.errors import UserError


@gin.configurable(module="config_test")
def train_toy(steps, rate=0.1, name="toy"):
  return steps, rate, name


@pytest.fixture(autouse=True)
def no_configuration_left():
  yield
  gin.clear_config()


@pytest.fixture(autouse=True)
def only_known_names(request, monkeypatch):
  # The toy is registered already; importing the whole package is for one test.
  if "whole_package" not in request.fixturenames:
    monkeypatch.setattr(config, "_register_all", lambda: None)


@pytest.fixture
def whole_package():
  """Lets `parse` register every name of the package, as it does outside of tests."""


@pytest.fixture
def write(tmp_path):
  def write_file(name, text):
    path = tmp_path / name
    path.write_text(text)
    return str(path)

  return write_file


def error_of(*args) -> str:
  with pytest.raises(UserError) as caught:
    config.parse(*args)
  message = str(caught.value)
  assert "\n" not in message and message.endswith("."), "one sentence"
  return message


def test_parse_later_values_win(write):
  first = write("first.gin", "train_toy.steps = 1\ntrain_toy.name = 'first'\n")
  second = write("second.gin", "train_toy.steps = 2\n")
  config.parse([first, second], ["train_toy.rate = 0.5"])
  assert train_toy() == (2, 0.5, "first")


def test_parse_replaces_the_whole_configuration(write):
  config.parse([], ["train_toy.steps = 1", "train_toy.rate = 9.0"])
  config.parse([], ["train_toy.steps = 3"])
  assert train_toy() == (3, 0.1, "toy")


def test_parse_includes_relative_to_the_shipped_folder(write, whole_package):
  name = "papers/personalized_face/stage1.gin"
  path = write("mine.gin", f"include '{name}'\ntrain_toy.steps = 1\n")
  config.parse([path])
  assert gin.query_parameter("stage1/Stage.train_track_net") is True


def test_unknown_name_is_placed(write):
  path = write("typo.gin", "\ntrain_tyo.steps = 1\n")
  message = error_of([path])
  assert path in message and "line 2" in message and "'train_tyo'" in message


def test_unknown_name_in_an_included_file_is_placed_there(write):
  inner = write("inner.gin", "train_tyo.steps = 1\n")
  message = error_of([write("outer.gin", f"\n\ninclude '{inner}'\n")])
  assert message.startswith(f"{inner}, line 1:")


def test_unknown_reference_is_named(write):
  assert "'train_tyo'" in error_of([], ["train_toy.name = @train_tyo()"])


def test_unknown_parameter_lists_the_known_ones():
  message = error_of([], ["train_toy.step = 1"])
  assert "--gin_param 'train_toy.step = 1'" in message
  assert "'step'" in message and "steps, rate, name" in message


@pytest.mark.parametrize("value", ["train_toy.steps 1", "train_toy.name = first"])
def test_unreadable_value_is_placed(write, value):
  path = write("bad.gin", f"train_toy.rate = 1.0\n{value}\n")
  assert error_of([path]).startswith(f"{path}, line 2:")
  assert value in error_of([], [value])


def test_macro_without_a_value_is_named():
  assert "%sed" in error_of([], ["train_toy.steps = %sed", "seed = 1"])


def test_missing_file_suggests_a_shipped_one():
  message = error_of(["papers/personalized_face/stge1.gin"])
  assert message.endswith("did you mean papers/personalized_face/stage1.gin.")


def test_missing_include_is_placed(write):
  path = write("outer.gin", "include 'losses/none.gin'\n")
  message = error_of([path])
  assert message.startswith(f"{path}, line 1:") and "losses/none.gin" in message


def test_shipped_files_come_first(tmp_path, monkeypatch, caplog, whole_package):
  (tmp_path / "losses").mkdir()
  (tmp_path / "losses" / "paper.gin").write_text("train_toy.steps = 1\n")
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  config.parse([], ["train_toy.rate = 2.0", "include 'losses/paper.gin'"])
  assert "LossWeights.landmark" in gin.config_str()
  assert "train_toy.steps" not in gin.config_str()
  assert caplog.text == ""


def test_unknown_import_is_placed(write):
  path = write("outer.gin", "import personalized_face.nothing\n")
  message = error_of([path])
  assert message.startswith(f"{path}, line 1:")
  assert "personalized_face.nothing" in message


def test_failed_parse_leaves_no_configuration():
  error_of([], ["train_toy.steps = 1", "train_tyo.steps = 1"])
  assert gin.config_str().strip() == ""


def test_save_operative_is_read_back(tmp_path):
  config.parse([], ["train_toy.steps = 7"])
  train_toy()
  path = tmp_path / "config.gin"
  config.save_operative(str(path))
  assert [child.name for child in tmp_path.iterdir()] == ["config.gin"]
  gin.clear_config()
  config.parse([str(path)])
  assert train_toy() == (7, 0.1, "toy")
  assert "train_toy.rate = 0.1" in path.read_text(), "defaults are part of it"


def test_save_operative_keeps_the_old_file_when_writing_fails(tmp_path, monkeypatch):
  path = tmp_path / "config.gin"
  path.write_text("old")
  monkeypatch.setattr(config, "operative_config_text", lambda: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    config.save_operative(str(path))
  assert path.read_text() == "old"


def test_explain_names_a_missing_value():
  config.parse([], [])
  with pytest.raises(TypeError) as caught:
    train_toy()
  assert "train_toy.steps" in config.explain(caught.value)


def test_explain_names_a_required_value():
  config.parse([], ["train_toy.steps = 1"])
  with pytest.raises(RuntimeError) as caught:
    train_toy(rate=gin.REQUIRED)
  assert "train_toy.rate" in config.explain(caught.value)


def test_explain_leaves_other_errors_alone():
  assert config.explain(ValueError("shape [3] expected")) is None


def test_make_deterministic_seeds_all_generators(monkeypatch):
  asked = []
  # Switched on it would stay on for the tests after this one.
  monkeypatch.setattr(
    tf.config.experimental, "enable_op_determinism", lambda: asked.append(True)
  )

  def draw(seed):
    config.make_deterministic(seed)
    return random.random(), np.random.rand(), float(tf.random.uniform([]))

  assert draw(3) == draw(3)
  assert all(a != b for a, b in zip(draw(3), draw(4), strict=True))
  assert asked


def test_another_configuration_can_be_parsed_aside(write):
  config.parse([], ["Jitter.shift = 0.25", "stage1/Jitter.degrees = 3.0"])
  before = gin.config_str()
  with pytest.raises(ZeroDivisionError):
    with config.aside():
      config.parse([], ["Jitter.shift = 0.5"])
      assert gin.query_parameter("Jitter.shift") == 0.5
      raise ZeroDivisionError
  assert gin.query_parameter("Jitter.shift") == 0.25
  assert gin.config_str() == before
  with pytest.raises(RuntimeError, match="locked"):
    gin.bind_parameter("Jitter.shift", 1.0)
