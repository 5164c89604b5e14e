"""Which clips there are and whose face is in each: data_specs/corpora applied to paths.

A spec's `layout` is a path below the given folder with names in braces, such as
`{person}/{clip}.{extension}`; `person` and `clip` are made of those names. A file given
by itself is one clip of one person, called by the file's name. Whatever else lies below
the folder is listed too, with the reason why it is not prepared.
"""

import fnmatch
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from personalized_face.core.errors import UserError
from personalized_face.data import corpus_spec
from personalized_face.data.corpus_spec import ClipRule, CorpusSpec
from personalized_face.data.video import (
  IMAGE_EXTENSIONS,
  VIDEO_EXTENSIONS,
  list_images,
  natural_order,
)


class ClipSource(NamedTuple):
  """One input of the preparation: a video, a folder of images or an image."""

  path: str
  person: str
  clip: str
  files: tuple[str, ...] = ()  # the images of an image corpus's clip
  appearance: str = ""  # clips of one are alike, see ClipRule


class Skipped(NamedTuple):
  """What lies below an input and is not prepared."""

  path: str
  status: str  # "ignored" or "thinned"
  reason: str


class Inputs(NamedTuple):
  """Everything that was found."""

  clips: list[ClipSource]  # sorted by name, no name twice
  skipped: list[Skipped]


def find_clips(
  inputs: Sequence[str], corpus: str | CorpusSpec, follow_links: bool = False
) -> Inputs:
  """Lists what is to be prepared, and what is not.

  Args:
    inputs: files, and folders laid out as the corpus says. A folder with images but
      without videos directly in it is one clip of one person.
    corpus: a spec, its name in data_specs/corpora, or the path of a .yaml file.
    follow_links: whether links that lead out of the given folder are read.

  Returns:
    The clips; paths that do not exist are among them: reading them reports them.

  Raises:
    UserError: no inputs, a folder without any clip of that layout, a bad spec.
  """
  if not inputs:
    raise UserError("There is no input; name at least one video or folder.")
  spec = corpus if isinstance(corpus, CorpusSpec) else corpus_spec.load(corpus)
  found, skipped = [], []
  for path in inputs:
    if os.path.isdir(path) and not (spec.kind == "videos" and _is_image_clip(path)):
      clips, others = _folder_clips(path, spec, follow_links)
      if not clips:
        raise UserError(
          f"The folder {path} has no clip laid out as {spec.layout} (corpus "
          f"{spec.name!r}); name another corpus or the files themselves."
        )
      found += clips
      skipped += others
    else:
      stem = os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
      found.append(ClipSource(path, stem, stem))
  found, doubles = _once(found)
  kept, thinned = _apply_rule(_unique(found), spec.clip_rule)
  clips = sorted(kept, key=lambda source: source.clip)
  return Inputs(clips, [*skipped, *doubles, *thinned])


def _is_image_clip(folder: str) -> bool:
  names = os.listdir(folder)
  videos = [name for name in names if name.lower().endswith(VIDEO_EXTENSIONS)]
  folders = [name for name in names if os.path.isdir(os.path.join(folder, name))]
  return not videos and not folders and bool(list_images(folder))


def _folder_clips(
  folder: str, spec: CorpusSpec, follow_links: bool
) -> tuple[list[ClipSource], list[Skipped]]:
  """The clips below a folder, and everything else below it."""
  pattern = _layout_pattern(spec.layout)
  wanted = IMAGE_EXTENSIONS if spec.kind == "images" else VIDEO_EXTENSIONS
  identities = _identities(folder, spec)
  clips, skipped = [], []
  for path in _walk(folder, follow_links, skipped):
    relative = os.path.relpath(path, folder).replace(os.sep, "/")
    if any(fnmatch.fnmatch(relative, ignored) for ignored in spec.ignore):
      continue
    match = pattern.fullmatch(relative)
    is_folder = os.path.isdir(path)
    if not path.lower().endswith(wanted):
      if not is_folder:
        reason = f"{path} is not called like one of the corpus's {spec.kind}."
        skipped.append(Skipped(path, "ignored", reason))
    elif match is None:
      reason = f"{path} does not lie as the corpus {spec.name} lays out: {spec.layout}."
      skipped.append(Skipped(path, "ignored", reason))
    else:
      names = match.groupdict()
      if spec.identities:
        names["identity"] = identities.get(os.path.basename(path))
        if names["identity"] is None:
          reason = f"{path} has no line in {spec.identities}."
          skipped.append(Skipped(path, "ignored", reason))
          continue
      clips.append(
        ClipSource(
          path,
          spec.person.format(**names),
          spec.clip.format(**names),
          appearance=spec.appearance.format(**names),
        )
      )
  return (_grouped(clips, folder) if spec.kind == "images" else clips), skipped


