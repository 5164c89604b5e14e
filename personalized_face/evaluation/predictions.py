"""What any system says about one picture, and the `.npz` it is handed on in.

Every benchmark scores Predictions and nothing else, so a system that writes these files
is scored by the same code as ours:

  DIR/<sample name>.npz, a plain numpy archive (no pickle) with

  format_version   1
  found            bool; False where the system saw no face (nothing else is needed)
  landmarks        [68, 2]  pixels of the whole picture, iBUG order, (0, 0) the top-left
                            corner of the top-left pixel: its centre is (.5, .5)
  vertices         [V, 3]   millimetres, any rigid frame; right-handed, y up, z forward
  triangles        [T, 3]   int, 0-based, counter-clockwise from outside
  mesh_landmarks   [68, 3]  iBUG points on `vertices`, the same frame and unit; NaN for
                            a point that the system has not
  neutral          [V, 3]   the person without the expression, for NoW
  template_vertices [V, 3]  the system's template with the same expression and without
                            the person's corrections, for turned_triangles_percent
  coefficients     [K] and coefficient_names [K], in [0, 1]
  rotation         [3]      pitch, yaw, roll, radians (core/rotation.py)
  translation      [3]      millimetres, camera space
  light            [9, 3]   spherical harmonics (core/spherical_harmonics.py)
  albedo           [U, U, 3] linear RGB in the template's UV layout
  rendering        [S, S, 3] the rendered face, RGB in [0, 1], not clamped
  mask             [S, S]   bool, the pixels it covers
  parsing          [S, S]   int, what the rendering shows: PARSING_CLASSES of core/types
  box              [4]      x0, y0, x1, y1 of that rendering in the picture, pixels
  pictures_used    int      of a sample of several pictures, those with a face in them

All but the first two may be absent; a benchmark says which it needs. A missing file is
reported as a missing prediction, apart from "no face found".
"""

import os
from typing import NamedTuple

import numpy as np

from personalized_face.core import shapes
from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.core.types import NUM_LANDMARKS, NUM_LIGHT_COEFFICIENTS
from personalized_face.export.files import replacing

FORMAT_VERSION = 1
_MOST_BYTES = 1 << 30  # that a file may unpack to; dense meshes have some 10 MB


class Prediction(NamedTuple):
  """See the module docstring for shapes and units; None is "not said"."""

  found: bool
  landmarks: np.ndarray | None = None
  vertices: np.ndarray | None = None
  triangles: np.ndarray | None = None
  mesh_landmarks: np.ndarray | None = None
  neutral: np.ndarray | None = None
  template_vertices: np.ndarray | None = None
  coefficients: np.ndarray | None = None
  coefficient_names: tuple[str, ...] | None = None
  rotation: np.ndarray | None = None
  translation: np.ndarray | None = None
  light: np.ndarray | None = None
  albedo: np.ndarray | None = None
  rendering: np.ndarray | None = None
  mask: np.ndarray | None = None
  parsing: np.ndarray | None = None
  box: np.ndarray | None = None
  pictures_used: int | None = None


NOT_FOUND = Prediction(found=False)

_SHAPES = {
  "landmarks": f"[{NUM_LANDMARKS}, 2]",
  "vertices": "[V, 3]",
  "triangles": "[T, 3]",
  "mesh_landmarks": f"[{NUM_LANDMARKS}, 3]",
  "neutral": "[V, 3]",
  "template_vertices": "[V, 3]",
  "coefficients": "[K]",
  "coefficient_names": "[K]",
  "rotation": "[3]",
  "translation": "[3]",
  "light": f"[{NUM_LIGHT_COEFFICIENTS}, 3]",
  "albedo": "[U, U, 3]",
  "rendering": "[S, S, 3]",
  "mask": "[S, S]",
  "parsing": "[S, S]",
  "box": "[4]",
}
# Fields that are meaningless without another.
_NEEDS = {
  "neutral": ("vertices",),
  "template_vertices": ("vertices", "triangles"),
  "triangles": ("vertices",),
  "coefficients": ("coefficient_names",),
  "coefficient_names": ("coefficients",),
  "rendering": ("mask", "box"),
  "mask": ("rendering",),
  "parsing": ("box",),
}


