"""One video, one unit of work: its records and its row, complete or absent.

    source -> label_clip -> thinned -> split -> <key>.<split>.tfrecord, <key>.json

A unit's files lie in the work folder under a key made of all that decides them: the
input (name, size, time of change), the settings, the versions. The .json is written
last, each file under a temporary name first; so after a kill at any moment a unit is
done or is not, and one whose input or settings changed is not.
"""

import dataclasses
import hashlib
import json
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.data import record_format, records
from personalized_face.data.clip import ClipLabels, Preparation, label_clip
from personalized_face.data.corpora import ClipSource
from personalized_face.data.corpus_spec import LabelFiles, LandmarkFiles, TruthFiles
from personalized_face.data.detector import FaceDetector
from personalized_face.data.labelling import Labeller, beside
from personalized_face.data.manifest import ManifestRow
from personalized_face.data.spool import Spool
from personalized_face.data.stages import StageClock
from personalized_face.data.thinning import Thinning
from personalized_face.data.truth import Truth, read_truth
from personalized_face.data.video import frame_count

_KEY_CHARACTERS = 32


@dataclasses.dataclass(frozen=True)
class Work:
  """All that a unit needs to know but its source; goes to the workers.

  Attributes:
    folder: of the units' files.
    preparation, thinning: settings.
    split_by: "persons" or "frames".
    held_out: share set aside.
    landmarks, parsing: the corpus's files; None takes MediaPipe.
    truth: the corpus's files; None where nobody knows it.
    versions: of what decides the bytes of a record.
  """

  folder: str
  preparation: Preparation
  thinning: Thinning
  split_by: str = "persons"
  held_out: float = records.HELD_OUT_SHARE
  landmarks: LandmarkFiles | None = None
  parsing: LabelFiles | None = None
  truth: TruthFiles | None = None
  versions: tuple[tuple[str, str], ...] = ()

  def settings(self) -> dict:
    """What decides the records beside the input, as JSON can hold it."""
    values = dataclasses.asdict(self)
    del values["folder"]
    if self.truth is None:  # as when there was none: old units keep their keys
      del values["truth"]
    return {**values, "versions": dict(self.versions)}

  def labeller(self, detector: FaceDetector | None = None) -> Labeller:
    """A Labeller of these settings."""
    return Labeller(self.landmarks, self.parsing, detector, self.preparation.box_margin)


class Piece(NamedTuple):
  """Where the records of one clip's part of a split lie."""

  path: str
  offset: int
  bytes: int
  frames: int


class Unit(NamedTuple):
  """What came of one source."""

  key: str
  row: ManifestRow
  pieces: dict[str, Piece]  # by split; none where the source is of no use
  stages: dict[str, float]  # CPU seconds


def unit_key(source: ClipSource, work: Work) -> str:
  """What the source's unit is called; another name if anything about it changed."""
  paths = list(source.files or [source.path])
  for spec in (work.landmarks, work.parsing):
    if spec is not None:
      # The folder of the annotations: its time changes with what is put into it.
      paths += {os.path.dirname(beside(path, spec.files)) for path in paths[:1]}
  paths += _truth_paths(source, work)
  text = json.dumps(
    [tuple(source), work.settings(), [_state(path) for path in paths]], sort_keys=True
  )
  return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_KEY_CHARACTERS]


def _state(path: str) -> list:
  """Size and time of change of a file; of a folder, those of what is in it."""
  try:
    state = os.stat(path)
    if os.path.isdir(path):
      with os.scandir(path) as entries:
        return [
          [e.name, e.stat().st_size, e.stat().st_mtime_ns]
          for e in sorted(entries, key=lambda e: e.name)
        ]
    return [state.st_size, state.st_mtime_ns]
  except OSError as error:
    return [error.errno]


def unit_path(work: Work, key: str, suffix: str) -> str:
  """`<folder>/<two letters>/<key><suffix>`."""
  return os.path.join(work.folder, key[:2], key + suffix)


