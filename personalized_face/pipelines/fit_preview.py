"""A picture of a fit under way, renewed while somebody waits."""

import os
import time

from personalized_face.export.files import write_png
from personalized_face.fitting.fit import PersonFit
from personalized_face.inference import pictures

EVERY_SECONDS = 3.0


class FitPreview:
  """Writes a few frames as the fit sees them now; gone once the result is there."""

  def __init__(self, fit: PersonFit, path: str):
    """Draws nothing yet.

    Args:
      fit: whose frames are shown.
      path: of a PNG; it is whole at any time.
    """
    self._fit, self._path = fit, path
    self._last = time.monotonic()

  def step(self) -> None:
    """To be called after each step; draws if it is time."""
    if time.monotonic() - self._last < EVERY_SECONDS:
      return
    shown = self._fit.shown()
    rows = pictures.columns(shown.images, shown.rendering)
    names = [f"frame {i}" for i in shown.rows]
    write_png(self._path, pictures.sheet(rows, pictures.COLUMN_LABELS, names))
    self._last = time.monotonic()

  def remove(self) -> None:
    """Takes the picture away, if there is one."""
    if os.path.exists(self._path):
      os.remove(self._path)
