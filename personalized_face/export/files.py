"""Files that appear under their name only once they are complete."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from personalized_face.core.errors import UserError


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
  """A temporary name to write to, which becomes `path` if all goes well.

  Its folder is made if need be. Nothing is left behind on an error.

  Raises:
    UserError: the folder or the file cannot be written.
  """
  temporary = f"{path}.{os.getpid()}.tmp"
  try:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    yield temporary
    os.replace(temporary, path)
  except OSError as error:
    raise UserError(
      f"{path} cannot be written ({error.strerror or error}); check the folder and the "
      "space on the disk."
    ) from error
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)


def write_text(path: str, text: str) -> None:
  """Writes a UTF-8 text file."""
  with replacing(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="") as file:
      file.write(text)


def write_bytes(path: str, data: bytes) -> None:
  """Writes a binary file."""
  with replacing(path) as temporary:
    with open(temporary, "wb") as file:
      file.write(data)


def write_json(path: str, value: Any) -> None:
  """Writes JSON for people and programs: indented, no NaN."""
  write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_png(path: str, pixels: np.ndarray) -> None:
  """Writes [height, width, 3] uint8 RGB as a PNG."""
  with replacing(path) as temporary:
    Image.fromarray(pixels).save(temporary, format="PNG")
