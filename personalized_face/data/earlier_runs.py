"""What earlier runs of the preparation left, and what of it may be kept or replaced.

The work folder belongs to one run at a time; units that it or the output holds are
taken over where input and settings are the same; nothing but records is replaced, and
these only where they are not lost by it.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence

from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.data import merge, records
from personalized_face.data.corpora import ClipSource
from personalized_face.data.manifest import RETRIED
from personalized_face.data.units import Unit, Work, finished_unit, unit_key


@contextlib.contextmanager
def work_folder(output_dir: str) -> Iterator[str]:
  """`<output_dir>.work`, ours alone while the block runs.

  Raises:
    UserError: it cannot be made, or another run has it.
  """
  folder = f"{output_dir}.work"
  try:
    os.makedirs(folder, exist_ok=True)
    lock = open(os.path.join(folder, "lock"), "w")
  except OSError as error:
    raise UserError(f"{folder} cannot be made ({error.strerror}).") from error
  with lock:
    try:
      # The system lets go of it when the process ends, however it ends.
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f"Another run is preparing {output_dir}; wait for it or give another folder."
      ) from error
    try:
      yield folder
    finally:
      with contextlib.suppress(OSError):
        if set(os.listdir(folder)) <= {"lock", "units"} and not _has_units(folder):
          shutil.rmtree(folder, ignore_errors=True)


def _has_units(folder: str) -> bool:
  """Whether a work folder holds anything that a later run can use."""
  units = os.path.join(folder, "units")
  return any(name.endswith(".json") for _, _, names in os.walk(units) for name in names)


def check_output(output_dir: str) -> None:
  """Raises UserError for an output folder that holds anything but records."""
  if not os.path.lexists(output_dir):
    return
  if os.path.isdir(output_dir) and not os.listdir(output_dir):
    return
  if not os.path.isfile(os.path.join(output_dir, "dataset_info.json")):
    raise UserError(f"{output_dir} exists and is not records; give another folder.")


def sort_out(
  sources: Sequence[ClipSource], work: Work, output_dir: str, overwrite: bool
) -> tuple[list[Unit], list[ClipSource]]:
  """What an earlier run has done, and what is left to do.

  Raises:
    UserError: records that this run would throw away.
  """
  existing = merge.finished_units(output_dir)
  _check_replaced(existing.values(), sources, work, output_dir, overwrite)
  keys = {unit_key(source, work): source for source in sources}
  done, pending = [], []
  for key, source in keys.items():
    unit = finished_unit(work, key) or existing.get(key)
    if unit is None or unit.row.status in RETRIED:
      pending.append(source)
    else:
      done.append(unit)
  if done and pending:
    logging.info("%d of %d inputs are done already.", len(done), len(sources))
  return done, pending


def _check_replaced(
  existing: Iterable[Unit],
  sources: Sequence[ClipSource],
  work: Work,
  output_dir: str,
  overwrite: bool,
) -> None:
  """Raises UserError for records that would be thrown away without being asked to."""
  if overwrite or not os.path.isdir(output_dir) or not os.listdir(output_dir):
    return
  remedy = "give --overwrite or another folder"
  info = records.read_info(output_dir)
  if any(info.get(key) != value for key, value in settings(work).items()):
    raise UserError(
      f"There are records of other settings in {output_dir} already; {remedy}."
    )
  clips = {source.clip for source in sources}
  lost = [unit.row.clip for unit in existing if unit.row.clip not in clips]
  if lost:
    raise UserError(
      f"There are records in {output_dir} of inputs that are not given now, such as "
      f"{lost[0]}; {remedy}."
    )


def settings(work: Work) -> dict:
  """The part of dataset_info that decides what a record holds."""
  all_settings = work.settings()
  labeller = work.labeller()
  names = ("preparation", "thinning", "split_by", "versions")
  return {
    **{name: all_settings[name] for name in names},
    "landmarks": labeller.landmark_source,
    "parsing": labeller.parsing_source,
  }


def is_complete(output_dir: str, info: dict, done: Sequence[Unit]) -> bool:
  """Whether the output is already what this run would write."""
  try:
    there = records.read_info(output_dir)
  except UserError:
    return False
  keys = ("name", "num_shards", "inputs", "corpus", "weight")
  if any(there.get(key) != info[key] for key in keys):
    return False
  return all(
    piece.path.startswith(output_dir) for unit in done for piece in unit.pieces.values()
  )
