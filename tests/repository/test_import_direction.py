"""The package's layers: who may import whom (DESIGN section 2)."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "personalized_face"

# From the bottom up; a module imports its own part and what lies below its level.
LEVELS = (
  {"core"},
  {"template", "resources", "native_logs", "progress"},
  {"networks", "rendering", "face_model", "metrics"},
  {"data", "losses", "systems"},
  {"config"},
  {"authoring", "training", "fitting", "inference"},
  {"evaluation", "export"},
  {"pipelines"},
  {"tools"},
  {"__main__"},
)
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS) for part in parts}
# Exceptions, to a part of the same level.
SIDEWAYS = {
  "evaluation": {"export"},  # how files and meshes are written
  "training": {"inference"},  # TensorBoard shows the pictures of a contact sheet
}
CORE_ONLY = {"networks", "rendering", "metrics"}
WITHOUT_GIN = {"core", "template", "face_model", "rendering"}

SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")])
IDS = [str(path.relative_to(ROOT)) for path in SOURCES]


def part_of(path: pathlib.Path) -> str:
  """Returns "core" for personalized_face/core/types.py, "config" for config.py."""
  parts = path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).parts
  return parts[0].removesuffix(".py")


def imported_modules(source: str) -> set[str]:
  """Returns the full names that a module imports, inside functions too.

  `from a.b import c` gives "a.b.c": whether c is a module cannot be seen here.
  """
  names = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, "imports are written out, not relative"
      names.update(f"{node.module}.{alias.name}" for alias in node.names)
  return names


def imported_parts(path: pathlib.Path) -> set[str]:
  """Returns which parts of the package a module imports."""
  names = imported_modules(path.read_text(encoding="utf-8"))
  split = [name.split(".") for name in names]
  return {name[1] for name in split if name[0] == "personalized_face" and len(name) > 1}


def test_every_folder_is_a_package():
  folders = {path.parent for path in PACKAGE.rglob("*.py")}
  assert [f.name for f in folders if not (f / "__init__.py").is_file()] == []


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_imports_point_downwards(path):
  part = part_of(path)
  if part == "__init__":
    assert imported_parts(path) == set()
    return
  assert part in LEVEL_OF, f"give {part} a place in LEVELS (and in the design)"
  for other in imported_parts(path) - {part} - SIDEWAYS.get(part, set()):
    assert LEVEL_OF[other] < LEVEL_OF[part], f"{part} must not import {other}"


def test_exceptions_are_on_one_level_and_one_way():
  for part, others in SIDEWAYS.items():
    for other in others:
      assert LEVEL_OF[other] == LEVEL_OF[part]
      assert part not in SIDEWAYS.get(other, set())


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_low_parts_stay_independent(path):
  part = part_of(path)
  if part in CORE_ONLY:
    assert imported_parts(path) <= {"core", part}
  if part in WITHOUT_GIN:
    names = imported_modules(path.read_text(encoding="utf-8"))
    assert not any(name.split(".")[0] == "gin" for name in names)


@pytest.mark.parametrize("path", sorted((PACKAGE / "systems").glob("*.py")))
def test_systems_do_not_import_each_other(path):
  assert "systems" not in imported_parts(path)


def test_the_walk_sees_every_form_of_import():
  source = "import gin.config\ndef f():\n  from personalized_face.core import types\n"
  assert imported_modules(source) == {"gin.config", "personalized_face.core.types"}
