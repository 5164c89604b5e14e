"""How long each stage took, on what, and how large the networks are."""

import os
import platform
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from personalized_face.systems.personalized_face import PersonalizedFace

# Supp. Section 1: both networks and the rest, on a Titan X; the size in MB.
PAPER_MS_ONE_IMAGE, PAPER_MS_FOUR_IMAGES, PAPER_MEGABYTES = 15.4, 37.5, 240
PAPER_HARDWARE = "Titan X"


def stage_milliseconds(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
  """The median of each stage, ms.

  The first call of a stage is left out where there are others: it holds the tracing of
  the graph and the loading of models.
  """
  return {
    stage: 1000 * float(np.median(taken[1:] if len(taken) > 1 else taken))
    for stage, taken in seconds.items()
  }


def network_megabytes(system: PersonalizedFace | None) -> float | None:
  """What the weights of both networks take on disk, uncompressed, in 10^6 bytes.

  None of no system, and of one that has no networks.
  """
  if system is None or system.model_net is None or system.track_net is None:
    return None
  weights = [*system.model_net.weights, *system.track_net.weights]
  return sum(np.asarray(weight).nbytes for weight in weights) / 1e6


def hardware() -> str:
  """The machine, for people: processor, cores that may be used, GPUs."""
  model = platform.processor() or platform.machine()
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      names = [line.split(":", 1)[1] for line in file if line.startswith("model name")]
    model = names[0].strip() if names else model
  except OSError:
    pass  # not Linux: the platform's own word stays
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
  gpus = [
    tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    for gpu in tf.config.list_physical_devices("GPU")
  ]
  return ", ".join([f"{model} ({cores or os.cpu_count()} cores)", *gpus])


def timing_markdown(
  seconds: Mapping[str, Mapping[str, Sequence[float]]], megabytes: float | None
) -> str:
  """A table of the stages of every system, and the size of the networks."""
  stages = list(dict.fromkeys(stage for taken in seconds.values() for stage in taken))
  lines = [f"### Time per stage, ms (median, without the first call); {hardware()}", ""]
  lines.append("| system | " + " | ".join([*stages, "sum"]) + " |")
  lines.append("|---|" + "---:|" * (len(stages) + 1))
  for system, taken in seconds.items():
    medians = stage_milliseconds(taken)
    if medians:
      cells = [f"{medians[s]:.1f}" if s in medians else "-" for s in stages]
      lines.append(
        f"| {system} | " + " | ".join(cells) + f" | {sum(medians.values()):.1f} |"
      )
  lines += [
    "",
    f"The paper (Supp. Section 1): {PAPER_MS_ONE_IMAGE} ms for one image, "
    f"{PAPER_MS_FOUR_IMAGES} ms for four, on a {PAPER_HARDWARE}; networks of "
    f"{PAPER_MEGABYTES} MB.",
  ]
  if megabytes is not None:
    lines.append(f"The networks of this run take {megabytes:.0f} MB (float32).")
  return "\n".join(lines) + "\n"
