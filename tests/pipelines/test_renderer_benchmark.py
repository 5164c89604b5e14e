"""pface_benchmark_renderer: what it times is right, what it writes is complete."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from personalized_face.pipelines import renderer_benchmark, renderer_timing
from personalized_face.pipelines.renderer_benchmark import BASE, benchmark, flat_figures
from personalized_face.pipelines.renderer_timing import Case, Work
from personalized_face.pipelines.tfg_rasterizer import TfgRenderer, compile_kernel
from personalized_face.rendering.rasterize import triangle_ids
from personalized_face.rendering.renderer import RendererLayer

SMALL = Case(size=40, images=2, sheet=12)
PROMISED = (
  "cpu_forward_ms",
  "cpu_forward_backward_ms",
  "xla_forward_ms",
  "xla_id_agreement",
  "tfg_forward_ms",
  "tfg_forward_backward_ms",
)


@pytest.fixture(scope="module")
def tfg_library(tmp_path_factory):
  if not shutil.which("g++"):
    pytest.skip("there is no g++")
  return compile_kernel(str(tmp_path_factory.mktemp("tfg")))


def test_reference_ids_equal_the_exact_backend():
  scene = renderer_timing.make_scene(SMALL)
  ours = triangle_ids(scene.vertices, scene.triangles, scene.camera, "xla")
  for image, vertices in zip(ours.numpy(), scene.vertices.numpy(), strict=True):
    reference = renderer_timing.reference_ids(vertices, scene.triangles, scene.camera)
    np.testing.assert_array_equal(image, reference)
    assert 0.2 < (image >= 0).mean() < 0.95


def test_tfg_draws_the_same_picture_and_gradients(tfg_library):
  scene = renderer_timing.make_scene(SMALL)
  rival = TfgRenderer(tfg_library, scene.triangles, scene.uv, scene.camera)
  exact = triangle_ids(scene.vertices, scene.triangles, scene.camera, "xla").numpy()
  # Fixed point of 16 bits: a centre in a hundred changes sides of an edge.
  assert (rival.triangle_ids(scene.vertices).numpy() == exact).mean() > 0.98
  labels = np.ones((1, 1, 1), np.float32)
  layer = RendererLayer(
    scene.triangles, scene.triangles[:0], scene.uv, labels, scene.camera
  )
  ours = renderer_timing._gradients(
    lambda vertices, maps: layer(vertices[None], maps[None], scene.light[None]).image
  )
  _, theirs = renderer_timing._contender("tfg", scene, tfg_library)
  for a, b in zip(
    *(f(scene.vertices, scene.maps) for f in (ours, theirs)), strict=True
  ):
    a, b = tf.convert_to_tensor(a).numpy(), tf.convert_to_tensor(b).numpy()
    assert np.abs(a).max() > 0
    # The few pixels with another triangle weigh in; the rest is the same.
    assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(a)


def test_measure_times_what_is_there_and_says_what_is_not():
  work = Work(2, (SMALL,), (1, 2), None, agreement=True, plain=True, antialias=True)
  result = renderer_timing.measure(SMALL, work, first=True)
  assert result["missing"]["tfg"]
  assert result["triangles"] == 2 * 11 * 11
  for kind in ("forward_ms", "forward_backward_ms", "forward_fastest_ms"):
    assert result[kind]["xla"] > 0
  assert "xla_plain" in result["forward_ms"]
  assert result["id_agreement"]["xla"] >= 0.9999
  for switch in ("off", "on"):
    times = result["antialias_ms"]["xla"][switch]
    assert times["forward"] > 0 and times["forward_backward"] > 0


def fake_results(missing=("cpu",)):
  def result(case, threads):
    names = [n for n in renderer_benchmark.TITLES if n not in missing]
    ms = {name: 10.0 * k / threads + 1 for k, name in enumerate(names)}
    return {
      "case": dataclasses.asdict(case),
      "threads": threads,
      "triangles": 24002,
      "missing": {name: "not here" for name in missing},
      "forward_ms": ms,
      "forward_backward_ms": {n: 3 * v for n, v in ms.items() if n != "xla_plain"},
      "id_agreement": {name: 0.99995 for name in names},
      "antialias_ms": {
        "xla": {
          "off": {"forward": 5.0, "forward_backward": 25.0},
          "on": {"forward": 9.0, "forward_backward": 45.0},
        }
      },
    }

  return [
    result(BASE, 2),
    result(dataclasses.replace(BASE, size=64), 2),
    result(BASE, 1),
  ]


def test_flat_figures_have_every_promised_key():
  figures = flat_figures(fake_results())
  assert set(PROMISED) <= set(figures)
  assert figures["cpu_forward_ms"] is None
  assert figures["cpu_forward_times_faster_than_tfg"] is None
  assert figures["xla_id_agreement"] == 0.99995
  assert figures["xla_render_forward_ms"] == 5
  assert figures["xla_render_forward_backward_antialias_ms"] == 45
  everything = flat_figures(fake_results(missing=()))
  assert everything["xla_forward_ms_64_pixels"] == everything["xla_forward_ms"]
  assert everything["cpu_forward_ms"] == 1
  assert everything["cpu_forward_times_faster_than_tfg"] == everything["tfg_forward_ms"]
  assert not [key for key, value in everything.items() if value is None]
  results = fake_results(missing=())
  results[-1]["forward_ms"]["cpu"] = 1.75  # on one thread
  assert flat_figures(results)["cpu_forward_speedup_2_threads"] == 1.75


def test_benchmark_writes_json_and_tables(monkeypatch, tmp_path):
  def no_compiler(folder):
    raise renderer_benchmark.UserError("There is no C++ compiler.")

  plans = []

  def lines(work, environment):
    plans.append(work)
    yield json.dumps(fake_results(("cpu", "tfg"))[0])

  monkeypatch.setattr(renderer_benchmark, "compile_kernel", no_compiler)
  monkeypatch.setattr(renderer_benchmark, "_lines_of", lines)
  path = tmp_path / "figures.json"
  text = benchmark(str(path), quick=True)
  assert [(work.threads, work.cases) for work in plans] == [(2, (BASE,))]
  figures = json.loads(path.read_text())
  assert not [value for value in figures.values() if isinstance(value, dict | list)]
  assert all(key in figures for key in PROMISED)
  assert figures["tfg_forward_ms"] is None and figures["xla_forward_ms"] > 0
  assert "| `xla` | 1 | 3 | 99.995 % |" in text
  assert "| `xla`, antialias | 9 | 45 |" in text


def test_full_plan_covers_sizes_images_triangles_and_threads():
  two, one = renderer_benchmark._plan(None, quick=False)
  assert (two.threads, one.threads) == (2, 1)
  assert two.cases[0] == one.cases[0] == BASE
  assert {case.size for case in two.cases} == {64, 112, 224, 448}
  assert {case.images for case in two.cases} >= {1, 4, 16, 32}
  assert len({case.sheet for case in two.cases}) == 5


def test_failed_process_is_not_silent():
  bad = Work(2, ({"no_such": 1},), (1, 1), None, False, plain=False, antialias=False)
  with pytest.raises(RuntimeError, match="A measuring process failed"):
    list(renderer_benchmark._lines_of(bad, dict(os.environ)))
