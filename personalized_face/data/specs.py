"""The commented YAML files of data_specs/: corpora and label sets, read strictly."""

import os

import yaml

from personalized_face import resources
from personalized_face.core.errors import UserError


def folder() -> str:
  """The data_specs folder of this installation."""
  return resources.data_specs_dir()


def names(kind: str) -> list[str]:
  """The specs of a kind ("corpora", "labels") that ship with the package."""
  files = os.listdir(os.path.join(folder(), kind))
  return sorted(os.path.splitext(name)[0] for name in files if name.endswith(".yaml"))


def load(
  kind: str,
  name_or_path: str,
  required: tuple[str, ...],
  optional: tuple[str, ...] = (),
) -> dict:
  """Reads a spec: exactly the required keys, any of the optional ones, no others.

  Args:
    kind: "corpora" or "labels".
    name_or_path: of a shipped spec, or a path ending in .yaml.
    required, optional: the keys. `description` is always allowed.

  Raises:
    UserError: no such file, not YAML, a key missing or unknown.
  """
  path = name_or_path
  if not path.endswith(".yaml"):
    if name_or_path not in names(kind):
      raise UserError(
        f"There is no {kind} spec {name_or_path!r}; give one of "
        f"{', '.join(names(kind))} or the path of a .yaml file."
      )
    path = os.path.join(folder(), kind, f"{name_or_path}.yaml")
  try:
    spec = read_yaml(path)
  except (OSError, ValueError) as error:
    raise UserError(f"The spec {path} cannot be read ({error}).") from error
  keys = set(spec) if isinstance(spec, dict) else set()
  if missing := [key for key in required if key not in keys]:
    raise UserError(f"The spec {path} lacks {', '.join(missing)}; add it.")
  if unknown := keys - {*required, *optional, "description"}:
    name = min(unknown, key=str)
    raise UserError(f"The spec {path} has the unknown key {name!r}.")
  return spec


class _PlainLoader(yaml.SafeLoader):
  """YAML without aliases: a file of a few lines of them expands to gigabytes."""

  def compose_node(self, parent, index):
    """As the base class does, but an alias is an error."""
    if self.check_event(yaml.AliasEvent):
      raise yaml.YAMLError("it has an alias (*name); write the value out")
    return super().compose_node(parent, index)


def read_yaml(path: str):
  """What a YAML file says, in plain Python types.

  Raises:
    OSError: it cannot be opened.
    ValueError: it is not YAML; the message is one line.
  """
  with open(path, encoding="utf-8") as file:
    try:
      return yaml.load(file, _PlainLoader)
    # Beside its own errors those of int() and datetime, and of too deep a nesting.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
      raise ValueError(" ".join(str(error).split())) from error
