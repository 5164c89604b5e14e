import glob
import json
import os
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf
from toy_clip import SIZE

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.export.saved_model import export, export_run
from personalized_face.systems.personalized_face import build_system
from personalized_face.template.face_template import FaceTemplate

_SIGNATURES = [
  *("model_face", "model_face_bytes", "reconstruct", "reconstruct_bytes"),
  *("retarget", "serving_default", "track", "track_bytes"),
]
# A process that has TensorFlow and numpy, and cannot import this package.
_BARE = """
import sys
sys.modules["personalized_face"] = None  # an import of it is an ImportError
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
arrays = dict(np.load(sys.argv[2]))
images = tf.constant(arrays["images"])
run = model.signatures
person = run["model_face"](images=images)
flat = tf.reshape(images, [-1, *images.shape[2:]])
motion = run["track"](images=flat)
lead = images.shape[:2]
moved = {k: tf.reshape(v, [*lead, *v.shape[1:]]) for k, v in motion.items()}
results = {
  "model_face": person,
  "track": motion,
  "reconstruct": run["reconstruct"](images=images),
  "serving_default": run["serving_default"](images=images),
  "retarget": run["retarget"](**person, **moved),
}
np.savez(sys.argv[3], **{f"{s}/{n}": v.numpy() for s, d in results.items()
                         for n, v in d.items()})
assert sys.modules["personalized_face"] is None
"""


def run_bare(model_dir: str, images: np.ndarray, folder) -> dict[str, np.ndarray]:
  """Every signature's outputs on [B, N, S, S, 3], from a bare TensorFlow process."""
  np.savez(folder / "in.npz", images=images)
  out = folder / "out.npz"
  environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
  subprocess.run(
    [sys.executable, "-I", "-c", _BARE, model_dir, str(folder / "in.npz"), str(out)],
    cwd=folder,
    env=environment,
    check=True,
  )
  with np.load(out) as file:
    return dict(file)


def check_equal(system, images: np.ndarray, results: dict[str, np.ndarray]) -> None:
  """Holds the outputs of a bare process against the Python path, to 1e-4."""
  outputs = system(images)
  flat = system.track(images.reshape(-1, *images.shape[2:]))
  geometry, person = outputs.geometry, outputs.person
  masked = person.dynamic_albedo * system.template.attention_masks[..., np.newaxis]
  faces = {
    "vertices": outputs.mesh.vertices,
    "picture": outputs.rendering.image,
    "mask": outputs.rendering.mask,
    "landmarks": outputs.landmarks,
  }
  expected = {
    "model_face": {
      "neutral": geometry.neutral,
      "blendshapes": np.transpose(geometry.displacements, [0, 2, 1, 3]),
      "static_albedo": person.static_albedo,
      "dynamic_albedo": np.transpose(masked, [0, 3, 1, 2, 4]),
    },
    "track": flat._asdict(),
    "reconstruct": faces,
    "serving_default": faces,
    "retarget": faces,
  }
  assert set(results) == {f"{s}/{n}" for s, d in expected.items() for n in d}
  for signature, tensors in expected.items():
    for name, value in tensors.items():
      result, value = results[f"{signature}/{name}"], np.asarray(value)
      assert result.shape == value.shape
      # 1e-4 is what the issue asks for; landmarks are pixels, to 1e-4 of the crop.
      tolerance = 1e-4 * images.shape[2] if name == "landmarks" else 1e-4
      far = np.abs(result - value) > tolerance
      # Rounding may give a pixel on the border of two triangles to the other one.
      allowed = 1e-3 if name in ("picture", "mask") else 0.0
      assert far.mean() <= allowed, (signature, name, np.abs(result - value).max())


@pytest.fixture(scope="module")
def exported(system, tmp_path_factory):
  folder = tmp_path_factory.mktemp("models")
  return export(system, str(folder / "face"), version=3, config="# gin\n")


@pytest.fixture(scope="module")
def loaded(exported):
  return tf.saved_model.load(exported)


