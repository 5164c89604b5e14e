"""Videos to training records: what `pface_prepare_data` and the demo call.

    corpus -> units of work, one a video -> shards, manifest, index, counts

Units wait in `<output_dir>.work` until all are there; the output appears under its name
once it is complete. A run that was killed goes on from there, and records that exist
are taken over where input and settings are the same. Every input gets its row in the
manifest, whatever became of it.
"""

import contextlib
import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata

import cv2
import numpy as np
from absl import logging

import personalized_face
from personalized_face.core.errors import UserError
from personalized_face.data import (
  corpora,
  corpus_spec,
  crop,
  earlier_runs,
  merge,
  record_format,
  records,
)
from personalized_face.data.clip import Preparation
from personalized_face.data.corpora import ClipSource
from personalized_face.data.detector import FaceDetector
from personalized_face.data.manifest import (
  FAILURES,
  ManifestRow,
  gate_counts,
  write_manifest,
)
from personalized_face.data.runner import run_units
from personalized_face.data.thinning import Thinning
from personalized_face.data.units import (
  Unit,
  Work,
  total_stages,
)
from personalized_face.progress import tqdm

_CLIPS_PER_SHARD = 64

# Takes sources, Work, the number of workers, a detector and whether to show progress.
Runner = Callable[..., Iterator[Unit]]


