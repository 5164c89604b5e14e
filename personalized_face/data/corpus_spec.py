"""What data_specs/corpora says of a corpus, read strictly.

A user adds a corpus by adding a file; `video_per_person.yaml` shows every key.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from personalized_face.core.errors import UserError
from personalized_face.data import landmark_files, specs

KINDS = ("videos", "images")
# What may stand in braces. Python's format would look up attributes too, and fill with
# as many blanks as it is told.
_NAME = re.compile(r"\{(\w+)\}")
_FILE = re.compile(r"\{(stem|frame|frame:0?\d{1,2}d)\}")
_REQUIRED = ("layout", "person", "clip", "source", "licence")


@dataclasses.dataclass(frozen=True)
class LandmarkFiles:
  """Where a corpus has its landmarks; see data/landmark_files.py."""

  files: str  # beside the clip: "annot/{frame:06d}.pts", "{stem}.mat"
  first_frame: int = 0
  pixel_base: float = 0.0


@dataclasses.dataclass(frozen=True)
class LabelFiles:
  """Where a corpus has its parsing maps, and in which order their numbers are."""

  files: str  # beside the clip: "labels/{frame:06d}.png", "{stem}.png"
  order: str  # a file of data_specs/labels
  first_frame: int = 0


@dataclasses.dataclass(frozen=True)
class TruthFiles:
  """Where a corpus of rendered clips has what is true of them; see data/truth.py."""

  motion: str  # beside the clip: "{stem}_motion.npz"
  person: str = ""  # "{stem}_person.npz"


@dataclasses.dataclass(frozen=True)
class ClipRule:
  """Which of near-identical clips stay; ours, the paper only gives the counts.

  Clips of one appearance (one video that was cut into utterances) show the same person
  in the same light before the same camera. Which stay is decided by a hash of their
  names: adding others moves nobody.
  """

  clips_per_appearance: int | None = None
  appearances_per_person: int | None = None


@dataclasses.dataclass(frozen=True)
class CorpusSpec:
  """A corpus.

  Attributes:
    name: of the file.
    layout: path below the given folder, names in braces.
    person, clip, appearance: made of those names. Files with the same clip are one
      clip where `kind` is images.
    source, licence, citation, description: for people; they go with the records.
    kind: "videos" or "images".
    ignore: patterns (fnmatch) of paths that belong to the corpus and are no input.
    weight: of the corpus where several are mixed.
    held_out: share of the persons set aside for testing.
    min_frames: overrides Preparation.min_frames.
    identities: a file of "name person" lines beside the layout, where the path does
      not tell the person; its first column is a file's name.
    clip_rule, landmarks, parsing: see there; None where MediaPipe does it.
    truth: see there; None where nobody knows it.
  """

  name: str
  layout: str
  person: str
  clip: str
  source: str
  licence: str
  description: str = ""
  citation: str = ""
  kind: str = "videos"
  appearance: str = ""
  ignore: tuple[str, ...] = ()
  weight: float = 1.0
  held_out: float = 0.1
  min_frames: int | None = None
  identities: str = ""
  clip_rule: ClipRule = ClipRule()
  landmarks: LandmarkFiles | None = None
  parsing: LabelFiles | None = None
  truth: TruthFiles | None = None

  @property
  def names(self) -> tuple[str, ...]:
    """The names in the layout's braces."""
    return tuple(re.findall(r"\{(\w+)\}", self.layout))