@pytest.fixture(scope="module")
def images():
  # Two persons with three pictures each.
  rng = np.random.default_rng(0)
  coarse = rng.uniform(0, 1, [2, 3, 4, 4, 3]).astype(np.float32)
  return np.repeat(np.repeat(coarse, SIZE // 4, 2), SIZE // 4, 3)


def test_export_equals_the_system_in_a_bare_process(system, exported, images, tmp_path):
  check_equal(system, images, run_bare(exported, images, tmp_path))


def test_export_full_size_equals_the_system_in_a_bare_process(tmp_path):
  # 12,264 vertices, 56 blendshapes, 128 texels, 224 pixels, the paper's networks.
  system = build_system(_full_size_template())
  for model in (system.model_net, system.track_net):
    for variable in model.trainable_variables:
      if variable.name == "kernel" and not np.any(variable):
        variable.assign(tf.random.normal(variable.shape, stddev=0.02, seed=1))
  path = export(system, str(tmp_path / "models"))
  images = np.random.default_rng(0).uniform(0, 1, [1, 2, 224, 224, 3])
  check_equal(
    system,
    images.astype(np.float32),
    run_bare(path, images.astype(np.float32), tmp_path),
  )
  # Networks 119 MB; the template's constants are stored once, not once a signature.
  sizes = [os.path.getsize(os.path.join(path, "saved_model.pb"))]
  sizes += [os.path.getsize(p) for p in glob.glob(f"{path}/variables/*")]
  assert 120e6 < sum(sizes) < 175e6


def _full_size_template() -> FaceTemplate:
  """A sheet of 84 x 146 vertices that bulges, with local random blendshapes."""
  rows, columns, count, side = 84, 146, 56, 128
  y, x = (g.ravel() for g in np.mgrid[1 : -1 : rows * 1j, -1 : 1 : columns * 1j])
  grid = np.arange(rows * columns).reshape(rows, columns)
  a, b, c, d = (
    g.ravel() for g in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:])
  )
  triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
  rng = np.random.default_rng(0)
  centres = rng.uniform(-0.8, 0.8, [count, 2, 1])
  near = np.exp(-((x - centres[:, 0]) ** 2 + (y - centres[:, 1]) ** 2) / 0.05)
  deltas = near[..., np.newaxis] * rng.normal(0, 0.1, [count, 1, 3])
  return FaceTemplate(
    name="sheet",
    source="this test",
    licence="Apache-2.0",
    vertices=np.stack([0.7 * x, 0.9 * y, np.cos(x) * np.cos(y)], 1).astype(np.float32),
    triangles=triangles[:-20].astype(np.int32),
    hole_triangles=triangles[-20:].astype(np.int32),
    uv=(np.stack([x, -y], 1) * 0.45 + 0.5).astype(np.float32),
    blendshape_names=tuple(f"shape{i}" for i in range(count)),
    blendshape_deltas=deltas.astype(np.float32),
    attention_masks=rng.uniform(0, 1, [side, side, count]).astype(np.float32),
    mean_albedo=rng.uniform(0.3, 0.7, [side, side, 3]).astype(np.float32),
    parsing_map=np.eye(8, dtype=np.float32)[np.ones([side, side], int)],
    landmark_vertices=rng.integers(0, rows * columns, 68).astype(np.int32),
    mirror_vertices=grid[:, ::-1].ravel().astype(np.int32),
  )


def test_export_two_persons_in_a_batch_come_out_as_each_alone(loaded, images):
  run = loaded.signatures["reconstruct"]
  both = run(images=tf.constant(images))
  assert np.abs(both["vertices"][0] - both["vertices"][1]).max() > 1e-3
  for b in range(2):
    alone = run(images=tf.constant(images[b : b + 1]))
    for name, value in alone.items():
      # Convolutions may sum a larger batch in another order.
      np.testing.assert_allclose(both[name][b], value[0], atol=1e-4)


def test_export_retarget_mixes_a_person_and_another_ones_motion(system, loaded, images):
  run = loaded.signatures
  person = run["model_face"](images=tf.constant(images[:1]))
  motion = run["track"](images=tf.constant(images[1, :2]))
  driven = run["retarget"](**person, **{k: v[tf.newaxis] for k, v in motion.items()})
  tracking = system.track(images[1, :2])
  outputs = system.reconstruct(
    system.model_face(images[:1]), Tracking(*(v[tf.newaxis] for v in tracking))
  )
  np.testing.assert_allclose(driven["vertices"], outputs.mesh.vertices, atol=1e-5)