def check(prediction: Prediction) -> None:
  """Raises ValueError, naming the field, unless a prediction is consistent."""
  for field, needed in _NEEDS.items():
    for other in needed:
      if getattr(prediction, field) is not None and getattr(prediction, other) is None:
        raise ValueError(f"{field} comes without {other}")
  sizes: dict[str, int | None] = {}
  for field, pattern in _SHAPES.items():
    value = getattr(prediction, field)
    if value is None:
      continue
    value = np.asarray(value)
    kinds = "U" if field == "coefficient_names" else "fiub"
    if value.size and value.dtype.kind not in kinds:
      raise ValueError(f"{field} is of {value.dtype}")
    for letter, size in shapes.check(value, pattern, field).items():
      if sizes.setdefault(letter, size) != size:
        raise ValueError(f"{field} has {size} where another field has {sizes[letter]}")
    if field == "triangles":
      count = len(prediction.vertices)
      if not np.issubdtype(value.dtype, np.integer):
        raise ValueError("triangles are not integers")
      if value.size and not 0 <= value.min() <= value.max() < count:
        raise ValueError(f"triangles points outside the {count} vertices")
    elif field == "coefficient_names":
      if len(set(value.tolist())) != len(value):
        raise ValueError("coefficient_names has a name twice")
    elif field != "mesh_landmarks" and not np.isfinite(value).all():
      raise ValueError(f"{field} has values that are not finite")


def path_of(folder: str, name: str) -> str:
  """Where the prediction of a sample lies; the name may have folders in it."""
  return os.path.join(folder, f"{name}.npz")


def write_prediction(path: str, prediction: Prediction) -> None:
  """Writes one file, under its name only once it is complete.

  Raises:
    ValueError: the prediction is not consistent.
    UserError: the file cannot be written.
  """
  check(prediction)
  arrays = {
    field: np.asarray(value)
    for field, value in prediction._asdict().items()
    if value is not None
  }
  for field, value in arrays.items():
    if value.dtype == np.float64:
      arrays[field] = value.astype(np.float32)
  with replacing(path) as temporary:
    with open(temporary, "wb") as file:
      np.savez_compressed(file, format_version=np.array(FORMAT_VERSION), **arrays)


def read_prediction(path: str) -> Prediction:
  """Reads one file, strictly: an unknown field is an error, it may be a misspelt one.

  Raises:
    UserError: no such file, damaged, of another version, or not of this format.
  """
  remedy = "write it as personalized_face/evaluation/predictions.py says"
  if not os.path.isfile(path):
    raise UserError(f"There is no prediction {path}; {remedy}.")
  try:
    data = read_npz(path, _MOST_BYTES)
  except ValueError as error:
    raise UserError(f"{path} is not a readable .npz file ({error}).") from error
  version = data.pop("format_version", None)
  if not np.array_equal(version, FORMAT_VERSION):
    raise UserError(
      f"{path} has prediction format {version}, this program reads {FORMAT_VERSION}; "
      f"{remedy}."
    )
  if unknown := sorted(set(data) - set(Prediction._fields)):
    raise UserError(f"{path} has the unknown field {unknown[0]!r}; {remedy}.")
  if "found" not in data:
    raise UserError(f"{path} does not say whether a face was `found`; {remedy}.")
  try:
    data["found"] = bool(data["found"])
    if "pictures_used" in data:
      data["pictures_used"] = int(data["pictures_used"])
    if "coefficient_names" in data:
      data["coefficient_names"] = tuple(str(n) for n in data["coefficient_names"])
    prediction = Prediction(**data)
    check(prediction)
  except (TypeError, ValueError, OverflowError) as error:
    raise UserError(f"{path} is not a prediction ({error}); {remedy}.") from error
  return prediction
