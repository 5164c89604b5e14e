"""One process of the renderer's benchmark: one number of threads, several cases.

TensorFlow fixes its thread pools when it starts, so `renderer_benchmark` starts this
module as a program for each number of threads, with the `Work` as JSON on its input. It
writes a line of JSON for each case.

Contenders take turns, round after round, in one process: whatever else the machine does
meets all of them. What is reported is the median, and beside it the fastest round.
Results stay where they are: copying them out would add the same to every contender.
"""

import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from personalized_face.authoring.cache import load_template
from personalized_face.core import rotation, spherical_harmonics
from personalized_face.core.errors import UserError, sentence_of
from personalized_face.core.types import Tensor
from personalized_face.pipelines.tfg_rasterizer import TfgRenderer
from personalized_face.rendering import rasterize
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.renderer import RendererLayer

DISTANCE = 10.0  # decimetres, camera to head
TFG = "tfg"  # tensorflow-graphics' kernel and its own gradient
PLAIN = "xla_plain"  # the backend xla as a model server runs it: no jit_compile
_MAP_SIDE = 128  # texels of the albedo maps
_SECONDS = 2.0  # for each contender and case, once warm


@dataclasses.dataclass(frozen=True)
class Case:
  """What is drawn."""

  size: int = 224  # pixels
  images: int = 16
  sheet: int = 0  # vertices along the side of a sheet; 0 draws the default template


@dataclasses.dataclass(frozen=True)
class Work:
  """What a process is asked for."""

  threads: int
  cases: tuple[Case, ...]
  rounds: tuple[int, int]  # at least, at most
  tfg_library: str | None
  agreement: bool  # compare the first case's ids with the reference
  antialias: bool  # time the whole render with and without, on the first case
  plain: bool  # time PLAIN as well


@dataclasses.dataclass(frozen=True)
class _Scene:
  triangles: np.ndarray  # [T, 3]
  uv: np.ndarray  # [V, 2]
  vertices: Tensor  # [I, V, 3] camera space
  maps: Tensor  # [I, U, U, 3]
  light: Tensor  # [I, 9, 3]
  camera: Camera


def backend_names() -> list[str]:
  """All rasterizers of the package, available or not."""
  return list(rasterize._BACKENDS)


def make_scene(case: Case) -> _Scene:
  """A face, or a sheet of its size, in poses that differ from image to image."""
  if case.sheet:
    vertices, triangles, uv = _sheet(case.sheet)
  else:
    template = load_template()
    vertices, triangles, uv = template.vertices, template.triangles, template.uv
  rng = np.random.default_rng(0)
  angles = rng.uniform(-0.3, 0.3, (case.images, 3)).astype(np.float32)
  shift = rng.uniform(-0.05, 0.05, (case.images, 3)) - [0, 0, DISTANCE]
  centred = vertices - (vertices.max(0) + vertices.min(0)) / 2
  posed = rotation.transform(
    tf.tile(centred[np.newaxis].astype(np.float32), [case.images, 1, 1]),
    tf.constant(angles),
    tf.constant(shift, tf.float32),
  )
  light = spherical_harmonics.ambient_light(0.8) + rng.normal(scale=0.1, size=(9, 3))
  maps = rng.uniform(0.3, 0.8, (case.images, _MAP_SIDE, _MAP_SIDE, 3))
  return _Scene(
    np.asarray(triangles, np.int32),
    np.asarray(uv, np.float32),
    posed,
    tf.constant(maps, tf.float32),
    tf.constant(np.tile(light, (case.images, 1, 1)), tf.float32),
    Camera.for_crop(case.size),
  )


