"""`FaceTemplate`: the 3DMM prior S_0, S_i, R_0, T, A_i and its `.npz` file.

First in the data flow: everything the system infers is expressed in a template. The
container holds geometry and maps only; `authoring` builds templates.
References: Section 3.2 of the paper (mean mesh, 56 blendshapes, R_0, attention masks).
"""

import dataclasses
import functools
import hashlib
import os

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.core.types import NUM_LANDMARKS, NUM_PARSING_CLASSES

FORMAT_VERSION = 2
UNIT = "decimetre"
# What a file may unpack to: a hundred times the default template.
_MOST_BYTES = 4 << 30


@dataclasses.dataclass(frozen=True)
class FaceTemplate:
  """A face prior. Arrays are numpy, read-only; see core/types.py for the letters.

  Attributes:
    name: such as "default".
    source: where the data come from, for people.
    licence: SPDX identifier or a sentence.
    vertices: [V, 3] float32, S_0, decimetres.
    triangles: [T, 3] int32, the face surface (what the mask M_n counts).
    hole_triangles: [E, 3] int32, strips that close the eyes and the mouth across
      their rims; drawn in the parsing render only, and never part of M_n.
    uv: [V, 2] float32 in [0, 1], (0, 0) at the top-left texel corner.
    blendshape_names: K names.
    blendshape_deltas: [K, V, 3] float32, S_i - S_0, decimetres.
    attention_masks: [U, U, K] float32 in [0, 1], A_i.
    mean_albedo: [U, U, 3] float32 linear RGB, R_0.
    parsing_map: [U, U, P] float32, rows sum to 1, T.
    landmark_vertices: [L] int32, iBUG order, where the detector of the training data
      puts its points; what the losses and their metrics use.
    mirror_vertices: [V] int32, index of each vertex's left-right mirror image.
    anatomical_landmarks: [L] int32, iBUG order, where a person would put them; what
      benchmarks with annotated points use. Not given: the same as landmark_vertices.
    landmark_offsets: [L, 3] float32, how far from its vertex the detector sees each
      landmark on pictures of whole heads: x to the person's left, z from the middle of
      landmarks 0 and 16 towards 27, y up; shares of the distance of 0 and 16
      (`core.seen_landmarks`).
      Not given: zeros. No part of the hash: persons and networks do not refer to it.
  """

  name: str
  source: str
  licence: str
  vertices: np.ndarray
  triangles: np.ndarray
  hole_triangles: np.ndarray
  uv: np.ndarray
  blendshape_names: tuple[str, ...]
  blendshape_deltas: np.ndarray
  attention_masks: np.ndarray
  mean_albedo: np.ndarray
  parsing_map: np.ndarray
  landmark_vertices: np.ndarray
  mirror_vertices: np.ndarray
  anatomical_landmarks: np.ndarray | None = None
  landmark_offsets: np.ndarray | None = None

  def __post_init__(self):
    if self.anatomical_landmarks is None:
      # The dataclass is frozen for its users, not for its own construction.
      object.__setattr__(self, "anatomical_landmarks", self.landmark_vertices)
    if self.landmark_offsets is None:
      zeros = np.zeros([NUM_LANDMARKS, 3], np.float32)
      object.__setattr__(self, "landmark_offsets", zeros)
    problem = _first_problem(self)
    if problem:
      raise ValueError(f"template {self.name!r}: {problem}")
    for field in _ARRAY_FIELDS:
      getattr(self, field).setflags(write=False)

  @property
  def num_vertices(self) -> int:
    """V."""
    return len(self.vertices)

  @property
  def num_blendshapes(self) -> int:
    """K."""
    return len(self.blendshape_names)

  @property
  def uv_size(self) -> int:
    """U, texels."""
    return self.mean_albedo.shape[0]

  @functools.cached_property
  def hash(self) -> str:
    """16 hex digits; what a person or checkpoint refers to: names and arrays.

    Not landmark_offsets, which change nothing of either.
    """
    digest = hashlib.sha256("\n".join(self.blendshape_names).encode())
    for field in _HASHED_FIELDS:
      array = np.ascontiguousarray(getattr(self, field))
      digest.update(f"{field}{array.dtype}{array.shape}".encode())
      digest.update(array.tobytes())
    return digest.hexdigest()[:16]

  def save(self, path: str) -> None:
    """Writes the `.npz`, under its name only once it is complete."""
    arrays = {field: getattr(self, field) for field in _ARRAY_FIELDS}
    texts = {field: np.array(getattr(self, field)) for field in _TEXT_FIELDS}
    temporary = f"{path}.{os.getpid()}.tmp.npz"
    try:
      np.savez_compressed(
        temporary,
        format_version=np.array(FORMAT_VERSION),
        unit=np.array(UNIT),
        blendshape_names=np.array(self.blendshape_names),
        hash=np.array(self.hash),
        **texts,
        **arrays,
      )
      os.replace(temporary, path)
    finally:
      if os.path.exists(temporary):
        os.remove(temporary)

  @classmethod
  def load(cls, path: str) -> "FaceTemplate":
    """Reads a template.

    Raises:
      UserError: no file there, not a template, another version, or damaged.
    """
    if not os.path.isfile(path):
      raise UserError(f"There is no template file {path}; {_REMEDY}.")
    try:
      data = read_npz(path, _MOST_BYTES)
      version = int(data.pop("format_version"))
      _require(
        path,
        version == FORMAT_VERSION,
        f"has template format {version}, this program reads {FORMAT_VERSION}",
      )
      stored_hash, unit = str(data.pop("hash")), str(data.pop("unit"))
      _require(path, unit == UNIT, f"is in the unit {unit!r}, not in {UNIT}s")
      for field in _TEXT_FIELDS:
        data[field] = str(data[field])
      data["blendshape_names"] = tuple(str(n) for n in data["blendshape_names"])
      template = cls(**data)
    except (LookupError, ValueError, TypeError, OverflowError) as error:
      raise UserError(
        f"{path} is not a readable template ({error}); {_REMEDY}."
      ) from error
    _require(
      path,
      template.hash == stored_hash,
      "is damaged: its contents do not match its hash",
    )
    return template


