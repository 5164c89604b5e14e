"""What became of every input: the rows of manifest.csv, and who counts as failed."""

import csv
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from personalized_face.data.gates import GATES

# Of an input; all but the first three count as failures.
STATUSES = (
  "ok",
  "ignored",  # not an input: another kind of file, or not where the layout says
  "thinned",  # the corpus's clip_rule keeps others
  "no face",
  "too short",
  "unreadable",
  "failed",  # an error of ours; the reason says which
  "crashed",  # the process died of it, as it does of damaged files now and then
)
FAILURES = STATUSES[3:]
# Verdicts that depend on more than the input; such inputs are tried again in each run.
RETRIED = ("unreadable", "failed", "crashed")


class ManifestRow(NamedTuple):
  """What became of one input, and how many frames each gate dropped."""

  clip: str
  person: str
  path: str
  status: str  # of STATUSES
  reason: str = ""  # one sentence where something is wrong
  read: int = 0  # frames taken from the source, at Preparation.fps
  no_face: int = 0
  other_face: int = 0
  bad_landmarks: int = 0
  too_small: int = 0
  occluded: int = 0
  blurred: int = 0
  no_parsing: int = 0
  thinned: int = 0
  train: int = 0
  test: int = 0
  truth: int = 0  # frames whose ground truth is in the records
  two_faces: int = 0  # frames in which another face was seen; not a gate
  source_frames: int = 0  # up to the last one that was taken
  seconds: float = 0.0  # it took
  cpu_seconds: float = 0.0  # of processor time


_NUMBERS = {
  name: kind
  for name, kind in ManifestRow.__annotations__.items()
  if kind in (int, float)
}


def write_manifest(path: str, rows: Iterable[ManifestRow]) -> None:
  """Writes the rows as CSV; bytes of names that are not UTF-8 become question marks."""
  with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
    writer = csv.writer(file)
    writer.writerow(ManifestRow._fields)
    writer.writerows(rows)


def read_manifest(path: str) -> list[ManifestRow]:
  """Reads what `write_manifest` wrote."""
  with open(path, newline="", encoding="utf-8") as file:
    return [
      ManifestRow(**{k: _NUMBERS.get(k, str)(v) for k, v in row.items()})
      for row in csv.DictReader(file)
    ]


def gate_counts(rows: Sequence[ManifestRow]) -> dict[str, int]:
  """Frames in, dropped by each gate, and kept, over all inputs."""
  names = ("read", *GATES, "train", "test")
  return {name: sum(getattr(row, name) for row in rows) for name in names}