def test_export_signatures_names_shapes_and_default(system, exported, loaded):
  run = loaded.signatures
  assert sorted(run) == _SIGNATURES
  template = system.template
  v, k, u = template.num_vertices, template.num_blendshapes, template.uv_size
  want = {
    "model_face": {
      "neutral": [None, v, 3],
      "blendshapes": [None, k, v, 3],
      "static_albedo": [None, u, u, 3],
      "dynamic_albedo": [None, k, u, u, 3],
    },
    "track": {
      "expression": [None, k],
      "rotation": [None, 3],
      "translation": [None, 3],
      "light": [None, 9, 3],
    },
    "reconstruct": {
      "vertices": [None, None, v, 3],
      "picture": [None, None, SIZE, SIZE, 3],
      "mask": [None, None, SIZE, SIZE],
      "landmarks": [None, None, 68, 2],
    },
  }
  want["serving_default"] = want["retarget"] = want["reconstruct"]
  for name in ("model_face", "track", "reconstruct"):
    want[f"{name}_bytes"] = want[name]
  for name, outputs in want.items():
    specs = run[name].structured_outputs
    assert {key: spec.shape.as_list() for key, spec in specs.items()} == outputs
    assert {spec.dtype for spec in specs.values()} == {tf.float32}
  meta = json.loads(open(f"{exported}/assets.extra/meta.json").read())
  assert meta["blendshape_names"] == list(template.blendshape_names)
  assert meta["template"]["hash"] == template.hash
  named = {"images", "image_bytes"} | {
    key for outputs in want.values() for key in outputs
  }
  assert set(meta["tensors"]) == named
  assert open(f"{exported}/assets.extra/config.gin").read() == "# gin\n"


def test_export_has_no_compiled_functions_and_no_custom_ops(exported, loaded):
  proto = open(f"{exported}/saved_model.pb", "rb").read()
  for signature in loaded.signatures.values():
    for function in signature.graph.as_graph_def().library.function:
      for name in ("_XlaMustCompile", "_XlaCompile"):
        assert not function.attr[name].b, function.signature.name
  # Python inside the graph; a custom op would already fail in the bare process.
  assert b"PyFunc" not in proto


def test_export_run_restores_the_checkpoint_and_keeps_the_config(system, tmp_path):
  run_dir = tmp_path / "run"
  run_dir.mkdir()
  system.template.save(str(run_dir / "template.npz"))
  text = (
    f"build_system.image_size = {SIZE}\nbuild_system.model_net_width = 0.1\n"
    "build_system.track_net_width = 0.1\nbuild_system.track_net_hidden = 8\n"
  )
  (run_dir / "config.gin").write_text(text)
  manager = tf.train.CheckpointManager(
    tf.train.Checkpoint(system=system), str(run_dir / "stage1"), max_to_keep=1
  )
  manager.save()
  try:
    path = export_run(str(run_dir), str(tmp_path / "models"), version=2)
  finally:
    gin.clear_config()
  assert path == str(tmp_path / "models" / "2")
  assert open(f"{path}/assets.extra/config.gin").read() == text
  images = np.random.default_rng(0).uniform(0, 1, [2, SIZE, SIZE, 3])
  images = images.astype(np.float32)
  tracked = tf.saved_model.load(path).signatures["track"](images=tf.constant(images))
  for name, value in system.track(images)._asdict().items():
    np.testing.assert_allclose(tracked[name], value, atol=1e-5)


def test_export_run_exception_raised_without_a_run(tmp_path):
  with pytest.raises(UserError, match="not a finished run"):
    export_run(str(tmp_path), str(tmp_path / "models"))


def test_export_exception_raised_and_nothing_left(system, exported, tmp_path):
  parent = os.path.dirname(exported)
  before = os.path.getmtime(f"{exported}/saved_model.pb")
  with pytest.raises(UserError, match="3 exists already and is not overwritten"):
    export(system, parent, version=3)
  assert os.path.getmtime(f"{exported}/saved_model.pb") == before
  assert sorted(os.listdir(parent)) == ["3", "serving"]
  with pytest.raises(UserError, match="positive integer"):
    export(system, str(tmp_path), version=0)
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot be written"):
    export(system, str(tmp_path / "file"), version=1)
