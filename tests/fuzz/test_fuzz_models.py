"""Hostile models: TFLite files, which may crash the interpreter that reads them."""

import json
import pathlib

import hostile
import numpy as np
import pytest
import tensorflow as tf
from hostile import Format, json_text, mangled, refuses

from personalized_face.inference import tflite_file, tflite_runner

NAME = "track_int8.tflite"


@pytest.fixture(scope="module")
def model() -> bytes:
  """A small network in a TFLite file."""
  inputs = tf.keras.Input((8, 8, 3), batch_size=1, name="pixels")
  layer = tf.keras.layers.Conv2D(4, 3, strides=2)(inputs)
  net = tf.keras.Model(inputs, tf.keras.layers.Flatten()(layer))
  return tf.lite.TFLiteConverter.from_keras_model(net).convert()


def _write(folder: pathlib.Path, model: bytes) -> None:
  (folder / NAME).write_bytes(model)
  described = {tflite_file.CHECKSUM: tflite_file.checksum(model)}
  description = {"files": {NAME.removesuffix(".tflite"): described}}
  (folder / tflite_file.DESCRIPTION).write_text(json.dumps(description))


def _read(path: str):
  run = tflite_runner._signature(str(pathlib.Path(path).parent / NAME), 1)
  return next(iter(run(pixels=np.ones([1, 8, 8, 3], np.float32)).values()))


def _check(features):
  assert features.shape == (1, 36) and np.isfinite(features).all()


@pytest.mark.parametrize(
  ("file", "mangle"), [(NAME, mangled), (tflite_file.DESCRIPTION, json_text)]
)
def test_model_or_description(file, mangle, model, tmp_path, monkeypatch):
  # A file without a description is tried by a process: seconds each, see below.
  monkeypatch.setattr(tflite_file, "_survives_a_trial", lambda path: True)
  case = Format(
    file, lambda path: _write(pathlib.Path(path).parent, model), _read, mangle, _check
  )
  hostile.attack(case, tmp_path)


def test_a_cut_off_model_without_a_description_is_tried_first(model, tmp_path):
  """Cut in its middle, such a file ends the process that reads it."""
  (tmp_path / NAME).write_bytes(model)
  assert not refuses(_read, tmp_path / NAME, _check)
  (tmp_path / NAME).write_bytes(model[: len(model) // 2])
  assert refuses(_read, tmp_path / NAME)


def test_another_model_than_the_described_one_is_refused(model, tmp_path):
  _write(tmp_path, model)
  changed = bytearray(model)
  changed[len(model) // 2] ^= 1  # a weight
  (tmp_path / NAME).write_bytes(changed)
  assert refuses(_read, tmp_path / NAME)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\x00\x00\x00TFL2" + bytes(99)])
def test_what_is_no_tflite_file_is_refused_without_a_trial(
  content, tmp_path, monkeypatch
):
  monkeypatch.setattr(tflite_file, "_survives_a_trial", lambda path: 1 / 0)
  (tmp_path / NAME).write_bytes(content)
  assert refuses(_read, tmp_path / NAME)
