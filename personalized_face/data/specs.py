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
    with open(path, encoding="utf-8") as file:
      spec = yaml.safe_load(file)
  except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
    reason = " ".join(str(error).split())
    raise UserError(f"The spec {path} cannot be read ({reason}).") from error
  keys = set(spec) if isinstance(spec, dict) else set()
  if missing := [key for key in required if key not in keys]:
    raise UserError(f"The spec {path} lacks {', '.join(missing)}; add it.")
  if unknown := keys - {*required, *optional, "description"}:
    raise UserError(f"The spec {path} has the unknown key {sorted(unknown)[0]!r}.")
  return spec