def measure(case: Case, work: Work, first: bool = False) -> dict:
  """Times every contender on one case.

  Args:
    case: what is drawn.
    work: how.
    first: also do what the work asks of its first case alone: compare the ids of the
      first image with `reference_ids`, and time `antialias`.

  Returns:
    `forward_ms` and `forward_backward_ms` per image by contender, the same of the
    fastest rounds (`_fastest_ms`), `missing` reasons, `triangles`, `id_agreement`
    shares, and `antialias_ms`, see `_time_antialias`.
  """
  scene = make_scene(case)
  missing, forward, whole = {}, {}, {}
  for name in [*backend_names(), *([PLAIN] if work.plain else []), TFG]:
    try:
      draw, step = _contender(name, scene, work.tfg_library)
      draw(scene.vertices[:1] if name != TFG else scene.vertices)
    except (UserError, ValueError, RuntimeError, OSError, ImportError) as error:
      missing[name] = sentence_of(error) if isinstance(error, UserError) else str(error)
      continue
    forward[name] = lambda draw=draw: draw(scene.vertices)
    if name != PLAIN:
      whole[name] = lambda step=step: step(scene.vertices, scene.maps)
  result = {
    "case": dataclasses.asdict(case),
    "threads": work.threads,
    "triangles": len(scene.triangles),
    "missing": missing,
  }
  for kind, contenders in (("forward", forward), ("forward_backward", whole)):
    times = _take_turns(contenders, work.rounds)
    for suffix, choose in (("ms", statistics.median), ("fastest_ms", min)):
      result[f"{kind}_{suffix}"] = {
        name: 1e3 * choose(seconds) / case.images for name, seconds in times.items()
      }
  if first and work.antialias:
    result["antialias_ms"] = _time_antialias(scene, work, forward)
  if first and work.agreement:
    reference = reference_ids(scene.vertices[0].numpy(), scene.triangles, scene.camera)
    result["id_agreement"] = {
      name: float((draw()[0].numpy() == reference).mean())
      for name, draw in forward.items()
    }
  return result


def reference_ids(
  vertices: np.ndarray, triangles: np.ndarray, camera: Camera
) -> np.ndarray:
  """The nearest triangle at each pixel centre, one triangle after the other in float64.

  Args:
    vertices: [V, 3], all before the near plane.
    triangles: [T, 3].
    camera: the camera.

  Returns:
    [H, W] int, -1 where there is none.
  """
  points = np.asarray(vertices, np.float64)
  scale = camera.focal_pixels / -points[:, 2]
  x = camera.principal_x + scale * points[:, 0]
  y = camera.principal_y - scale * points[:, 1]
  ids = np.full((camera.height, camera.width), -1)
  nearest = np.zeros(ids.shape)  # 1 / depth
  for t, corners in enumerate(triangles):
    px, py, inverse = x[corners], y[corners], 1 / -points[corners, 2]
    left, top = max(int(px.min()), 0), max(int(py.min()), 0)
    window = np.s_[top : int(py.max()) + 1, left : int(px.max()) + 1]
    rows, columns = ids[window].shape
    area = (px[1] - px[0]) * (py[2] - py[0]) - (px[2] - px[0]) * (py[1] - py[0])
    if not rows or not columns or not area:
      continue
    at_x = left + np.arange(columns) + 0.5
    at_y = (top + np.arange(rows) + 0.5)[:, np.newaxis]
    weights = [
      ((px[i] - at_x) * (py[j] - at_y) - (px[j] - at_x) * (py[i] - at_y)) / area
      for i, j in ((1, 2), (2, 0), (0, 1))
    ]
    depth = sum(w * k for w, k in zip(weights, inverse, strict=True))
    seen = (np.minimum.reduce(weights) >= 0) & (depth > nearest[window])
    nearest[window][seen] = depth[seen]
    ids[window][seen] = t
  return ids


def _contender(
  name: str, scene: _Scene, tfg_library: str | None
) -> tuple[Callable, Callable]:
  """Ids of the vertices; and gradients to vertices and maps of the shaded image."""
  if name == TFG:
    if not tfg_library:
      raise UserError("tensorflow-graphics' kernel has not been compiled.")
    rival = TfgRenderer(tfg_library, scene.triangles, scene.uv, scene.camera)
    return tf.function(rival.triangle_ids), _gradients(
      lambda vertices, maps: rival.render(vertices, maps, scene.light)
    )
  backend = "xla" if name == PLAIN else name
  if rasterize.choose_backend(backend) != backend:
    raise UserError(f"The rasterizer {backend} is not available here.")

  @tf.function
  def draw(vertices):
    return rasterize.triangle_ids(
      vertices, scene.triangles, scene.camera, backend, jit_compile=name != PLAIN
    )

  return draw, _gradients(_renderer(scene, backend))


