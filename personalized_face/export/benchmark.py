"""How long each signature of an export takes, beside the bare networks.

Every signature is timed on batches of 1, 4 and 16 pictures of one person, in the same
process and alternating with the others, so that a busy machine slows all alike. The
networks alone (no mesh, no renderer) run as graphs of the same system.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.export.saved_model import ServedFace
from personalized_face.systems.personalized_face import PersonalizedFace

BATCHES = (1, 4, 16)


class Timing(NamedTuple):
  """Of one signature at one batch size."""

  name: str
  batch: int  # pictures
  median_ms: float
  least_ms: float

  @property
  def pictures_per_second(self) -> float:
    """Throughput at the median."""
    return 1000 * self.batch / self.median_ms


def benchmark(
  system: PersonalizedFace, rounds: int = 10, batches: tuple[int, ...] = BATCHES
) -> list[Timing]:
  """Times the signatures and the networks.

  Args:
    system: with any weights.
    rounds: timed calls of each; one more warms up.
    batches: numbers of pictures.
  """
  signatures = ServedFace(system).signatures()
  side = system.camera.height
  networks = {
    name: tf.function(call, autograph=False)
    for name, call in (
      ("ModelNet alone", lambda images: system.model_face(images)),
      ("TrackNet alone", lambda images: system.track(images[0])),
    )
  }
  calls: dict[tuple[str, int], Callable] = {}
  for batch in batches:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 1, [1, batch, side, side, 3]), tf.float32)
    for name, network in networks.items():
      calls[name, batch] = _bound(network, images)
    inputs = _inputs(signatures, images)
    for name, given in inputs.items():
      calls[name, batch] = _bound(signatures[name], **given)
  seconds = {key: [] for key in calls}
  for call in calls.values():
    call()
  for _ in range(rounds):
    for key, call in calls.items():
      start = time.perf_counter()
      call()
      seconds[key].append(time.perf_counter() - start)
  return [
    Timing(name, batch, 1000 * float(np.median(times)), 1000 * min(times))
    for (name, batch), times in seconds.items()
  ]


def table(timings: list[Timing]) -> str:
  """Markdown, one row a signature."""
  batches = sorted({timing.batch for timing in timings})
  head = " | ".join(f"{batch}: ms (pictures/s)" for batch in batches)
  lines = [f"| signature | {head} |", "|---" * (len(batches) + 1) + "|"]
  for name in dict.fromkeys(timing.name for timing in timings):
    cells = [
      f"{timing.median_ms:.1f} ({timing.pictures_per_second:.0f})"
      for timing in timings
      if timing.name == name
    ]
    lines.append(f"| {name} | {' | '.join(cells)} |")
  return "\n".join(lines)


def _inputs(signatures: dict, images: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
  """What each signature is given, for pictures [1, N, S, S, 3]."""
  pixels = tf.cast(tf.round(images[0] * 255), tf.uint8)
  encoded = tf.stack([tf.io.encode_jpeg(picture) for picture in pixels])
  person = signatures["model_face"](images=images)
  motion = signatures["track"](images=images[0])
  moved = {name: value[tf.newaxis] for name, value in motion.items()}
  return {
    "model_face": {"images": images},
    "model_face_bytes": {"image_bytes": encoded[tf.newaxis]},
    "track": {"images": images[0]},
    "track_bytes": {"image_bytes": encoded},
    "reconstruct": {"images": images},
    "reconstruct_bytes": {"image_bytes": encoded[tf.newaxis]},
    "retarget": {**person, **moved},
  }


def _bound(function: Callable, *arguments, **named) -> Callable[[], None]:
  """A call that returns once its result is there."""

  def call() -> None:
    for value in tf.nest.flatten(function(*arguments, **named)):
      value.numpy()

  return call
