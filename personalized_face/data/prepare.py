"""Videos to training records: what `pface_prepare_data` and the demo call.

    clips of a corpus -> read, tracked, labelled -> neutral frames thinned
    -> held-out part set aside -> TFRecord shards, manifest, counts

Every input gets its row in the manifest, whatever became of it.
"""

import csv
import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import NamedTuple

import cv2
import numpy as np
from absl import logging
from tqdm import tqdm

import personalized_face
from personalized_face.core.errors import UserError
from personalized_face.data import corpora, crop, records
from personalized_face.data.clip import Preparation, read_clip
from personalized_face.data.detector import FaceDetector, MediaPipeDetector
from personalized_face.data.thinning import Thinning
from personalized_face.data.video import frame_count

_CLIPS_PER_SHARD = 64
_LANDMARK_SOURCE = "MediaPipe FaceMesh, 478 points, mapped to iBUG 68"
_PARSING_SOURCE = "polygons of the MediaPipe mesh"


class ManifestRow(NamedTuple):
  """What became of one input, and how many frames each gate dropped."""

  clip: str
  person: str
  path: str
  status: str  # "ok", "unreadable", "no face", "too short"
  reason: str = ""  # one sentence where something is wrong
  read: int = 0
  no_face: int = 0
  too_small: int = 0
  thinned: int = 0
  train: int = 0
  test: int = 0
  seconds: float = 0.0


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
) -> dict:
  """Makes a folder of training records; it appears only once it is complete.

  A tenth of the persons is held out by a hash of their names; where that leaves one of
  the splits empty (one person, or a few), a tenth of the frames of every clip instead.

  Args:
    inputs: videos, folders of images, images, or folders laid out as `corpus` says.
    output_dir: where the records go.
    corpus: of data_specs/corpora; says whose face a clip shows.
    name: of the records, the first part of their file names.
    num_shards: files per split; None makes one for every 64 clips.
    overwrite: whether to replace records that are there.
    preparation, thinning: settings; None takes them as gin has them.
    detector: of faces; None takes MediaPipe's.

  Returns:
    The dataset_info that is written beside the records: settings, frames dropped by
    each gate ("gates"), inputs by status ("inputs"), counts of the splits ("splits").

  Raises:
    UserError: nothing to read, not one usable clip, or an output folder in the way.
  """
  preparation, thinning = preparation or Preparation(), thinning or Thinning()
  output_dir = os.path.normpath(output_dir)
  _check_output(output_dir, overwrite)
  sources = corpora.find_clips(inputs, corpus)
  num_shards = num_shards or -(-len(sources) // _CLIPS_PER_SHARD)
  split_by = _split_rule([source.person for source in sources])
  temporary = f"{output_dir}.{os.getpid()}.tmp"
  try:
    os.makedirs(temporary)
  except OSError as error:
    raise UserError(f"{output_dir} cannot be made ({error.strerror}).") from error
  try:
    writer = records.RecordsWriter(temporary, name, num_shards)
    rows = _write_clips(
      sources, writer, split_by, preparation, thinning, detector or MediaPipeDetector()
    )
    info = {
      "name": name,
      "format_version": records.FORMAT_VERSION,
      "corpus": corpus,
      "num_shards": num_shards,
      "splits": writer.close(),
      "split_by": split_by,
      "inputs": dict(Counter(row.status for row in rows)),
      "gates": _gate_counts(rows),
      "landmarks": _LANDMARK_SOURCE,
      "parsing": _PARSING_SOURCE,
      "landmark_box_fraction": crop.LANDMARK_BOX_FRACTION,
      "preparation": dataclasses.asdict(preparation),
      "thinning": dataclasses.asdict(thinning),
      "versions": _versions(),
    }
    records.write_json(os.path.join(temporary, "dataset_info.json"), info)
    features = records.features_json(preparation.size)
    records.write_json(os.path.join(temporary, "features.json"), features)
    _write_manifest(os.path.join(temporary, "manifest.csv"), rows)
    if os.path.isdir(output_dir):
      shutil.rmtree(output_dir)
    os.replace(temporary, output_dir)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
  return info


def _versions() -> dict[str, str]:
  """Of what decides the bytes of a record."""
  return {
    "personalized_face": personalized_face.__version__,
    "mediapipe": metadata.version("mediapipe"),
    "opencv": cv2.__version__,
    "numpy": np.__version__,
  }


def _check_output(output_dir: str, overwrite: bool) -> None:
  """Only records are replaced, and only when asked to."""
  if not os.path.lexists(output_dir):
    return
  if os.path.isdir(output_dir) and not os.listdir(output_dir):
    return
  if not os.path.isfile(os.path.join(output_dir, "dataset_info.json")):
    raise UserError(f"{output_dir} exists and is not records; give another folder.")
  if not overwrite:
    raise UserError(
      f"There are records in {output_dir} already; give --overwrite or another folder."
    )


def _split_rule(persons: Sequence[str]) -> str:
  """What is held out: "persons", or "frames" where they cannot be parted."""
  splits = {records.split_of_person(person) for person in persons}
  return "persons" if len(splits) == 2 else "frames"


def _write_clips(
  sources: Sequence[corpora.ClipSource],
  writer: records.RecordsWriter,
  split_by: str,
  preparation: Preparation,
  thinning: Thinning,
  detector: FaceDetector,
) -> list[ManifestRow]:
  """Prepares and writes clip by clip.

  Raises:
    UserError: the only input failed, or all did.
  """
  rows = []
  single = len(sources) == 1
  for source in tqdm(sources, "preparing", unit="clip", disable=single):
    start = time.monotonic()
    row, splits = _prepare_clip(
      source, split_by, preparation, thinning, detector, progress=single
    )
    for split, clip in splits.items():
      writer.write(split, clip)
    rows.append(row._replace(seconds=round(time.monotonic() - start, 2)))
    if row.reason and not (single and row.status != "ok"):
      logging.warning(row.reason)
  failed = [row for row in rows if row.status != "ok"]
  if single and failed:
    raise UserError(failed[0].reason)
  if len(failed) == len(rows):
    raise UserError(
      f"None of the {len(rows)} inputs shows a usable face; the first: "
      f"{failed[0].reason}"
    )
  return rows


def _prepare_clip(
  source: corpora.ClipSource,
  split_by: str,
  preparation: Preparation,
  thinning: Thinning,
  detector: FaceDetector,
  progress: bool,
) -> tuple[ManifestRow, dict[str, records.ClipFrames]]:
  """One clip's row, and its frames by split; none where the clip is of no use."""
  row = ManifestRow(source.clip, source.person, source.path, "ok")
  try:
    clip, counts = read_clip(source, preparation, detector, progress)
  except UserError as error:
    return row._replace(status="unreadable", reason=str(error)), {}
  row = row._replace(**counts, reason=_missing_frames(source, preparation, counts))
  if counts["no_face"] == counts["read"]:
    reason = (
      f"No face was found in {source.path} ({counts['read']} frames); give a "
      "video that shows one, upright and well lit."
    )
    return row._replace(status="no face", reason=reason), {}
  kept = np.zeros(0, bool)
  splits = {}
  if clip.num_frames:
    kept = thinning.keep(clip.landmarks, clip.clip, preparation.size)
    splits = _split_clip(clip.take(np.nonzero(kept)[0]), split_by)
    row = row._replace(thinned=int((~kept).sum()))
  row = row._replace(**{split: part.num_frames for split, part in splits.items()})
  usable = row.test if list(splits) == ["test"] else row.train
  if usable < preparation.min_frames:
    reason = (
      f"{source.path} has too few usable frames ({clip.num_frames}) for groups of "
      f"{preparation.min_frames} beside the held-out ones; give a longer video."
    )
    return row._replace(status="too short", reason=reason, train=0, test=0), {}
  return row, splits


def _missing_frames(
  source: corpora.ClipSource, preparation: Preparation, counts: Counter
) -> str:
  """Says so where a video is damaged and ended before its time."""
  expected = frame_count(source.path, preparation.fps)
  # A tenth of slack: what a file says of its length is an estimate.
  if expected is None or counts["read"] >= 0.9 * expected - 1:
    return ""
  return (
    f"Only {counts['read']} of about {expected} frames of {source.path} can be "
    "decoded; the file is damaged."
  )


def _split_clip(
  clip: records.ClipFrames, split_by: str
) -> dict[str, records.ClipFrames]:
  if split_by == "persons":
    return {records.split_of_person(clip.person): clip}
  held_out = records.held_out_frames(clip.num_frames)
  rest = np.setdiff1d(np.arange(clip.num_frames), held_out)
  return {"train": clip.take(rest), "test": clip.take(np.unique(held_out))}


def _gate_counts(rows: Sequence[ManifestRow]) -> dict[str, int]:
  """Frames in, dropped by each gate, and kept, over all inputs."""
  gates = ("read", "no_face", "too_small", "thinned", "train", "test")
  return {gate: sum(getattr(row, gate) for row in rows) for gate in gates}


def _write_manifest(path: str, rows: Sequence[ManifestRow]) -> None:
  with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
    writer = csv.writer(file)
    writer.writerow(ManifestRow._fields)
    writer.writerows(rows)
