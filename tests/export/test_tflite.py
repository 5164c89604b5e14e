"""TFLite files: beside Keras, int8 where they should be, and the commands' use."""

import hashlib
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from data.test_records import toy_clip, write_toy_records
from toy_clip import (
  SIZE,
  StubDetector,
  straight_path,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.export import tflite, tflite_benchmark
from personalized_face.inference.reconstruct import track_source
from personalized_face.inference.tflite_runner import (
  TFLiteGeometry,
  TFLiteTrackNet,
  open_track_net,
)
from personalized_face.inference.track import to_float

FRAMES = 4


@pytest.fixture(scope="module")
def crops():
  coarse = np.random.default_rng(0).integers(0, 255, [FRAMES, 4, 4, 3])
  return np.kron(coarse, np.ones([1, SIZE // 4, SIZE // 4, 1])).astype(np.uint8)


@pytest.fixture(scope="module")
def files(system, person, crops, tmp_path_factory):
  """The folder that `export_tflite` writes, its calibration crops given."""
  folder = str(tmp_path_factory.mktemp("lite") / "new")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tflite, "spread_frames", lambda *asked: (crops, None))
    paths = tflite.export_tflite(system, "records", folder, person)
  assert sorted(map(os.path.basename, paths)) == sorted(os.listdir(folder))
  return folder


# float16 rounds each weight by 1/2048; int8 each weight and activation by 1/255 of its
# range, through 20 layers: an eighth of what the parameter does over the pictures.
@pytest.mark.parametrize(("kind", "share"), [("float16", 0.005), ("int8", 0.125)])
def test_track_model_is_the_tracker(system, files, crops, kind, share):
  track = open_track_net(system, f"{files}/track_{kind}.tflite")
  expected = system.track(to_float(crops))
  for result, value in zip(track(crops), expected, strict=True):
    assert result.shape == value.shape
    assert np.abs(result - value).max() < share * np.ptp(value, axis=0).max()


def test_track_model_int8_computes_in_int8_up_to_the_pooling(files):
  interpreter = tf.lite.Interpreter(f"{files}/track_int8.tflite")
  details = interpreter.get_tensor_details()
  scales = {d["quantization"] for d in details if d["dtype"] == np.int8}
  # The picture in [-0.5, 0.5]; a step is a grey level.
  assert any(abs(scale - 1 / 255) < 1e-6 and zero == -1 for scale, zero in scales)
  kernels = [d for d in details if len(d["shape"]) == 4 and d["shape"][0] > 1]
  assert len(kernels) == 20  # 17 convolutions and 3 shortcuts
  assert {d["dtype"] for d in kernels} == {np.int8}
  run = interpreter.get_signature_runner()
  assert {d["dtype"] for d in run.get_output_details().values()} == {np.float32}
  assert run.get_input_details()["pixels"]["dtype"] == np.uint8
  sizes = [os.path.getsize(f"{files}/track_{kind}.tflite") for kind in tflite.KINDS]
  assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.parametrize("kind", tflite.KINDS)
def test_geometry_model_is_equation_1_posed(system, person, files, kind):
  decode = TFLiteGeometry(f"{files}/geometry_{kind}.tflite", 3)
  rng = np.random.default_rng(2)
  tracking = Tracking(
    rng.uniform(0, 1, [1, 3]).astype(np.float32),
    rng.normal(0, 0.3, [1, 3]).astype(np.float32),
    np.float32([[0.1, -0.2, -10]]),
    np.zeros([1, 9, 3], np.float32),
  )
  model = system.face_model
  batch = PersonModel(*(part[np.newaxis] for part in person))
  shape = model.shape(
    model.geometry(*model.vertex_offsets(batch)), tracking.expression[np.newaxis]
  )
  expected = system.camera_vertices(shape, Tracking(*(v[np.newaxis] for v in tracking)))
  vertices, landmarks = decode(tracking)
  # Half precision of displacements of up to 1 dm, and of z = -10.
  np.testing.assert_allclose(vertices, expected[0], atol=6e-3)
  points = system.project_landmarks(expected)[0]
  np.testing.assert_allclose(landmarks, points, atol=0.2)  # pixels, of those


def test_tflite_json_says_names_shapes_and_units(files):
  with open(f"{files}/tflite.json") as file:
    told = json.load(file)
  track = told["files"]["track_int8"]
  assert track["inputs"] == {"pixels": {"type": "uint8", "shape": [1, SIZE, SIZE, 3]}}
  assert track["outputs"]["light"] == {"type": "float32", "shape": [1, 9, 3]}
  assert track["bytes"] == os.path.getsize(f"{files}/track_int8.tflite")
  with open(f"{files}/track_int8.tflite", "rb") as file:
    assert track["sha256"] == hashlib.sha256(file.read()).hexdigest()
  names = {
    name
    for file in told["files"].values()
    for side in ("inputs", "outputs")
    for name in file[side]
  }
  assert names == set(told["tensors"])


def test_spread_frames_are_of_the_split_and_spread(tmp_path):
  clips = [toy_clip(5, "a"), toy_clip(4, "b")]
  folder = write_toy_records(tmp_path, clips)
  crops, landmarks = tflite.spread_frames(folder, "train", 16, 3)
  # Frames 1, 4 and 7 of nine; grey level and landmarks say which of its clip.
  np.testing.assert_array_equal(landmarks[:, 0, 0], [1, 4, 2])
  assert crops.shape == (3, 16, 16, 3) and crops.dtype == np.uint8
  assert np.abs(crops.mean(axis=(1, 2, 3)) - landmarks[:, 0, 0]).max() < 1  # JPEG
  assert len(tflite.spread_frames(folder, "train", 16, 100)[0]) == 9
  with pytest.raises(UserError, match="has crops of 16 pixels and the run takes 64"):
    tflite.spread_frames(folder, "train", 64, 3)
  with pytest.raises(UserError, match="is empty"):
    tflite.spread_frames(folder, "test", 16, 3)


def test_track_source_by_a_file_is_nearly_as_by_keras(system, files, tmp_path):
  write_clip(tmp_path / "clip.mp4", straight_path(3))
  track = open_track_net(system, f"{files}/track_float16.tflite", num_threads=1)
  by_file, by_keras = (
    track_source(system, [str(tmp_path / "clip.mp4")], StubDetector(), None, 1, given)
    for given in (track, None)
  )
  # The detector leads, so both see the same crops; half precision.
  results = (by_file.motion.tracking, by_keras.motion.tracking)
  for result, value in zip(*results, strict=True):
    np.testing.assert_allclose(result, value, atol=0.02)
  assert not np.array_equal(results[0].light, results[1].light)


def test_tflite_exception_raised(system, files, tmp_path):
  assert open_track_net(system, None) is None
  (tmp_path / "broken.tflite").write_bytes(b"no such thing")
  for path in (tmp_path / "broken.tflite", tmp_path / "missing.tflite"):
    with pytest.raises(UserError, match=r"is no readable TFLite file"):
      open_track_net(system, str(path))
  path = f"{files}/track_int8.tflite"
  with pytest.raises(UserError, match=r"pixels is \(1, 64, 64, 3\), not \(1, 32"):
    TFLiteTrackNet(path, 3, 32)
  with pytest.raises(UserError, match=r"expression is \(1, 3\), not \(1, 4\)"):
    TFLiteTrackNet(path, 4, SIZE)
  with pytest.raises(UserError, match=r"expression is None"):
    TFLiteGeometry(path, 3)


def test_benchmark_measures_every_variant(system, person, files, crops, monkeypatch):
  landmarks = np.random.default_rng(3).uniform(0, SIZE, [1, 68, 2])
  given = crops, np.tile(landmarks, [FRAMES, 1, 1])
  monkeypatch.setattr(tflite_benchmark, "spread_frames", lambda *asked: given)
  rows = tflite_benchmark.benchmark(system, person, "records", files)
  assert [row.name for row in rows] == [
    "Keras",
    *(
      f"{kind}, {count}" for kind in tflite.KINDS for count in ("1 thread", "2 threads")
    ),
  ]
  assert all(0 < row.track_ms <= row.total_ms for row in rows)
  # Half precision: a hundredth of a percent; whoever ran another file would be far off.
  assert rows[1].nme_percent == pytest.approx(rows[0].nme_percent, rel=1e-2)
  assert rows[1].nme_percent != rows[0].nme_percent
  assert len(tflite_benchmark.table(rows).splitlines()) == 2 + 5
