"""`person.npz` and `motion.npz`, what is handed on between commands (DESIGN section 2).

A person is who it is, a motion what the face does; each belongs to one template, whose
name and hash it carries and against which it is checked. Plain numpy archives without
pickle. The maps per blendshape, 11 MB each, are stored as float16, whose relative error
is at most 1/2048: .01 mm on a correction of 3 cm, 1/80 of a grey level on one of 0.1.
Everything else keeps float32, times float64. In memory all maps are float32.
"""

import math
import os
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.core.types import (
  NUM_LIGHT_COEFFICIENTS,
  PersonModel,
  Tracking,
)
from personalized_face.template.face_template import FaceTemplate

FORMAT_VERSION = 1
_HALF_PRECISION = ("blendshape_corrections", "dynamic_albedo")
# What a motion may unpack to: 28 hours at 30 frames a second and 56 blendshapes.
_MOST_MOTION_BYTES = 1 << 30
# What a person may unpack to: maps of 512 texels of 56 blendshapes in half precision.
_MOST_PERSON_BYTES = 1 << 28
# Sides and rates beyond this are no camera's.
_LARGEST = 1e6
_MAKE = {
  "person": "make it again with `pface_reconstruct` or `pface_personalize`",
  "motion": "make it again with `pface_reconstruct` or `pface_personalize`",
}


class Motion(NamedTuple):
  """What a face does in a clip of F frames."""

  times: np.ndarray  # [F] float64 seconds in the source, increasing
  tracking: Tracking  # numpy, leading dimension F
  boxes: np.ndarray  # [F, 4] float32 crop x0, y0, x1, y1, pixels of the source frame
  frame_size: tuple[int, int]  # (height, width) of the source frame, pixels
  fps: float  # frames per second, of `times`


class TemplateOf(NamedTuple):
  """What a file says of the template that it was made with."""

  name: str
  hash: str
  blendshape_names: tuple[str, ...]  # K


def mean_rate(times: np.ndarray, alone: float = 25.0) -> float:
  """Mean frames per second of increasing times, which keeps a clip's length.

  Args:
    times: [F], seconds.
    alone: what a single frame gets.
  """
  return float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else alone


def save_person(path: str, person: PersonModel, template: FaceTemplate) -> None:
  """Writes a person, under its name only once it is complete.

  Args:
    path: a `.npz` file; its folder is made where it is missing.
    person: of tensors or arrays, without the leading dimension B.
    template: what the person's corrections are relative to.

  Raises:
    ValueError: the maps do not fit the template, or are not finite.
    UserError: the file cannot be written.
  """
  arrays = {
    name: np.asarray(value, np.float32) for name, value in person._asdict().items()
  }
  want = _person_shapes(template.uv_size, template.num_blendshapes)
  _require(arrays, want)
  with np.errstate(over="ignore"):  # reported by the second check
    for name in _HALF_PRECISION:
      arrays[name] = arrays[name].astype(np.float16)
  _require(arrays, want)  # finite in half precision, too
  _write(path, "person", template, arrays)


def load_person(path: str, template: FaceTemplate) -> PersonModel:
  """Reads a person: float32 numpy arrays without the leading dimension B.

  Raises:
    UserError: no such file, not a person, damaged, or made with another template.
  """
  want = _person_shapes(template.uv_size, template.num_blendshapes)
  # In double precision, and room for the names.
  most_bytes = 8 * sum(math.prod(shape) for shape in want.values()) + (1 << 20)
  arrays = _read(path, "person", template, want, most_bytes)
  return PersonModel(**{name: arrays[name].astype(np.float32) for name in want})


def load_person_as_is(path: str) -> PersonModel:
  """Reads a person where the template is not at hand.

  Raises:
    UserError: no such file, not a person, or damaged.
  """
  arrays = _open(path, "person", _MOST_PERSON_BYTES)
  try:
    count, side = len(arrays["blendshape_names"]), len(arrays["neutral_correction"])
    want = _person_shapes(side, count)
    _require(arrays, want)
  except (KeyError, TypeError, ValueError) as error:
    raise _damaged(path, "person", error) from error
  return PersonModel(**{name: arrays[name].astype(np.float32) for name in want})


