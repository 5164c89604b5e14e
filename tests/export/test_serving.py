"""An export outside Python's TensorFlow: bytes, the command line, C, and a server."""

import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
import tensorflow as tf
from toy_clip import SIZE

from personalized_face.export.benchmark import Timing, benchmark, table
from personalized_face.export.saved_model import export
from personalized_face.export.serving_files import model_name

ROOT = pathlib.Path(__file__).parents[2]
# What the issue asks for between C, the command line and Python.
AGREEMENT = 1e-4


@pytest.fixture(scope="module")
def exported(system, tmp_path_factory):
  return export(system, str(tmp_path_factory.mktemp("models") / "my face"))


@pytest.fixture(scope="module")
def loaded(exported):
  return tf.saved_model.load(exported)


@pytest.fixture(scope="module")
def images():
  return np.random.default_rng(0).uniform(0, 1, [3, SIZE, SIZE, 3]).astype(np.float32)


def jpegs(images, side=SIZE, ending=".jpg"):
  for image in images:
    pixels = np.round(image[..., ::-1] * 255).astype(np.uint8)
    pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)
    yield cv2.imencode(ending, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_bytes_signatures_are_the_others_on_the_decoded_pictures(loaded, images):
  run = loaded.signatures
  encoded = list(jpegs(images))
  decoded = np.stack([tf.io.decode_jpeg(one).numpy() for one in encoded])
  decoded = tf.constant(decoded / 255, tf.float32)
  assert np.abs(decoded - images).max() > 0.01  # JPEG has lost something
  for name, shape in (("track", [3]), ("model_face", [1, 3]), ("reconstruct", [3, 1])):
    direct = run[name](images=tf.reshape(decoded, [*shape, SIZE, SIZE, 3]))
    through = run[f"{name}_bytes"](image_bytes=tf.reshape(tf.constant(encoded), shape))
    assert set(direct) == set(through)
    for key, value in direct.items():
      # The same operations on the same numbers but for x / 255 against x * (1 / 255).
      far = np.abs(value - through[key]) > AGREEMENT * (
        SIZE if key == "landmarks" else 1
      )
      assert np.mean(far) <= (1e-3 if key in ("picture", "mask") else 0), (name, key)


def test_bytes_of_another_size_and_format(loaded, images):
  run = loaded.signatures["track_bytes"]
  smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 6) for image in images])
  exact = loaded.signatures["track"](images=tf.constant(smooth))["rotation"]
  for side, ending in ((SIZE, ".png"), (3 * SIZE, ".jpg")):
    encoded = tf.constant(list(jpegs(smooth, side, ending)))
    rotation = run(image_bytes=encoded)["rotation"]
    # Rounding to 8 bits, and a resize there and back of a smooth picture.
    np.testing.assert_allclose(rotation, exact, atol=0.05)


def test_bytes_exception_raised(loaded):
  with pytest.raises(tf.errors.InvalidArgumentError):
    loaded.signatures["track_bytes"](image_bytes=tf.constant([b"no picture"]))


def tool(name: str) -> str:
  found = pathlib.Path(sys.executable).parent / name
  if not found.exists():
    pytest.skip(f"{name} is not installed beside Python")
  return str(found)