def can_name_a_file(blendshape: str) -> bool:
  """Whether NAME.obj is a file in the folder it is written to, and nowhere else."""
  # 255 bytes is what file systems take; some are for ".obj" and a temporary ending.
  length = len(blendshape.encode(errors="replace"))
  return 0 < length < 200 and not set(blendshape) & set("/\\\0")


_REMEDY = "build one with `pface_build_template`"
_TEXT_FIELDS = ("name", "source", "licence")
_HASHED_FIELDS = (
  "vertices",
  "triangles",
  "hole_triangles",
  "uv",
  "blendshape_deltas",
  "attention_masks",
  "mean_albedo",
  "parsing_map",
  "landmark_vertices",
  "mirror_vertices",
  "anatomical_landmarks",
)
_ARRAY_FIELDS = (*_HASHED_FIELDS, "landmark_offsets")


def _require(path: str, condition: bool, problem: str) -> None:
  """Raises the sentence that says what is wrong with a template file."""
  if not condition:
    raise UserError(f"{path} {problem}; {_REMEDY}.")


def _first_problem(template: FaceTemplate) -> str | None:
  """Says what is wrong with the arrays, or None."""
  count = len(template.vertices)
  names = len(template.blendshape_names)
  side = template.mean_albedo.shape[0]
  want = {
    "vertices": ((count, 3), np.float32),
    "triangles": ((len(template.triangles), 3), np.int32),
    "hole_triangles": ((len(template.hole_triangles), 3), np.int32),
    "uv": ((count, 2), np.float32),
    "blendshape_deltas": ((names, count, 3), np.float32),
    "attention_masks": ((side, side, names), np.float32),
    "mean_albedo": ((side, side, 3), np.float32),
    "parsing_map": ((side, side, NUM_PARSING_CLASSES), np.float32),
    "landmark_vertices": ((NUM_LANDMARKS,), np.int32),
    "mirror_vertices": ((count,), np.int32),
    "anatomical_landmarks": ((NUM_LANDMARKS,), np.int32),
    "landmark_offsets": ((NUM_LANDMARKS, 3), np.float32),
  }
  for field, (shape, dtype) in want.items():
    array = getattr(template, field)
    if array.shape != shape or array.dtype != dtype:
      return f"{field} is {array.dtype}{array.shape}, expected {dtype.__name__}{shape}"
    if dtype is np.float32 and not np.isfinite(array).all():
      return f"{field} has values that are not finite"
    if dtype is np.int32 and array.size and not 0 <= array.min() <= array.max() < count:
      return f"{field} points outside the {count} vertices"
  if len(set(template.blendshape_names)) != names:
    return "two blendshapes have the same name"
  for name in template.blendshape_names:
    if not can_name_a_file(name):
      return f"the blendshape name {name!r} cannot be that of a file"
  if template.uv.min() < 0 or template.uv.max() > 1:
    return "uv leaves [0, 1]"
  return None
