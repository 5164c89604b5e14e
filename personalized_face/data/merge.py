"""Finished units to a folder of records, and back to where a clip lies in it.

A shard is the files of its clips one after the other, in the order of their names, so
its bytes do not depend on who prepared what when. index.csv says where each clip lies:
a later run takes what is unchanged from there, and a clip can be read by itself.
"""

import csv
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from personalized_face.data import records
from personalized_face.data.manifest import read_manifest
from personalized_face.data.records import SPLITS
from personalized_face.data.units import Piece, Unit

INDEX = "index.csv"
MANIFEST = "manifest.csv"


class IndexRow(NamedTuple):
  """One clip's part of a split; empty split and file where it has no records."""

  key: str
  clip: str
  split: str = ""
  file: str = ""
  offset: int = 0
  bytes: int = 0
  frames: int = 0


def write_shards(
  units: Sequence[Unit], folder: str, name: str, num_shards: int
) -> dict[str, dict]:
  """Writes the shards and index.csv.

  Args:
    units: finished.
    folder: exists.
    name: first part of the files' names.
    num_shards: files per split.

  Returns:
    For each split its records.SplitCounts as a dictionary.
  """
  units = sorted(units, key=lambda unit: unit.row.clip)
  index = [IndexRow(unit.key, unit.row.clip) for unit in units if not unit.pieces]
  counts = {}
  for split in SPLITS:
    shards = defaultdict(list)
    for unit in units:
      if split in unit.pieces:
        shards[records.shard_of_clip(unit.row.clip, num_shards)].append(unit)
    for i in range(num_shards):
      path = records.shard_path(folder, name, split, i, num_shards)
      index += _write_shard(path, split, shards[i])
    counts[split] = _count(units, split)
  with open(
    os.path.join(folder, INDEX), "w", newline="", encoding="utf-8", errors="replace"
  ) as file:
    writer = csv.writer(file)
    writer.writerow(IndexRow._fields)
    writer.writerows(sorted(index, key=lambda row: (row.clip, row.split)))
  return counts


def _write_shard(path: str, split: str, units: Sequence[Unit]) -> list[IndexRow]:
  rows, offset = [], 0
  with open(path, "wb") as shard:
    for unit in units:
      piece = unit.pieces[split]
      with open(piece.path, "rb") as file:
        file.seek(piece.offset)
        _copy(file, shard, piece.bytes)
      rows.append(
        IndexRow(
          unit.key,
          unit.row.clip,
          split,
          os.path.basename(path),
          offset,
          piece.bytes,
          piece.frames,
        )
      )
      offset += piece.bytes
  return rows


def _copy(source, target, count: int, block: int = 1 << 20) -> None:
  """Copies `count` bytes, a block at a time."""
  while count:
    data = source.read(min(block, count))
    if not data:
      raise OSError(f"{source.name} has become shorter")
    target.write(data)
    count -= len(data)


def _count(units: Sequence[Unit], split: str) -> dict:
  total, persons = records.SplitCounts(), set()
  for unit in units:
    if split in unit.pieces:
      persons.add(unit.row.person)
      clip = records.count_parts(unit.pieces[split].frames, len(persons))
      total = records.add_counts(total, clip)
  return total._asdict()


def finished_units(folder: str) -> dict[str, Unit]:
  """The units of a folder of records, by key; none where there is no index."""
  try:
    with open(os.path.join(folder, INDEX), newline="", encoding="utf-8") as file:
      index = [_index_row(row) for row in csv.DictReader(file)]
    rows = {row.clip: row for row in read_manifest(os.path.join(folder, MANIFEST))}
  except (OSError, ValueError, KeyError, TypeError):
    return {}
  units: dict[str, Unit] = {}
  for row in index:
    unit = units.setdefault(row.key, Unit(row.key, rows[row.clip], {}, {}))
    if row.split:
      path = os.path.join(folder, row.file)
      unit.pieces[row.split] = Piece(path, row.offset, row.bytes, row.frames)
  return units


def _index_row(row: dict[str, str]) -> IndexRow:
  numbers = {name: int(row[name]) for name in ("offset", "bytes", "frames")}
  return IndexRow(**{**row, **numbers})


def replace_folder(new: str, target: str, old: str) -> None:
  """Puts a complete folder under its name; what was there waits under `old` meanwhile.

  A kill between the two steps leaves the old folder where `restore` finds it.
  """
  if os.path.isdir(target):
    if os.listdir(target):
      os.replace(target, old)
    else:
      os.rmdir(target)
  os.replace(new, target)
  shutil.rmtree(old, ignore_errors=True)


def restore(target: str, old: str) -> None:
  """Undoes a `replace_folder` that was killed half-way."""
  if os.path.isdir(old):
    if os.path.lexists(target):
      shutil.rmtree(old, ignore_errors=True)
    else:
      os.replace(old, target)
