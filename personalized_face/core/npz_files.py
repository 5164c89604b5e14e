"""Reading `.npz` archives that anybody may have made: no pickle, and bounded memory.

Deflate packs a thousand zeros into a byte, so an archive of a few kilobytes may unpack
to gigabytes. What it will unpack to stands in its directory, and `zipfile` hands out no
byte more: the sum is compared with a limit before anything is read.
"""

import zipfile

import numpy as np


def read_npz(path: str, most_bytes: int) -> dict[str, np.ndarray]:
  """All arrays of an archive.

  Args:
    path: of the file.
    most_bytes: that all of it may unpack to.

  Raises:
    ValueError: it cannot be read, is too large, or holds what is no array of numbers or
      texts; the message says why.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      unpacked = sum(item.file_size for item in archive.infolist())
    if unpacked > most_bytes:
      raise ValueError(f"it unpacks to {unpacked} bytes, of {most_bytes} at most")
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  # Damaged bytes make zipfile, zlib and numpy raise a dozen kinds of exception, among
  # them NotImplementedError, struct.error and MemoryError; nothing but reading is here.
  except Exception as error:
    # Cut: zipfile quotes bytes of the file where two names differ.
    raise ValueError(str(error)[:200] or type(error).__name__) from error
  for name, array in arrays.items():
    if not isinstance(array, np.ndarray):  # of other members numpy gives the bytes
      raise ValueError(f"{name} is no array")
  return arrays
