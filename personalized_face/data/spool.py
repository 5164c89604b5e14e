"""The frames of one clip on their way into records, on disk rather than in memory.

Which frames stay, and in which record each goes, is known only at the end of a clip:
thinning looks at all of it, and a record spans all of it. Pictures wait in a file, the
numbers of a frame (620 bytes) in memory, so that half an hour takes as little of it as
a minute.
"""

import os
from typing import NamedTuple

import numpy as np

from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.data.record_format import ClipFrames

_ROW = np.dtype(
  [
    ("indices", np.int64),
    ("source_frames", np.int64),
    ("times", np.float32),
    ("landmarks", np.float32, (NUM_LANDMARKS, 2)),
    ("boxes", np.float32, (4,)),
    ("squares", np.float32, (3,)),
    ("confidence", np.float32),
    ("sharpness", np.float32),
    ("offset", np.int64),
    ("image_bytes", np.int64),
    ("parsing_bytes", np.int64),
  ]
)
_NUMBERS = tuple(name for name in _ROW.names if name in ClipFrames._fields)


class SpooledFrame(NamedTuple):
  """One usable frame; the fields of record_format.ClipFrames, of a single frame."""

  indices: int
  source_frames: int
  times: float
  landmarks: np.ndarray
  boxes: np.ndarray
  squares: tuple[float, float, float]
  confidence: float
  sharpness: float
  image: bytes
  parsing: bytes


class Spool:
  """A growing file of encoded pictures; close() removes it.

  Args:
    path: of the file; made anew.
  """

  def __init__(self, path: str):
    self._path = path
    self._file = open(path, "wb+")
    self._rows = bytearray()
    self._end = 0

  def __len__(self) -> int:
    return len(self._rows) // _ROW.itemsize

  def add(self, frame: SpooledFrame) -> None:
    """Appends a frame."""
    row = np.zeros([], _ROW)
    for name in _NUMBERS:
      row[name] = getattr(frame, name)
    row["offset"] = self._end
    row["image_bytes"], row["parsing_bytes"] = len(frame.image), len(frame.parsing)
    self._rows += row.tobytes()
    self._file.write(frame.image + frame.parsing)
    self._end += len(frame.image) + len(frame.parsing)

  def column(self, name: str) -> np.ndarray:
    """A number of all frames, [F, ...], by its name in record_format.ClipFrames."""
    return self._table()[name].copy()

  @property
  def last_source_frame(self) -> int:
    """Number, in the source, of the last frame; there must be one."""
    return int(self._table()["source_frames"][-1])

  def take(self, chosen: np.ndarray, clip: ClipFrames) -> ClipFrames:
    """The frames at the given indices.

    Args:
      chosen: [C] int.
      clip: what else there is to say of the clip; its arrays are replaced.
    """
    rows = self._table()[chosen]
    images, parsing = [], []
    for row in rows:
      self._file.seek(int(row["offset"]))
      images.append(self._file.read(int(row["image_bytes"])))
      parsing.append(self._file.read(int(row["parsing_bytes"])))
    numbers = {name: rows[name].copy() for name in _NUMBERS}
    return clip._replace(images=images, parsing=parsing, **numbers)

  def close(self) -> None:
    """Removes the file."""
    self._file.close()
    os.remove(self._path)

  def _table(self) -> np.ndarray:
    return np.frombuffer(self._rows, _ROW)

  def __enter__(self) -> "Spool":
    return self

  def __exit__(self, *unused) -> None:
    self.close()
