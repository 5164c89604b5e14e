"""The commands: what setup.py promises exists, starts quickly and explains itself."""

import ast
import subprocess
import sys

import pytest
from repository.commands import (
  ROOT,
  check_command,
  command_lines,
  command_names,
  flags_of,
)


def parse_tool(name: str) -> ast.Module:
  return ast.parse((ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", command_names())
def test_command_has_its_parts(name):
  tree = parse_tool(name)
  functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
  assert {"main", "run"} <= functions
  assert f"pface_{name}" in ast.get_docstring(tree), "the manual page shows a call"


def test_every_tool_is_a_command():
  tools = {path.stem for path in (ROOT / "tools").glob("[!_]*.py")}
  assert tools == set(command_names())


@pytest.mark.parametrize("name", command_names())
def test_command_imports_the_library_late(name):
  # TensorFlow must be told to be quiet, and libGL be looked for, before the library is
  # imported; so a tool's own imports, at its top, are light.
  allowed = sys.stdlib_module_names | {"absl"}
  for node in parse_tool(name).body:
    if isinstance(node, ast.Import):
      assert all(alias.name.split(".")[0] in allowed for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      light = node.module.split(".")[0] in allowed
      assert light or node.module == "personalized_face.tools._app"


@pytest.mark.parametrize("name", command_names())
def test_manual_page_shows_flags_that_exist(name):
  lines = command_lines(ast.get_docstring(parse_tool(name)))
  assert [check_command(words) for words in lines if words[0] != "make"] == (
    [None] * len(lines)
  )


@pytest.mark.parametrize("name", command_names())
def test_help_shows_the_manual_page_and_the_flags(name):
  # As pip's wrapper of the console command calls it.
  code = f"from personalized_face.tools.{name} import run; run()"
  shown = subprocess.run(
    [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60
  )
  assert ast.get_docstring(parse_tool(name)).splitlines()[0] in shown.stdout
  own = flags_of(name) - {"help", "helpfull", "helpshort", "verbosity"}
  for flag in own:
    assert (
      f"--{flag}" in shown.stdout
      or f"--[no]{flag}" in shown.stdout
      or (flag.startswith("no") and flag[2:] in own)
    )
  assert shown.stderr == ""
