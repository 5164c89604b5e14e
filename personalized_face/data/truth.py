"""What is true of the frames of a synthetic clip, as its records hold it.

    <clip>_motion.npz, <clip>_person.npz -> read_truth -> Truth -> features of a record

All of it is optional: records of real clips have none. A record has the numbers of each
frame, with the camera that saw its crop; of the person the neutral face and its albedo
as small maps, and the name and checksum of the file, whose maps take 11 MB each.
data/frame_truth.py reads it again.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LIGHT_COEFFICIENTS, Tracking
from personalized_face.face_model.files import (
  Motion,
  load_motion_as_is,
  load_person_as_is,
)
from personalized_face.rendering.camera import Camera

# Features of a record, and what features.json says of them.
DESCRIPTIONS = {
  "truth_template": "bytes, UTF-8: name of the template of the truth; this feature and "
  "all others of truth_* are missing where the truth is not known",
  "truth_template_hash": "bytes, UTF-8: what its shape and blendshapes hash to",
  "truth_blendshapes": "bytes, UTF-8 [K]: names of its blendshapes",
  "truth_person": "bytes, UTF-8: file beside the source with the person's corrections "
  "and albedo maps (numpy .npz); empty where none is known",
  "truth_person_sha256": "bytes, UTF-8: SHA-256 of that file, hexadecimal",
  "truth_neutral_correction": "float32 [M, M, 3]: decimetres from the template's "
  "neutral to the person's, in model space, over the template's UV layout (row 0 at "
  "the top); missing where no person is known",
  "truth_static_albedo": "float32 [M, M, 3]: linear RGB of the person's neutral face, "
  "the same",
  "truth_expression": "float32 [F, K]: coefficients w_1..w_K in [0, 1]",
  "truth_rotation": "float32 [F, 3]: Euler angles (pitch, yaw, roll) of the head in "
  "radians, R = R_z(roll) R_y(yaw) R_x(pitch)",
  "truth_translation": "float32 [F, 3]: of the head in decimetres; camera at the "
  "origin, x to the right of the picture, y up, z towards the viewer",
  "truth_light": "float32 [F, 9, 3]: spherical harmonics of the light, orders 0 to 2, "
  "camera space, for each of R, G, B",
  "truth_camera": "float32 [F, 3]: focal length, principal point x and y in pixels of "
  "the crop; x_crop = principal_x + focal X / -Z, y_crop = principal_y - focal Y / -Z",
}
_TEXTS = ("template", "template_hash", "person", "person_sha256")
SHAPES = {  # of one frame; () takes K from the names
  "expression": (),
  "rotation": (3,),
  "translation": (3,),
  "light": (NUM_LIGHT_COEFFICIENTS, 3),
  "camera": (3,),
}
MAPS = {"neutral_correction": 3, "static_albedo": 3}  # of a person: channels
MAP_SIDE = 64  # M, texels: of the smallest UV layout that is trained at full detail
_REMEDY = "render the clip again with `pface_synthesize_data`"


class Truth(NamedTuple):
  """What is true of F frames; DESCRIPTIONS says what each field means."""

  template: str
  template_hash: str
  blendshapes: tuple[str, ...]  # K names
  person: str
  person_sha256: str
  expression: np.ndarray  # [F, K] float32, the others too
  rotation: np.ndarray  # [F, 3]
  translation: np.ndarray  # [F, 3]
  light: np.ndarray  # [F, 9, 3]
  camera: np.ndarray  # [F, 3]
  neutral_correction: np.ndarray  # [M, M, 3]; [0, M, 3] where no person is known
  static_albedo: np.ndarray  # the same

  def take(self, chosen: np.ndarray) -> "Truth":
    """That of the frames at the given indices, in that order."""
    return self._replace(**{name: getattr(self, name)[chosen] for name in SHAPES})


def read_truth(
  motion_path: str,
  person_path: str | None,
  times: np.ndarray,
  squares: np.ndarray,
  size: int,
) -> Truth:
  """What is true of some frames of a clip.

  Args:
    motion_path: of the clip's motion.npz.
    person_path: of its person.npz; None: nothing is said of the person.
    times: [F] seconds from the clip's first frame.
    squares: [F, 3] left, top, side of the frames' crops, pixels of the clip.
    size: side of the crops, pixels.

  Raises:
    UserError: a file is missing or damaged, or the motion is not of these frames.
  """
  motion, template = load_motion_as_is(motion_path)
  rows = _rows(motion, times, motion_path)
  tracking = Tracking(*(value[rows] for value in motion.tracking))
  return Truth(
    template.name,
    template.hash,
    template.blendshape_names,
    os.path.basename(person_path or ""),
    _sha256(person_path) if person_path else "",
    *tracking,
    _crop_cameras(motion.boxes[rows], squares, size),
    *_person_maps(person_path),
  )


def _person_maps(path: str | None) -> list[np.ndarray]:
  """MAPS of a person's file, their texels averaged to MAP_SIDE."""
  if path is None:
    return [np.zeros([0, MAP_SIDE, depth], np.float32) for depth in MAPS.values()]
  person, side = load_person_as_is(path), (MAP_SIDE, MAP_SIDE)
  return [
    cv2.resize(getattr(person, name), side, interpolation=cv2.INTER_AREA)
    for name in MAPS
  ]


