"""What TFLite files cost and save: landmark error and time of a frame, beside Keras.

Tracking and the person's mesh, one frame a call, on frames that training did not see.
In each frame every variant runs once, so that a busy machine slows all alike.
"""

import itertools
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.core.types import PersonModel, Tensor, Tracking
from personalized_face.export.tflite import KINDS, spread_frames
from personalized_face.inference.tflite_runner import TFLiteGeometry, TFLiteTrackNet
from personalized_face.inference.track import to_float
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.systems.personalized_face import PersonalizedFace

THREADS = (1, 2)


class Row(NamedTuple):
  """One variant, over the frames."""

  name: str
  nme_percent: float  # mean
  track_ms: float  # median
  geometry_ms: float  # median
  total_ms: float  # median of the sums
  least_ms: float  # of the sums


class _Variant(NamedTuple):
  """Two calls that return once their numpy results are there."""

  track: Callable[[np.ndarray], Tracking]  # crops [1, S, S, 3] uint8
  decode: Callable[[Tracking], tuple[np.ndarray, np.ndarray]]


def benchmark(
  system: PersonalizedFace,
  person: PersonModel,
  records_dir: str,
  files_dir: str,
  num_frames: int = 60,
  threads: tuple[int, ...] = THREADS,
) -> list[Row]:
  """Measures Keras and the files that `export_tflite` wrote.

  Args:
    system: with trained networks.
    person: who is on the records, without the leading dimension B.
    records_dir: its held-out frames are used, spread if there are more.
    files_dir: the files' folder.
    num_frames: at most so many; one more warms up.
    threads: of TrackNet's interpreters; the geometry's has its one. Keras takes as many
      as TensorFlow does.
  """
  count, size = system.template.num_blendshapes, system.camera.height
  variants = {"Keras": _keras(system, person)}
  for kind, number in itertools.product(KINDS, threads):
    track, geometry = (
      os.path.join(files_dir, f"{part}_{kind}.tflite") for part in ("track", "geometry")
    )
    variants[f"{kind}, {number} thread{'s' * (number > 1)}"] = _Variant(
      TFLiteTrackNet(track, count, size, number),
      TFLiteGeometry(geometry, count),
    )
  errors = {name: [] for name in variants}
  seconds = {name: [] for name in variants}
  frames, landmarks = spread_frames(records_dir, "test", size, num_frames)
  for i in (0, *range(len(frames))):  # the first one warms up
    for name, variant in variants.items():
      start = time.perf_counter()
      tracking = variant.track(frames[i : i + 1])
      tracked = time.perf_counter()
      _, found = variant.decode(tracking)
      seconds[name].append((tracked - start, time.perf_counter() - tracked))
      errors[name].append(float(nme_percent(found[0], landmarks[i])))
  rows = []
  for name, times in seconds.items():
    times = 1000 * np.array(times[1:])
    parts = np.median(times, axis=0).tolist()
    sums = times.sum(axis=1)
    error, total = float(np.mean(errors[name][1:])), float(np.median(sums))
    rows.append(Row(name, error, *parts, total, float(sums.min())))
  return rows


def table(rows: list[Row]) -> str:
  """Markdown."""
  lines = [
    "| | NME % | tracking ms | geometry ms | together ms | least ms |",
    "|---|---|---|---|---|---|",
  ]
  lines += [
    f"| {row.name} | {row.nme_percent:.3f} | {row.track_ms:.1f} | "
    f"{row.geometry_ms:.1f} | {row.total_ms:.1f} | {row.least_ms:.1f} |"
    for row in rows
  ]
  return "\n".join(lines)


def _keras(system: PersonalizedFace, person: PersonModel) -> _Variant:
  batch = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
  geometry = system.face_model.geometry(*system.face_model.vertex_offsets(batch))

  @tf.function
  def track(images: Tensor) -> Tracking:
    return system.track(images)

  @tf.function
  def decode(tracking: Tracking) -> tuple[Tensor, Tensor]:
    grouped = Tracking(*(value[tf.newaxis] for value in tracking))  # B = 1
    vertices = system.face_model.shape(geometry, grouped.expression)
    vertices = system.camera_vertices(vertices, grouped)[0]
    return vertices, system.project_landmarks(vertices)

  return _Variant(
    lambda crops: Tracking(*(value.numpy() for value in track(to_float(crops)))),
    lambda tracking: tuple(value.numpy() for value in decode(tracking)),
  )