@pytest.mark.parametrize("signature", ["track", "retarget"])
def test_saved_model_cli_runs_a_signature(
  exported, loaded, images, tmp_path, signature
):
  run = loaded.signatures
  given = {"images": tf.constant(images)}
  motion = run["track"](**given)
  if signature == "retarget":  # eight inputs
    given = run["model_face"](images=images[np.newaxis])
    given |= {name: value[tf.newaxis] for name, value in motion.items()}
  for name, value in given.items():
    np.save(tmp_path / f"in_{name}.npy", value)
  done = subprocess.run(
    [tool("saved_model_cli"), "run", "--dir", exported, "--tag_set", "serve"]
    + ["--signature_def", signature, "--outdir", str(tmp_path), "--inputs"]
    + [";".join(f"{name}={tmp_path}/in_{name}.npy" for name in given)],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  for name, value in run[signature](**given).items():
    found = np.load(tmp_path / f"{name}.npy")
    tolerance = AGREEMENT * (SIZE if name == "landmarks" else 1)
    far = np.abs(found - value) > tolerance
    # Rounding may give a pixel on the border of two triangles to the other one.
    assert np.mean(far) <= (1e-3 if name in ("picture", "mask") else 0), name


def tensor_names(exported, signature):
  """Graph tensors of a signature, as saved_model_cli prints them."""
  from tensorflow.core.protobuf import saved_model_pb2

  model = saved_model_pb2.SavedModel()
  with open(f"{exported}/saved_model.pb", "rb") as file:
    model.ParseFromString(file.read())
  definition = model.meta_graphs[0].signature_def[signature]
  outputs = {key: value.name for key, value in definition.outputs.items()}
  return definition.inputs["images"].name, outputs


@pytest.mark.parametrize("signature", ["track", "model_face", "reconstruct"])
def test_c_program_agrees(exported, loaded, images, tmp_path, signature, program):
  given = images if signature == "track" else images[np.newaxis]
  name, outputs = tensor_names(exported, signature)
  given.tofile(tmp_path / "in.f32")
  command = [program, exported, name, str(tmp_path / "in.f32")]
  command.append(",".join(map(str, given.shape)))
  for key, tensor in outputs.items():
    command += [tensor, str(tmp_path / f"{key}.f32")]
  done = subprocess.run(command, capture_output=True, text=True, timeout=300)
  assert done.returncode == 0, done.stderr
  shapes = dict(line.split(" ") for line in done.stdout.splitlines())
  expected = loaded.signatures[signature](images=tf.constant(given))
  for key, value in expected.items():
    shape = [int(size) for size in shapes[outputs[key]].split(",")]
    assert shape == value.shape.as_list()
    found = np.fromfile(tmp_path / f"{key}.f32", np.float32).reshape(shape)
    tolerance = AGREEMENT * (SIZE if key == "landmarks" else 1)
    far = np.abs(found - value) > tolerance
    # Rounding may give a pixel on the border of two triangles to the other one.
    assert np.mean(far) <= (1e-3 if key in ("picture", "mask") else 0), key


@pytest.fixture(scope="module")
def program(tmp_path_factory):
  """examples/run_saved_model.c, compiled as its first lines say."""
  compiler = shutil.which("cc") or shutil.which("gcc")
  if compiler is None:
    pytest.skip("there is no C compiler")
  library = tf.sysconfig.get_lib()
  if not os.path.exists(f"{library}/libtensorflow_cc.so.2"):
    pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
  path = str(tmp_path_factory.mktemp("c") / "run_saved_model")
  subprocess.run(
    [compiler, "-Wall", "-Wextra", "-Werror", "-O1"]
    + [str(ROOT / "examples" / "run_saved_model.c"), f"-I{library}/include"]
    + [f"-L{library}", f"-Wl,-rpath,{library}", "-l:libtensorflow_cc.so.2"]
    + ["-l:libtensorflow_framework.so.2", "-o", path],
    check=True,
    timeout=600,  # linking against a gigabyte, on a busy machine
  )
  return path


def test_c_program_says_what_is_wrong(exported, tmp_path, program):
  (tmp_path / "in.f32").write_bytes(b"1234")
  name, outputs = tensor_names(exported, "track")
  good = [exported, name, str(tmp_path / "in.f32"), "1", outputs["light"], "o"]
  for place, value, sentence in (
    (0, str(tmp_path), "Could not find SavedModel"),
    (1, "nothing:0", "no such tensor"),
    (3, "2", "does not have the size of its shape"),
    (3, "0", "is not a shape"),
  ):
    bad = [*good[:place], value, *good[place + 1 :]]
    done = subprocess.run([program, *bad], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and sentence in done.stderr


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
  "name", ["saved_model.pb", "variables/variables.data-00000-of-00001"]
)
def test_c_program_says_that_a_model_is_damaged(
  exported, images, tmp_path, program, name, place
):
  copy = tmp_path / "model"
  shutil.copytree(exported, copy)
  os.truncate(copy / name, int(place * os.path.getsize(copy / name)))
  images.tofile(tmp_path / "in.f32")
  given, outputs = tensor_names(exported, "track")
  shape = ",".join(map(str, images.shape))
  arguments = [str(copy), given, str(tmp_path / "in.f32"), shape, outputs["light"]]
  done = subprocess.run(
    [program, *arguments, str(tmp_path / "out.f32")],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 1, done.stderr  # not by a signal
  assert done.stderr.strip() and not (tmp_path / "out.f32").exists()


def test_serving_files(exported):
  parent = os.path.dirname(exported)
  models = open(f"{parent}/serving/models.config").read()
  assert 'name: "my_face"' in models and 'base_path: "/models/my_face"' in models
  script = open(f"{parent}/serving/docker_run.sh").read()
  for name in re.findall(r"serving/(\w+\.\w+)", script):
    assert os.path.exists(f"{parent}/serving/{name}")
  assert os.access(f"{parent}/serving/docker_run.sh", os.X_OK)
  subprocess.run(["sh", "-n", f"{parent}/serving/docker_run.sh"], check=True)
  assert model_name("/") == "personalized_face"


def test_client_example_over_rest(exported, loaded, images, tmp_path):
  """The example against a server that answers as the REST interface is documented."""
  asked = []

  class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
      body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
      asked.append((self.path, body["signature_name"]))
      values = [base64.b64decode(one["b64"]) for one in body["inputs"]["image_bytes"]]
      run = loaded.signatures[body["signature_name"]]
      outputs = run(image_bytes=tf.constant(values))
      answer = {name: value.numpy().tolist() for name, value in outputs.items()}
      data = json.dumps({"outputs": answer}).encode()
      self.send_response(200)
      self.end_headers()
      self.wfile.write(data)

    def log_message(self, *arguments):
      pass

  paths = [str(tmp_path / f"{i}.jpg") for i in range(3)]
  for path, data in zip(paths, jpegs(images), strict=True):
    pathlib.Path(path).write_bytes(data)
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = subprocess.run(
      [sys.executable, str(ROOT / "examples" / "serving_client.py")]
      + [f"--url=http://127.0.0.1:{server.server_port}", "--model=my_face"]
      + [f"--meta={exported}/assets.extra/meta.json", *paths],
      capture_output=True,
      text=True,
      timeout=120,
    )
    server.shutdown()
  assert done.returncode == 0, done.stderr
  assert asked == [("/v1/models/my_face:predict", "track_bytes")]
  lines = done.stdout.splitlines()
  tracked = loaded.signatures["track_bytes"](
    image_bytes=tf.constant(list(jpegs(images)))
  )
  for line, path, weights in zip(lines, paths, tracked["expression"], strict=True):
    strongest = ("jawOpen", "smile_L", "smile_R")[int(np.argmax(weights))]
    assert line.startswith(f"{path}: {strongest} {np.max(weights):.2f}")


def test_benchmark_s_throughput_is_of_pictures():
  timings = [Timing("track", 1, 10.0, 9.0), Timing("track", 4, 16.0, 15.0)]
  assert table(timings).endswith("| track | 10.0 (100) | 16.0 (250) |")


def test_benchmark_times_every_signature(system):
  timings = benchmark(system, rounds=1, batches=(1, 2))
  names = {timing.name for timing in timings}
  assert {"retarget", "track_bytes", "TrackNet alone"} < names and len(names) == 9
  assert len(timings) == 18 and all(0 < t.least_ms <= t.median_ms for t in timings)
  lines = table(timings).splitlines()
  assert len(lines) == 2 + 9 and "| 1: ms (pictures/s) | 2: ms" in lines[0]