def save_motion(path: str, motion: Motion, template: FaceTemplate) -> None:
  """Writes a motion, under its name only once it is complete.

  Args:
    path: a `.npz` file; its folder is made where it is missing.
    motion: of tensors or arrays.
    template: what the expression coefficients belong to.

  Raises:
    ValueError: the arrays do not fit each other or the template, or are not finite.
    UserError: the file cannot be written.
  """
  arrays = {
    name: np.asarray(value, np.float32)
    for name, value in motion.tracking._asdict().items()
  }
  arrays["times"] = np.asarray(motion.times, np.float64)
  arrays["boxes"] = np.asarray(motion.boxes, np.float32)
  arrays["frame_size"] = np.asarray(motion.frame_size, np.int32)
  arrays["fps"] = np.asarray(motion.fps, np.float64)
  _require(arrays, _motion_shapes(template.num_blendshapes, len(arrays["times"])))
  _write(path, "motion", template, arrays)


def load_motion(path: str, template: FaceTemplate) -> Motion:
  """Reads a motion.

  Raises:
    UserError: no such file, not a motion, damaged, or made with another template.
  """
  want = _motion_shapes(template.num_blendshapes, None)
  return _motion(path, _read(path, "motion", template, want, _MOST_MOTION_BYTES))


def load_motion_as_is(path: str) -> tuple[Motion, TemplateOf]:
  """Reads a motion where its template is not at hand.

  Raises:
    UserError: no such file, not a motion, or damaged.
  """
  arrays = _open(path, "motion", _MOST_MOTION_BYTES)
  try:
    names = tuple(str(name) for name in arrays["blendshape_names"])
    _require(arrays, _motion_shapes(len(names), None))
  except (KeyError, TypeError, ValueError) as error:
    raise _damaged(path, "motion", error) from error
  made_with = str(arrays["template_name"]), str(arrays["template_hash"])
  return _motion(path, arrays), TemplateOf(*made_with, names)


def _motion(path: str, arrays: dict[str, np.ndarray]) -> Motion:
  """The arrays of a file as a motion that a clip can have."""
  with np.errstate(over="ignore"):  # reported by the check
    single = {n: arrays[n].astype(np.float32) for n in (*Tracking._fields, "boxes")}
  motion = Motion(
    times=arrays["times"].astype(np.float64),
    tracking=Tracking(*(single[name] for name in Tracking._fields)),
    boxes=single["boxes"],
    frame_size=tuple(arrays["frame_size"].tolist()),
    fps=float(arrays["fps"]),
  )
  try:
    return checked_motion(motion)
  except ValueError as error:
    raise _damaged(path, "motion", error) from error


def checked_motion(motion: Motion) -> Motion:
  """The motion itself, if a clip can have it.

  Raises:
    ValueError: no frame, times that do not increase, numbers that are not finite, a
      rate or a picture's size that no camera has.
  """
  height, width = motion.frame_size
  for name, value in (("fps", motion.fps), ("height", height), ("width", width)):
    if not 0 < value < _LARGEST:
      raise ValueError(f"{name} is {value:g}")
  if not len(motion.times):
    raise ValueError("it has no frame")
  for name, value in {**motion.tracking._asdict(), "boxes": motion.boxes}.items():
    if not np.isfinite(value).all():
      raise ValueError(f"{name} has values that are not finite")
  if not np.isfinite(motion.times).all() or (np.diff(motion.times) <= 0).any():
    raise ValueError("the times do not increase")
  return motion._replace(frame_size=(int(height), int(width)))