def prepare(
  inputs: Sequence[str],
  output_dir: str,
  corpus: str = "video_per_person",
  name: str = "faces",
  num_shards: int | None = None,
  overwrite: bool = False,
  preparation: Preparation | None = None,
  thinning: Thinning | None = None,
  detector: FaceDetector | None = None,
  num_workers: int = 0,
  max_failures: int | None = None,
  follow_links: bool = False,
  runner: Runner = run_units,
) -> dict:
  """Makes a folder of training records; it appears only once it is complete.

  A tenth of the persons is held out by a hash of their names; where that leaves one of
  the splits empty (one person, or a few), a tenth of the frames of every clip instead.

  Args:
    inputs: videos, folders of images, images, or folders laid out as `corpus` says.
    output_dir: where the records go. Records of the same settings that are there stay
      where their inputs are unchanged; inputs that could not be read are tried again.
    corpus: of data_specs/corpora; says whose face a clip shows.
    name: of the records, the first part of their file names.
    num_shards: files per split; None makes one for every 64 clips.
    overwrite: whether to replace records of other settings or inputs.
    preparation, thinning: settings; None takes them as gin has them.
    detector: of faces; None takes MediaPipe's.
    num_workers: processes; 0 works in this one.
    max_failures: more inputs than that of no use end the run at once; None never does.
    follow_links: whether links that lead out of an input are read.
    runner: of the units; `beam_runner.run_units` is another.

  Returns:
    The dataset_info that is written beside the records: settings, frames dropped by
    each gate ("gates"), inputs by status ("inputs"), counts of the splits ("splits");
    and, not written, "run": what this run did, in seconds and frames.

  Raises:
    UserError: nothing to read, not one usable clip, more than `max_failures` of no
      use, or an output folder in the way.
  """
  start = time.monotonic()
  spec = corpus_spec.load(corpus)
  preparation, thinning = preparation or Preparation(), thinning or Thinning()
  if spec.min_frames is not None:
    preparation = dataclasses.replace(preparation, min_frames=spec.min_frames)
  output_dir = os.path.normpath(output_dir)
  with earlier_runs.work_folder(output_dir) as folder:
    old_output = os.path.join(folder, "old")
    merge.restore(output_dir, old_output)
    earlier_runs.check_output(output_dir)
    found = corpora.find_clips(inputs, spec, follow_links)
    work = Work(
      os.path.join(folder, "units"),
      preparation,
      thinning,
      _split_rule([source.person for source in found.clips], spec.held_out),
      spec.held_out,
      spec.landmarks,
      spec.parsing,
      truth=spec.truth,
      versions=tuple(_versions().items()),
    )
    done, pending = earlier_runs.sort_out(found.clips, work, output_dir, overwrite)
    fresh = _run(pending, work, runner, num_workers, detector, max_failures)
    units = [*done, *fresh]
    num_shards = num_shards or -(-len(found.clips) // _CLIPS_PER_SHARD)
    _check_usable(units, folder)
    rows = sorted(
      [*(unit.row for unit in units), *(_skipped_row(s) for s in found.skipped)],
      key=lambda row: (row.clip, row.path),
    )
    info = {
      "name": name,
      "format_version": record_format.FORMAT_VERSION,
      "corpus": spec.name,
      "corpus_spec": dataclasses.asdict(spec),
      "weight": spec.weight,
      "num_shards": num_shards,
      "splits": {},
      "inputs": dict(Counter(row.status for row in rows)),
      "gates": gate_counts(rows),
      "truth": sum(row.truth for row in rows),
      "landmark_box_fraction": crop.LANDMARK_BOX_FRACTION,
      **earlier_runs.settings(work),
    }
    if pending or not earlier_runs.is_complete(output_dir, info, done):
      _write_output(units, rows, info, folder, output_dir)
    else:
      info["splits"] = records.read_info(output_dir)["splits"]
    shutil.rmtree(folder, ignore_errors=True)
  return {**info, "run": _run_figures(fresh, len(done), time.monotonic() - start)}


def _versions() -> dict[str, str]:
  """Of what decides the bytes of a record."""
  return {
    "personalized_face": personalized_face.__version__,
    "mediapipe": metadata.version("mediapipe"),
    "opencv": cv2.__version__,
    "numpy": np.__version__,
  }


def _split_rule(persons: Sequence[str], held_out: float) -> str:
  """What is held out: "persons", or "frames" where they cannot be parted."""
  splits = {records.split_of_person(person, held_out) for person in persons}
  return "persons" if len(splits) == 2 or not held_out else "frames"


def _run(
  pending: Sequence[ClipSource],
  work: Work,
  runner: Runner,
  num_workers: int,
  detector: FaceDetector | None,
  max_failures: int | None,
) -> list[Unit]:
  """Prepares what is left to do.

  Raises:
    UserError: the only input failed, or too many did.
  """
  if not pending:
    return []
  single = len(pending) == 1
  units, failures = [], 0
  running = runner(
    pending, work, 0 if single else num_workers, detector, progress=single
  )
  with contextlib.closing(running):
    for unit in tqdm(running, "preparing", len(pending), unit="clip", disable=single):
      units.append(unit)
      failed = unit.row.status in FAILURES
      if unit.row.reason and not (single and failed):
        logging.warning("%s", unit.row.reason)
      failures += failed
      if max_failures is not None and failures > max_failures:
        raise UserError(
          f"{failures} inputs are of no use, more than --max_failures={max_failures}; "
          f"the last: {unit.row.reason} What is done stays done for the next run."
        )
  return units


def _check_usable(units: Sequence[Unit], folder: str) -> None:
  """Raises UserError where nothing can be written, and clears the work folder."""
  failed = [unit.row for unit in units if unit.row.status != "ok"]
  if len(failed) < len(units):
    return
  shutil.rmtree(folder, ignore_errors=True)
  if len(units) == 1:
    raise UserError(failed[0].reason)
  raise UserError(
    f"None of the {len(units)} inputs shows a usable face; the first: "
    f"{failed[0].reason}"
  )


def _skipped_row(skipped: corpora.Skipped) -> ManifestRow:
  return ManifestRow("", "", skipped.path, skipped.status, skipped.reason)


def _write_output(
  units: Sequence[Unit],
  rows: Sequence[ManifestRow],
  info: dict,
  folder: str,
  output_dir: str,
) -> None:
  """Merges the units in the work folder, then gives the result its name."""
  new = os.path.join(folder, "new")
  shutil.rmtree(new, ignore_errors=True)
  os.makedirs(new)
  info["splits"] = merge.write_shards(units, new, info["name"], info["num_shards"])
  records.write_json(os.path.join(new, "dataset_info.json"), info)
  features = record_format.features_json(info["preparation"]["size"])
  records.write_json(os.path.join(new, "features.json"), features)
  write_manifest(os.path.join(new, merge.MANIFEST), rows)
  merge.replace_folder(new, output_dir, os.path.join(folder, "old"))


def _run_figures(fresh: Sequence[Unit], reused: int, seconds: float) -> dict:
  """What this run did: for people who want to know where the time went."""
  source_frames = sum(unit.row.source_frames for unit in fresh)
  cpu = sum(unit.row.cpu_seconds for unit in fresh)
  return {
    "prepared": len(fresh),
    "reused": reused,
    "seconds": round(seconds, 3),
    "cpu_seconds": round(cpu, 3),
    "source_frames": source_frames,
    "source_frames_per_cpu_second": round(source_frames / cpu, 1) if cpu else None,
    "cpu_seconds_by_stage": total_stages(fresh),
  }
