"""Which clips there are and whose face is in each: data_specs/corpora applied to paths.

A spec's `layout` is a path below the given folder with names in braces, such as
`{person}/{clip}.{extension}`; `person` and `clip` are made of those names. A file given
by itself is one clip of one person, called by the file's name.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.data.video import VIDEO_EXTENSIONS, list_images


class ClipSource(NamedTuple):
  """One input of the preparation: a video, a folder of images or an image."""

  path: str
  person: str
  clip: str


def find_clips(inputs: Sequence[str], corpus: str) -> list[ClipSource]:
  """Lists the clips of the inputs.

  Args:
    inputs: files, and folders laid out as the corpus says. A folder with images but
      without videos directly in it is one clip of one person.
    corpus: name of a spec in data_specs/corpora, or the path of a .yaml file.

  Returns:
    Clips sorted by name, no name twice. Paths that do not exist are listed as files:
    reading them reports them.

  Raises:
    UserError: no inputs, a folder without any clip of that layout, a bad spec.
  """
  if not inputs:
    raise UserError("There is no input; name at least one video or folder.")
  spec = specs.load(
    "corpora", corpus, ("layout", "person", "clip", "source", "licence")
  )
  found = []
  for path in inputs:
    if os.path.isdir(path) and not _is_image_clip(path):
      clips = list(_folder_clips(path, spec))
      if not clips:
        raise UserError(
          f"The folder {path} has no clip laid out as {spec['layout']} (corpus "
          f"{corpus!r}); name another corpus or the files themselves."
        )
      found += clips
    else:
      stem = os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
      found.append(ClipSource(path, stem, stem))
  return sorted(_unique(found), key=lambda source: source.clip)


def _is_image_clip(folder: str) -> bool:
  names = os.listdir(folder)
  videos = [name for name in names if name.lower().endswith(VIDEO_EXTENSIONS)]
  folders = [name for name in names if os.path.isdir(os.path.join(folder, name))]
  return not videos and not folders and bool(list_images(folder))


def _folder_clips(folder: str, spec: dict) -> Iterator[ClipSource]:
  """The videos below a folder whose paths fit the layout."""
  pattern = _layout_pattern(spec["layout"])
  for parent, folders, files in os.walk(folder):
    folders.sort()
    for name in sorted(files):
      path = os.path.join(parent, name)
      match = pattern.fullmatch(os.path.relpath(path, folder).replace(os.sep, "/"))
      if match and name.lower().endswith(VIDEO_EXTENSIONS):
        try:
          person = spec["person"].format(**match.groupdict())
          clip = spec["clip"].format(**match.groupdict())
        except (KeyError, IndexError) as error:
          raise UserError(
            f"The corpus names {error}, which its layout {spec['layout']} has not."
          ) from error
        yield ClipSource(path, person, clip)


def _layout_pattern(layout: str) -> re.Pattern:
  """`{a}/{b}.mp4` as a regular expression with a named group for each name."""
  pieces = re.split(r"\{(\w+)\}", layout)
  # Even pieces are literal text, odd ones names.
  return re.compile(
    "".join(
      f"(?P<{piece}>[^/]+)" if i % 2 else re.escape(piece)
      for i, piece in enumerate(pieces)
    )
  )


def _unique(sources: list[ClipSource]) -> list[ClipSource]:
  """Gives clips of equal names (of other folders) their folder's name as well."""
  sources = list({os.path.realpath(s.path): s for s in sources}.values())
  counts = Counter(source.clip for source in sources)
  unique = []
  for source in sources:
    if counts[source.clip] > 1:
      parent = os.path.dirname(os.path.realpath(source.path)).strip("/")
      prefix = parent.replace("/", "_")
      person = source.person
      person = f"{prefix}_{person}" if person == source.clip else person
      source = ClipSource(source.path, person, f"{prefix}_{source.clip}")
    unique.append(source)
  return unique
