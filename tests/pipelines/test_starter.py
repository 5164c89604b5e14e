"""Weights in half precision: packed from a run, and a run again."""

import os

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face import config
from personalized_face.authoring import landmark_offsets
from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.fitting.frames import Frames
from personalized_face.networks.track_net import num_outputs
from personalized_face.pipelines import expected_expression, starter
from personalized_face.systems.personalized_face import build_system
from personalized_face.template.resize import with_uv_size
from personalized_face.training.checkpoints import load_system

CONFIG = [
  "build_system.image_size = 32",
  "build_system.model_net_width = 0.125",
  "build_system.track_net_width = 0.125",
  "build_system.track_net_hidden = 16",
  "build_system.rasterizer = 'xla'",
  "train.stages = ('stage1', 'stage2')",  # as a training leaves it
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run folder of random networks, and the system in it."""
  folder = tmp_path_factory.mktemp("starter") / "run"
  config.parse([], CONFIG)
  system = build_system(with_uv_size(load_template(), 16))
  rng = np.random.default_rng(0)
  for variable in starter.variables(system):
    path = getattr(variable, "path", "")
    values = 0.2 * rng.normal(size=variable.shape)
    if "variance" in path:
      values = rng.uniform(0.5, 1.5, variable.shape)
    if path.endswith("raw/bias"):
      values += 5  # coefficients that are neither 0 nor 1
    variable.assign(values)
  packed = str(folder.parent / "tiny.npz")
  starter.write_run(system, str(folder), "\n".join(CONFIG))
  starter.pack(str(folder), packed)
  return system, packed


def test_packed_weights_are_a_run_again(run, tmp_path):
  system, packed = run
  starter.unpack(packed, str(tmp_path / "again"))
  found = load_system(str(tmp_path / "again"))
  assert found.template.uv_size == 16
  for there, here in zip(
    starter.variables(found), starter.variables(system), strict=True
  ):
    # Half precision keeps 11 bits; what is small keeps all.
    tolerance = 2**-11 if there.numpy().size >= 4096 else 0
    np.testing.assert_allclose(there, here, rtol=tolerance, atol=2**-24)
  picture = np.random.default_rng(1).uniform(size=(1, 32, 32, 3)).astype(np.float32)
  assert np.isfinite(system.track(picture).rotation).all()
  np.testing.assert_allclose(
    found.track(picture).rotation, system.track(picture).rotation, atol=2e-2
  )


def test_a_name_is_unpacked_once(run, tmp_path, monkeypatch):
  _, packed = run
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setattr(starter, "_FOLDER", os.path.dirname(packed))
  assert starter.names() == ["tiny"]
  folder = starter.run_folder("tiny")
  assert os.path.dirname(folder) == str(tmp_path / "personalized_face")
  before = os.path.getmtime(os.path.join(folder, "config.gin"))
  assert starter.run_folder("tiny") == folder
  assert os.path.getmtime(os.path.join(folder, "config.gin")) == before
  assert starter.run_folder(packed) == folder  # by its path
  assert starter.run_folder("runs/mine") == "runs/mine"
  monkeypatch.chdir(tmp_path)
  (tmp_path / "tiny").mkdir()
  assert starter.run_folder("tiny") == "tiny"  # a folder of one's own goes first


def test_a_name_is_unpacked_again_where_landmarks_are_seen_elsewhere(
  run, tmp_path, monkeypatch
):
  _, packed = run
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  folder = starter.run_folder(packed)
  other = tmp_path / "offsets.csv"
  other.write_text("measured anew")
  monkeypatch.setattr(landmark_offsets, "default_path", lambda: str(other))
  monkeypatch.setattr(starter, "unpack", lambda path, folder: None)
  assert starter.run_folder(packed) != folder


@pytest.mark.parametrize(
  "changes, reason",
  [
    ({"0003": None}, "array 3 is not that of"),
    ({"0003": np.zeros([1, 2])}, "array 3 is not that of"),
    ({"0000": "nan"}, "array 0 has what is no number"),
    ({"9999": None, "config": None}, "'config"),
    ({"format_version": np.array(99)}, "format 99"),
    (
      {"template_hash": np.array("0123"), "vertices": np.zeros([2, 3])},
      "a default template that hashes to 0123",
    ),
  ],
)
def test_damaged_weights_exception_raised(run, tmp_path, changes, reason):
  _, packed = run
  with np.load(packed) as file:
    data = dict(file)
  for name, value in changes.items():
    if isinstance(value, str):
      data[name] = np.full_like(data[name], np.nan)
    elif value is None:
      data.pop(name, None)
    else:
      data[name] = value
  path = str(tmp_path / "spoilt.npz")
  np.savez(path, **data)
  with pytest.raises(UserError, match=reason):
    starter.unpack(path, str(tmp_path / "out"))
  assert os.listdir(tmp_path) == ["spoilt.npz"]


def test_another_machines_rounding_is_the_same_template(run, tmp_path):
  _, packed = run
  with np.load(packed) as file:
    data = dict(file)
  data["template_hash"] = np.array("0123")
  data["vertices"] = data["vertices"] + np.float32(1e-5)
  path = str(tmp_path / "rounded.npz")
  np.savez(path, **data)
  starter.unpack(path, str(tmp_path / "out"))
  assert load_system(str(tmp_path / "out")).template.uv_size == 16


def test_cut_short_exception_raised(run, tmp_path):
  _, packed = run
  with open(packed, "rb") as file:
    (tmp_path / "cut.npz").write_bytes(file.read()[:-1000])
  with pytest.raises(UserError, match="does not hold readable weights"):
    starter.unpack(str(tmp_path / "cut.npz"), str(tmp_path / "out"))


def test_the_tracker_alone_sees_what_the_run_sees(run):
  system, packed = run
  tracker = starter.load_tracker(packed)
  assert tracker.crop_size == 32
  picture = np.random.default_rng(1).uniform(size=(1, 32, 32, 3)).astype(np.float32)
  np.testing.assert_allclose(
    tracker.track_net(picture), system.track_net(picture), rtol=2e-2, atol=2e-2
  )
  assert tracker.blendshape_names == system.template.blendshape_names


def test_a_fit_expects_what_the_starter_tracker_sees_above_its_rest(monkeypatch):
  template = toy_template()
  # The network knows them in another order, one more, and the first one not.
  names = (*template.blendshape_names[:0:-1], "tongueOut")
  scenes = np.repeat([0, 1, 2], [4, 33, 11])  # the first is too short to know its rest
  grey = np.random.default_rng(1).uniform(0, 255, 48).astype(np.uint8)
  crops = np.broadcast_to(grey[:, np.newaxis, np.newaxis, np.newaxis], (48, 64, 64, 3))
  frames = Frames(crops, np.zeros([48, 68, 2]), np.zeros([48, 64, 64]), scenes)
  asked = []

  def track_net(images, training):
    """Every coefficient follows the brightness."""
    asked.append(images.shape)
    raw = np.zeros([len(images), num_outputs(len(names))], np.float32)
    raw[:, : len(names)] = 10 * images.mean(axis=(1, 2, 3))[:, np.newaxis]
    raw[:, 0] = 0  # the template's last one rests
    return tf.constant(raw)

  tracker = starter.PackedTracker(track_net, 32, names)
  monkeypatch.setattr(starter, "names", lambda: ["starter"])
  monkeypatch.setattr(starter, "load_tracker", lambda name: tracker)
  found = expected_expression.expected_expression(frames, template)
  assert asked == [(32, 32, 32, 3), (1, 32, 32, 3), (11, 32, 32, 3)]
  seen = 1 / (1 + np.exp(5 - 10 * (grey / 255)))
  wanted = np.zeros(48)
  for part in (slice(4, 37), slice(37, 48)):
    wanted[part] = np.maximum(seen[part] - np.median(seen[part]), 0)
  assert wanted.max() > 0.3
  np.testing.assert_allclose(
    found[:, 1:-1].T, [wanted] * (found.shape[1] - 2), atol=1e-5
  )
  assert not found[:, [0, -1]].any()
  few = frames.take(np.arange(4))
  assert expected_expression.expected_expression(few, template) == ()