def _walk(folder: str, follow_links: bool, skipped: list[Skipped]) -> Iterator[str]:
  """Files below a folder, and folders that are called like a video, sorted.

  A link that leads out of the folder is skipped unless it is to be followed; one that
  leads back to a folder above it is never entered.
  """
  root = os.path.realpath(folder)

  def report(error: OSError) -> None:
    reason = f"{error.filename} cannot be listed ({error.strerror})."
    skipped.append(Skipped(str(error.filename), "unreadable", reason))

  walk = os.walk(folder, followlinks=True, onerror=report)
  for parent, folders, files in walk:
    entered = []
    for name in sorted(folders):
      path = os.path.join(parent, name)
      if os.path.islink(path):
        target = os.path.realpath(path)
        if _inside(os.path.realpath(parent), target):
          reason = f"{path} is a link to a folder that it lies in."
          skipped.append(Skipped(path, "ignored", reason))
          continue
        if _leaves(path, root, follow_links, skipped):
          continue
      entered.append(name)
      if name.lower().endswith(VIDEO_EXTENSIONS):
        yield path
    folders[:] = entered
    for name in sorted(files):
      path = os.path.join(parent, name)
      if not (os.path.islink(path) and _leaves(path, root, follow_links, skipped)):
        yield path


def _inside(path: str, folder: str) -> bool:
  return os.path.commonpath([path, folder]) == folder


def _leaves(path: str, root: str, follow_links: bool, skipped: list[Skipped]) -> bool:
  """Whether a link leads out of the folder and is not to be followed."""
  if follow_links or _inside(os.path.realpath(path), root):
    return False
  reason = f"{path} is a link that leads out of the folder; give --follow_links."
  skipped.append(Skipped(path, "ignored", reason))
  return True


def _identities(folder: str, spec: CorpusSpec) -> dict[str, str]:
  """The lines "name person" of the corpus's file."""
  if not spec.identities:
    return {}
  path = os.path.join(folder, spec.identities)
  try:
    with open(path, encoding="utf-8") as file:
      return dict(line.split() for line in file if line.strip())
  except (OSError, ValueError) as error:
    raise UserError(
      f"The corpus {spec.name} needs {path} with a file's name and a person in each "
      f"line ({error})."
    ) from error


def _grouped(clips: Iterable[ClipSource], folder: str) -> list[ClipSource]:
  """Images of equal clip names as one clip each."""
  groups = defaultdict(list)
  for clip in clips:
    groups[clip.clip].append(clip)
  grouped = []
  for members in groups.values():
    files = tuple(sorted((m.path for m in members), key=natural_order))
    path = files[0] if len(files) == 1 else os.path.commonpath(files)
    grouped.append(members[0]._replace(path=path, files=files))
  return grouped


def _layout_pattern(layout: str) -> re.Pattern:
  """`{a}/{b}.mp4` as a regular expression with a named group for each name."""
  pieces = re.split(r"\{(\w+)\}", layout)
  # Even pieces are literal text, odd ones names; a name that comes again is the same.
  seen, text = set(), ""
  for i, piece in enumerate(pieces):
    if not i % 2:
      text += re.escape(piece)
    elif piece in seen:
      text += f"(?P={piece})"
    else:
      text += f"(?P<{piece}>[^/]+)"
      seen.add(piece)
  return re.compile(text, re.DOTALL)  # a file's name may hold a line's end


def _once(sources: list[ClipSource]) -> tuple[list[ClipSource], list[Skipped]]:
  """Each file once; another name for it, by a link, is said to be one."""
  first: dict[tuple, ClipSource] = {}
  doubles = []
  for source in sources:
    # What a broken link leads to is no file: each is an input of its own.
    exists = os.path.exists(source.path)
    path = (os.path.realpath if exists else os.path.abspath)(source.path)
    known = first.setdefault((path, source.files), source)
    if os.path.abspath(known.path) != os.path.abspath(source.path):
      reason = f"{source.path} is the same file as {known.path}."
      doubles.append(Skipped(source.path, "ignored", reason))
  return list(first.values()), doubles


def _unique(sources: list[ClipSource]) -> list[ClipSource]:
  """Gives clips of equal names (of other folders) their folder's name as well."""
  counts = Counter(source.clip for source in sources)
  unique = []
  for source in sources:
    if counts[source.clip] > 1:
      parent = os.path.dirname(os.path.realpath(source.path)).strip("/")
      prefix = parent.replace("/", "_")
      person = source.person
      person = f"{prefix}_{person}" if person == source.clip else person
      source = source._replace(person=person, clip=f"{prefix}_{source.clip}")
    unique.append(source)
  # Still equal: one folder with clip.mp4 and clip.mov.
  counts = Counter(source.clip for source in unique)
  for i, source in enumerate(unique):
    if counts[source.clip] > 1:
      extension = os.path.splitext(source.path)[1].replace(".", "_")
      person = source.person
      person = f"{person}{extension}" if person == source.clip else person
      unique[i] = source._replace(person=person, clip=f"{source.clip}{extension}")
  return unique


def _apply_rule(
  clips: list[ClipSource], rule: ClipRule
) -> tuple[list[ClipSource], list[Skipped]]:
  """Thins clips that are alike; the order is that of a hash of the names."""
  if rule == ClipRule():
    return clips, []

  def draw(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()

  appearances, persons = defaultdict(list), defaultdict(set)
  for clip in clips:
    appearances[clip.person, clip.appearance].append(clip)
    persons[clip.person].add(clip.appearance)
  kept = []
  for person, names in persons.items():
    for name in sorted(names, key=draw)[: rule.appearances_per_person]:
      alike = sorted(appearances[person, name], key=lambda clip: draw(clip.clip))
      kept += alike[: rule.clips_per_appearance]
  chosen = set(kept)
  reason = "The corpus's clip_rule keeps others of this person."
  return kept, [Skipped(c.path, "thinned", reason) for c in clips if c not in chosen]
