"""The figures of a preparation: a sentence for the screen, a .json for comparisons."""

import os
import resource

from personalized_face.data import merge, records
from personalized_face.data.gates import GATES
from personalized_face.data.manifest import read_manifest

_GATE_WORDS = {"no_face": "without the face", "other_face": "of somebody else"}
_PER_CLIP = ("clip", "status", "read", *GATES, "train", "test", "two_faces")


def describe(info: dict, folder: str) -> str:
  """What `prepare` did, for the screen."""
  gates, splits, inputs = info["gates"], info["splits"], info["inputs"]
  dropped = [
    f"{gates[gate]} {_GATE_WORDS.get(gate, gate.replace('_', ' '))}"
    for gate in GATES
    if gates[gate]
  ]
  text = (
    f"{gates['read']} frames: {', '.join(dropped) or 'none dropped'}; "
    f"{splits['train']['frames']} for training and {splits['test']['frames']} held out "
    f"are in {folder}."
  )
  others = [f"{n} {status}" for status, n in sorted(inputs.items()) if status != "ok"]
  if others:
    text += (
      f"\nOf {sum(inputs.values())} inputs {inputs.get('ok', 0)} are in it, "
      f"{', '.join(others)}: see {os.path.join(folder, merge.MANIFEST)}."
    )
  return text


def write_report(path: str, info: dict, folder: str) -> None:
  """Writes the figures of a run as JSON.

  Args:
    path: of the file.
    info: what `prepare` returned.
    folder: of the records.
  """
  rows = read_manifest(os.path.join(folder, merge.MANIFEST))
  report = {
    "inputs": info["inputs"],
    "gates": info["gates"],
    "splits": info["splits"],
    "run": info["run"],
    "peak_memory_mib": peak_memory_mib(),
    "clips": [
      {
        **{name: getattr(row, name) for name in _PER_CLIP},
        "source_frames": row.source_frames,
        "seconds": row.seconds,
        "cpu_seconds": row.cpu_seconds,
      }
      for row in rows
    ],
  }
  records.write_json(path, report)


def peak_memory_mib() -> dict[str, float]:
  """The largest resident size so far, of this process and of its largest worker."""
  sizes = {
    "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
  }
  return {name: round(size / 1024, 1) for name, size in sizes.items()}  # of KiB, Linux