def _renderer(scene: _Scene, backend: str, antialias: bool = False) -> Callable:
  """A function from vertices and maps to the picture of our renderer."""
  layer = RendererLayer(
    scene.triangles,
    scene.triangles[:0],
    scene.uv,
    np.ones((1, 1, 1), np.float32),
    scene.camera,
    backend=backend,
    jit_compile=True,
    antialias=antialias,
  )
  return lambda vertices, maps: (
    layer(vertices[None], maps[None], scene.light[None]).image
  )


def _time_antialias(scene: _Scene, work: Work, available: dict) -> dict:
  """Milliseconds per image of the whole render, by backend.

  Args:
    scene: what is drawn.
    work: how.
    available: the contenders there are.

  Returns:
    {backend: {"off" or "on": {"forward" or "forward_backward": ms}}}; `cpu`, `xla`.
  """
  contenders = {}
  for backend in ("cpu", "xla"):
    for switch in ("off", "on") if backend in available else ():
      render = _renderer(scene, backend, antialias=switch == "on")
      for kind, run in (
        ("forward", tf.function(render)),
        ("forward_backward", _gradients(render)),
      ):
        contenders[backend, switch, kind] = functools.partial(
          run, scene.vertices, scene.maps
        )
  found = {}
  for (backend, switch, kind), seconds in _take_turns(contenders, work.rounds).items():
    ms = 1e3 * statistics.median(seconds) / len(scene.vertices)
    found.setdefault(backend, {}).setdefault(switch, {})[kind] = ms
  return found


def _gradients(render: Callable) -> Callable:
  """A graph that renders and returns the gradients of a weighted sum of the image."""

  @tf.function
  def step(vertices, maps):
    with tf.GradientTape() as tape:
      tape.watch([vertices, maps])
      image = render(vertices, maps)
      # The target is not the image: no gradient is zero.
      loss = tf.reduce_mean((image - 0.3) ** 2)
    return tape.gradient(loss, [vertices, maps])

  return step


def _take_turns(
  contenders: dict[str, Callable], rounds: tuple[int, int]
) -> dict[str, list[float]]:
  """Seconds of every round, each the second of two calls.

  After another contender's turn the caches hold its data and threads of its pool still
  spin, which costs a quick one half its time; in a training loop neither is so.
  """
  for run in contenders.values():  # traces, compiles, fills caches
    run()
  times = {name: [] for name in contenders}
  least, most = rounds
  for count in range(most):
    slowest = max((sum(t) for t in times.values()), default=0.0)
    if count >= least and slowest > _SECONDS:
      break
    for name, run in contenders.items():
      run()
      tf.test.experimental.sync_devices()
      begin = time.perf_counter()
      run()
      tf.test.experimental.sync_devices()
      times[name].append(time.perf_counter() - begin)
  return times


def _sheet(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """A bulging sheet about the size of a face: [V, 3], [T, 3], [V, 2]."""
  rows, columns = np.mgrid[0:side, 0:side] / (side - 1)
  x, y = (columns - 0.5) * 1.6, (0.5 - rows) * 2.0
  vertices = np.stack([x, y, 0.6 * np.cos(1.3 * x) * np.cos(1.1 * y)], -1)
  index = np.arange(side * side).reshape(side, side)
  a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
  triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
  uv = np.stack([columns, rows], -1) * 0.9 + 0.05
  return vertices.reshape(-1, 3), triangles.reshape(-1, 3), uv.reshape(-1, 2)


def main() -> None:
  """Reads a Work, writes a line for each case."""
  given = json.load(sys.stdin)
  given["cases"] = tuple(Case(**case) for case in given["cases"])
  work = Work(**given)
  tf.config.threading.set_intra_op_parallelism_threads(work.threads)
  tf.config.threading.set_inter_op_parallelism_threads(work.threads)
  for index, case in enumerate(work.cases):
    result = measure(case, work, first=index == 0)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
  main()