def load(name_or_path: str) -> CorpusSpec:
  """Reads a corpus.

  Args:
    name_or_path: of a file in data_specs/corpora, or a path ending in .yaml.

  Raises:
    UserError: no such spec, a key missing or unknown, a value of the wrong kind.
  """
  optional = tuple(
    field.name
    for field in dataclasses.fields(CorpusSpec)
    if field.name not in (*_REQUIRED, "name")
  )
  values = specs.load("corpora", name_or_path, _REQUIRED, optional)
  values = _checked(values, CorpusSpec, name_or_path)
  name = os.path.splitext(os.path.basename(name_or_path))[0]
  spec = CorpusSpec(name=name, **values)
  _check_names(spec)
  if spec.kind not in KINDS:
    raise UserError(
      f"The corpus {name} has the kind {spec.kind!r}, not videos or images."
    )
  if not 0 <= spec.held_out < 1 or not spec.weight > 0:
    raise UserError(f"The corpus {name} needs held_out in [0, 1) and a weight above 0.")
  _check_truth(spec)
  if spec.landmarks and not spec.landmarks.files.endswith(landmark_files.FORMATS):
    raise UserError(
      f"The corpus {name} has landmarks in {spec.landmarks.files}; known are "
      f"{', '.join(landmark_files.FORMATS)}."
    )
  return spec


def _check_truth(spec: CorpusSpec) -> None:
  """Truth is beside a video, under a name made of the video's."""
  if spec.truth is None:
    return
  if spec.kind != "videos":
    raise UserError(f"The corpus {spec.name} has truth, which only videos can have.")
  for files in dataclasses.astuple(spec.truth):
    unknown = set(re.findall(r"\{(.*?)\}", files)) - {"stem"}
    if unknown:
      raise UserError(
        f"The corpus {spec.name} names {sorted(unknown)[0]!r} in {files}, where only "
        "{stem} can stand."
      )


_SECTIONS = {
  "clip_rule": ClipRule,
  "landmarks": LandmarkFiles,
  "parsing": LabelFiles,
  "truth": TruthFiles,
}
_TYPES = {
  "str": str,
  "int": int,
  "float": (int, float),
  "int | None": int,
  "tuple[str, ...]": list,
}


def _checked(values: Mapping[str, Any], container: type, where: str) -> dict[str, Any]:
  """The values with the types of the container's fields."""
  fields = {field.name: field for field in dataclasses.fields(container)}
  checked = {}
  for key, value in values.items():
    if key not in fields:
      raise UserError(f"The spec {where} has the unknown key {key!r}.")
    if key in _SECTIONS:
      if not isinstance(value, dict):
        raise UserError(f"The spec {where} needs keys and values under {key}.")
      checked[key] = _checked(value, _SECTIONS[key], f"{where} ({key})")
      continue
    annotation = getattr(fields[key].type, "__name__", str(fields[key].type))
    wanted = _TYPES[annotation if annotation in _TYPES else str(fields[key].type)]
    if not isinstance(value, wanted) or isinstance(value, bool):
      raise UserError(
        f"The spec {where} has {key}: {value!r}, which is not {annotation}."
      )
    checked[key] = tuple(value) if wanted is list else value
  if container is not CorpusSpec:
    missing = [
      f.name
      for f in fields.values()
      if f.default is dataclasses.MISSING and f.name not in checked
    ]
    if missing:
      raise UserError(f"The spec {where} lacks {', '.join(missing)}; add it.")
    return container(**checked)
  return checked


def _check_names(spec: CorpusSpec) -> None:
  """Persons and clips are made of what the layout has, files of a frame and a stem."""
  known = {*spec.names, *(("identity",) if spec.identities else ())}
  if not all(name.isidentifier() for name in spec.names):
    raise UserError(f"The corpus {spec.name} has a layout with a name of digits.")
  for key in ("person", "clip", "appearance"):
    if unknown := set(_fields(spec, key, getattr(spec, key), _NAME)) - known:
      raise UserError(
        f"The corpus {spec.name} names {min(unknown)!r} in its {key}, which its "
        f"layout {spec.layout} has not."
      )
  for key in ("landmarks", "parsing"):
    if files := getattr(spec, key):
      _fields(spec, key, files.files, _FILE)


def _fields(spec: CorpusSpec, key: str, text: str, field: re.Pattern) -> list[str]:
  """The names in a text's braces; UserError for braces of another kind."""
  if set(field.sub("", text)) & set("{}"):
    example = "{clip}" if field is _NAME else "{stem} or {frame:06d}"
    raise UserError(
      f"The corpus {spec.name} has {key}: {text!r}; write names in braces, such as "
      f"{example}."
    )
  return field.findall(text)