def finished_unit(work: Work, key: str) -> Unit | None:
  """The unit if it is done, its files whole; else None."""
  try:
    with open(unit_path(work, key, ".json"), encoding="utf-8") as file:
      values = json.load(file)
    pieces = {split: Piece(*piece) for split, piece in values["pieces"].items()}
    pieces = {
      split: piece._replace(path=unit_path(work, key, f".{split}.tfrecord"))
      for split, piece in pieces.items()
    }
    for piece in pieces.values():
      if os.path.getsize(piece.path) != piece.bytes:
        return None
    return Unit(key, ManifestRow(**values["row"]), pieces, values["stages"])
  except (OSError, ValueError, KeyError, TypeError):
    return None


def save_unit(work: Work, unit: Unit) -> Unit:
  """Writes the file that says that the unit is done."""
  os.makedirs(os.path.dirname(unit_path(work, unit.key, "")), exist_ok=True)
  records.write_json(
    unit_path(work, unit.key, ".json"),
    {"row": unit.row._asdict(), "pieces": unit.pieces, "stages": unit.stages},
  )
  return unit


def run_unit(
  source: ClipSource, work: Work, labeller: Labeller, progress: bool = False
) -> Unit:
  """Prepares one source, whatever is wrong with it.

  Args:
    source: the clip.
    work: settings, and where the files go.
    labeller: gives landmarks and parsing maps.
    progress: whether to show a bar over the frames.

  Raises:
    OSError: the work folder cannot be written to; the input is not to blame.
  """
  start, cpu_start = time.monotonic(), time.process_time()
  key = unit_key(source, work)
  clock = StageClock()
  os.makedirs(os.path.dirname(unit_path(work, key, "")), exist_ok=True)
  row = ManifestRow(source.clip, source.person, source.path, "ok")
  pieces = {}
  with Spool(unit_path(work, key, f".{os.getpid()}.spool")) as spool:
    try:
      labels = label_clip(source, work.preparation, labeller, spool, clock, progress)
    except UserError as error:
      row = row._replace(status="unreadable", reason=str(error))
    except Exception as error:  # of a library, on what nobody thought of
      logging.debug(traceback.format_exc())
      what = f"{type(error).__name__}: {' '.join(str(error).split())}"
      row = row._replace(
        status="failed", reason=f"{source.path} could not be prepared ({what})."
      )
    else:
      row, pieces = _write_clip(source, row, labels, spool, work, key, clock)
  row = row._replace(
    seconds=round(time.monotonic() - start, 3),
    cpu_seconds=round(time.process_time() - cpu_start, 3),
  )
  stages = {name: round(seconds, 4) for name, seconds in clock.seconds.items()}
  return save_unit(work, Unit(key, row, pieces, stages))


def _write_clip(
  source: ClipSource,
  row: ManifestRow,
  labels: ClipLabels,
  spool: Spool,
  work: Work,
  key: str,
  clock: StageClock,
) -> tuple[ManifestRow, dict[str, Piece]]:
  """Thins, splits and writes what is in the spool."""
  counts, size = labels.counts, work.preparation.size
  stem = unit_path(work, key, ".")
  row = row._replace(**counts, reason=_reason(source, work.preparation, labels))
  if not len(spool) and counts["no_face"] + counts["other_face"] == counts["read"]:
    reason = (
      f"No face was found in {source.path} ({counts['read']} frames); give a "
      "video that shows one, upright and well lit."
    )
    return row._replace(status="no face", reason=reason), {}
  chosen = {}
  if len(spool):
    with clock.stage("thin"):
      kept = work.thinning.keep(spool.column("landmarks"), source.clip, size)
    row = row._replace(
      thinned=int((~kept).sum()), source_frames=spool.last_source_frame + 1
    )
    chosen = _split(source.person, np.nonzero(kept)[0], work)
  row = row._replace(**{split: len(frames) for split, frames in chosen.items()})
  usable = row.test if list(chosen) == ["test"] else row.train
  if usable < work.preparation.min_frames:
    dropped = ", ".join(
      f"{counts[gate]} {gate}"
      for gate in counts
      if counts[gate] and gate not in ("read", "two_faces")
    )
    reason = (
      f"{source.path} has too few usable frames ({len(spool)}"
      f"{'; dropped: ' + dropped if dropped else ''}) for groups of "
      f"{work.preparation.min_frames} beside the held-out ones; give a longer video."
    )
    reason = " ".join([reason, *labels.reasons[:1]])  # whose file is at fault
    return row._replace(status="too short", reason=reason, train=0, test=0), {}
  truth, problem = _read_truth(source, spool, work)
  if problem:
    row = row._replace(reason=f"{row.reason} {problem}".lstrip())
  with clock.stage("write"):
    pieces = {
      split: _write_split(frames, labels.clip, spool, truth, stem + split)
      for split, frames in chosen.items()
      if len(frames)
    }
  return row._replace(truth=0 if truth is None else row.train + row.test), pieces


