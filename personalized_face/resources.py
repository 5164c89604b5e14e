"""Where the shipped files are: the gin configs and the data specs.

In a checkout they are the folders `gin/` and `data_specs/` beside the package; in a
wheel the same folders are inside it, as `personalized_face/gin_configs` and
`personalized_face/data_specs` (setup.py maps them). Nothing else in the package knows
the difference.
"""

import os

from personalized_face.core.errors import UserError

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def gin_dir() -> str:
  """Returns the folder that the shipped gin files are named relative to."""
  return _shipped_dir("gin_configs", "gin")


def data_specs_dir() -> str:
  """Returns the folder of data specs."""
  return _shipped_dir("data_specs", "data_specs")


def default_template_file(name: str) -> str:
  """Returns the path of a measurement that the default template is built of."""
  return os.path.join(data_specs_dir(), "default_template", name)


def gin_files() -> list[str]:
  """Returns the shipped gin files, relative to `gin_dir()`, sorted."""
  folder = gin_dir()
  return sorted(
    os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")
    for parent, _, names in os.walk(folder)
    for name in names
    if name.endswith(".gin")
  )


def _shipped_dir(name_in_wheel: str, name_in_checkout: str) -> str:
  for path in (
    os.path.join(_PACKAGE, name_in_wheel),
    os.path.join(os.path.dirname(_PACKAGE), name_in_checkout),
  ):
    if os.path.isdir(path):
      return path
  raise UserError(
    f"The folder {name_in_checkout}/ of personalized_face is missing;"
    " install the package again."
  )