def _rows(motion: Motion, times: np.ndarray, path: str) -> np.ndarray:
  """The motion's frame at each of the times, [F] int."""
  known = motion.times
  if len(known):
    rows = np.searchsorted((known[1:] + known[:-1]) / 2, times)
    missing = np.abs(known[rows] - times) > 0.5 / motion.fps
    if not missing.any():
      return rows
    times = times[missing]
  raise UserError(f"{path} says nothing of its clip at {times[0]:.2f} s; {_REMEDY}.")


def _sha256(path: str) -> str:
  try:
    with open(path, "rb") as file:
      return hashlib.sha256(file.read()).hexdigest()
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}); {_REMEDY}.") from error


def _crop_cameras(boxes: np.ndarray, squares: np.ndarray, size: int) -> np.ndarray:
  """Focal length and principal point of crops, [F, 3] float32 pixels.

  Args:
    boxes: [F, 4] the square of the source whose crop has the system's camera.
    squares: [F, 3] the square that was cut out.
    size: side of the crops.
  """
  boxes, scale = boxes.astype(np.float64), size / squares[:, 2]
  focal = Camera.for_crop(1).focal_pixels * (boxes[:, 2] - boxes[:, 0]) * scale
  middle = (boxes[:, :2] + boxes[:, 2:]) / 2
  principal = (middle - squares[:, :2]) * scale[:, np.newaxis]
  return np.column_stack([focal, principal]).astype(np.float32)


def features(truth: Truth) -> dict[str, list[bytes] | np.ndarray]:
  """The features of a record, by name: strings or float32."""
  texts = {name: [getattr(truth, name).encode()] for name in _TEXTS}
  texts["blendshapes"] = [name.encode() for name in truth.blendshapes]
  numbers = {name: getattr(truth, name) for name in (*SHAPES, *MAPS)}
  return {f"truth_{name}": value for name, value in {**texts, **numbers}.items()}


def feature_specs() -> dict[str, tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature]:
  """How `tf.io.parse_single_example` reads them; missing ones are empty."""

  def sequence(shape: Sequence[int], dtype: tf.DType):
    return tf.io.FixedLenSequenceFeature(shape, dtype, allow_missing=True)

  return {
    **{f"truth_{name}": tf.io.FixedLenFeature([], tf.string, "") for name in _TEXTS},
    "truth_blendshapes": sequence([], tf.string),
    **{f"truth_{n}": sequence(shape, tf.float32) for n, shape in SHAPES.items()},
    **{f"truth_{n}": sequence((MAP_SIDE, d), tf.float32) for n, d in MAPS.items()},
  }


def from_features(values: dict[str, np.ndarray]) -> Truth | None:
  """What `features` made, parsed; None where a record has no truth."""
  if not values["truth_template_hash"]:
    return None
  names = tuple(name.decode() for name in values["truth_blendshapes"])
  numbers = {name: values[f"truth_{name}"] for name in (*SHAPES, *MAPS)}
  numbers["expression"] = numbers["expression"].reshape(-1, len(names))
  texts = {name: values[f"truth_{name}"].decode() for name in _TEXTS}
  return Truth(**texts, blendshapes=names, **numbers)


def blendshapes_of(folder: str, paths: Sequence[str]) -> tuple[str, ...]:
  """The blendshapes that the truth of all records is told in.

  Reads through all of them once, and sees that their persons are known, too.

  Args:
    folder: of the records, for the error.
    paths: their shards.

  Raises:
    UserError: a record without truth, or truths of several templates.
  """
  maps = [f"truth_{name}" for name in MAPS]
  wanted = ("clip", "truth_template_hash", "truth_blendshapes", *maps)
  specs = {"clip": tf.io.FixedLenFeature([], tf.string), **feature_specs()}
  specs = {name: specs[name] for name in wanted}
  found: dict[bytes, tuple[str, ...]] = {}
  for serialized in tf.data.TFRecordDataset(list(paths)):
    record = tf.io.parse_single_example(serialized, specs)
    template = record["truth_template_hash"].numpy()
    if not template or not all(len(record[name]) for name in maps):
      raise UserError(
        f"The clip {record['clip'].numpy().decode()} of {folder} has no ground truth, "
        "or none of its person; prepare clips of `pface_synthesize_data` with "
        "--corpus=synthetic."
      )
    if template not in found:
      names = record["truth_blendshapes"].numpy()
      found[template] = tuple(name.decode() for name in names)
  if len(found) > 1:
    raise UserError(
      f"The ground truth of {folder} is told in {len(found)} templates; prepare the "
      "clips of each into a folder of their own."
    )
  return next(iter(found.values()))