def _person_shapes(side: int, count: int) -> dict[str, tuple]:
  return {
    "neutral_correction": (side, side, 3),
    "blendshape_corrections": (side, side, count, 3),
    "static_albedo": (side, side, 3),
    "dynamic_albedo": (side, side, count, 3),
  }


def _motion_shapes(num_blendshapes: int, frames: int | None) -> dict[str, tuple]:
  """`frames` None: as many as `times` has."""
  return {
    "times": (frames,),
    "expression": (frames, num_blendshapes),
    "rotation": (frames, 3),
    "translation": (frames, 3),
    "light": (frames, NUM_LIGHT_COEFFICIENTS, 3),
    "boxes": (frames, 4),
    "frame_size": (2,),
    "fps": (),
  }


def _require(arrays: dict[str, np.ndarray], want: dict[str, tuple]) -> None:
  """Raises ValueError unless all arrays are there, in shape, real and finite."""
  frames = arrays["times"].size if "times" in arrays else None
  for name, shape in want.items():
    shape = tuple(frames if size is None else size for size in shape)
    if arrays[name].shape != shape:
      raise ValueError(f"{name} is {arrays[name].shape}, expected {shape}")
    if arrays[name].dtype.kind not in "fiu":
      raise ValueError(f"{name} is of {arrays[name].dtype}, not of numbers")
    if not np.isfinite(arrays[name]).all():
      raise ValueError(f"{name} has values that are not finite")


def _write(
  path: str, kind: str, template: FaceTemplate, arrays: dict[str, np.ndarray]
) -> None:
  temporary = f"{path}.{os.getpid()}.tmp"
  try:
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(temporary, "wb") as file:
      np.savez_compressed(
        file,
        kind=np.array(kind),
        format_version=np.array(FORMAT_VERSION),
        template_name=np.array(template.name),
        template_hash=np.array(template.hash),
        blendshape_names=np.array(template.blendshape_names),
        **arrays,
      )
    os.replace(temporary, path)
  except OSError as error:
    raise UserError(
      f"The {kind} file {path} cannot be written ({error.strerror}); choose a folder "
      "that exists, is yours and has room."
    ) from error
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)


def _open(path: str, kind: str, most_bytes: int) -> dict[str, np.ndarray]:
  """Reads a file of this kind; what its arrays hold is not checked."""
  if not os.path.isfile(path):
    raise UserError(f"There is no {kind} file {path}; {_MAKE[kind]}.")
  try:
    data = read_npz(path, most_bytes)
    found, version = str(data["kind"]), int(data["format_version"])
    _ = str(data["template_name"]), str(data["template_hash"])
  except (KeyError, TypeError, ValueError, OverflowError) as error:
    raise _damaged(path, kind, error) from error
  if found != kind:
    raise UserError(f"{path} is a {found} file where a {kind} file is needed.")
  if version != FORMAT_VERSION:
    raise UserError(
      f"{path} has {kind} format {version}, this program reads {FORMAT_VERSION}; "
      f"{_MAKE[kind]}."
    )
  return data


def _read(
  path: str,
  kind: str,
  template: FaceTemplate,
  want: dict[str, tuple],
  most_bytes: int,
) -> dict[str, np.ndarray]:
  """Reads and checks the arrays of a file of this kind, made with this template."""
  data = _open(path, kind, most_bytes)
  made_with = str(data["template_name"]), str(data["template_hash"])
  if made_with[1] != template.hash:
    raise UserError(
      f"{path} was made with the template {made_with[0]!r} ({made_with[1]}), and "
      f"cannot be used with {template.name!r} ({template.hash}); use that template, "
      f"or {_MAKE[kind]}."
    )
  try:
    _require(data, want)
  except (KeyError, TypeError, ValueError) as error:
    raise _damaged(path, kind, error) from error
  return data


def _damaged(path: str, kind: str, error: Exception) -> UserError:
  return UserError(f"{path} is not a readable {kind} file ({error}); {_MAKE[kind]}.")