def _split(person: str, kept: np.ndarray, work: Work) -> dict[str, np.ndarray]:
  """The frames of each split, indices into the spool."""
  if work.split_by == "persons":
    return {records.split_of_person(person, work.held_out): kept}
  held_out = records.held_out_frames(len(kept), work.held_out)
  rest = np.setdiff1d(np.arange(len(kept)), held_out)
  return {"train": kept[rest], "test": kept[np.unique(held_out)]}


def _truth_paths(source: ClipSource, work: Work) -> list[str]:
  """Of the motion and, where the corpus has it, of the person; none without truth."""
  if work.truth is None:
    return []
  names = (work.truth.motion, work.truth.person)
  return [beside(source.path, name).format() for name in names if name]


def _read_truth(
  source: ClipSource, spool: Spool, work: Work
) -> tuple[Truth | None, str]:
  """What is true of the frames in the spool, or a sentence on why nobody knows."""
  if work.truth is None:
    return None, ""
  motion, *person = _truth_paths(source, work)
  times, squares = spool.column("times"), spool.column("squares")
  try:
    found = read_truth(
      motion, person[0] if person else None, times, squares, work.preparation.size
    )
  except UserError as error:
    return None, f"Its records carry no ground truth: {error}"
  return found, ""


def _write_split(
  frames: np.ndarray,
  clip: record_format.ClipFrames,
  spool: Spool,
  truth: Truth | None,
  stem: str,
) -> Piece:
  """Writes one split's records, one part after the other."""
  path = f"{stem}.tfrecord"
  temporary = f"{path}.{os.getpid()}.tmp"
  count = records.count_parts(len(frames)).records

  def dealt() -> Iterator[record_format.ClipFrames]:
    for i in range(count):  # as record_format.parts deals them out
      part = frames[i::count]
      taken = spool.take(part, clip)
      yield taken if truth is None else taken._replace(truth=truth.take(part))

  try:
    records.write_records(temporary, dealt(), count)
    size = os.path.getsize(temporary)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)
  return Piece(path, 0, size, len(frames))


def _reason(source: ClipSource, preparation: Preparation, labels: ClipLabels) -> str:
  """What is wrong with a clip that is of use all the same; empty if nothing is."""
  read = labels.counts["read"]
  if labels.reasons:
    others = len(labels.reasons) - 1
    return labels.reasons[0] + (f" And {others} more like it." if others else "")
  expected = None if source.files else frame_count(source.path, preparation.fps)
  # A tenth of slack: what a file says of its length is an estimate.
  if expected is None or read >= 0.9 * expected - 1:
    return ""
  return (
    f"Only {read} of about {expected} frames of {source.path} can be decoded; the "
    "file is damaged."
  )


def crashed_unit(source: ClipSource, work: Work, exit_code: int | None) -> Unit:
  """The unit of a source that took its process with it."""
  reason = (
    f"{source.path} ended the process that read it (exit code {exit_code}); "
    "re-encode the file."
  )
  row = ManifestRow(source.clip, source.person, source.path, "crashed", reason)
  return save_unit(work, Unit(unit_key(source, work), row, {}, {}))


def total_stages(units: Sequence[Unit]) -> dict[str, float]:
  """CPU seconds of each stage over all units."""
  totals: dict[str, float] = {}
  for unit in units:
    for name, seconds in unit.stages.items():
      totals[name] = round(totals.get(name, 0.0) + seconds, 3)
  return totals
