"""What the repository tests know of the commands, read from the sources."""

import ast
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
# Flags that absl gives to every command.
_ABSL_FLAGS = {"help", "helpfull", "helpshort", "verbosity"}


def command_names() -> list[str]:
  """Returns COMMANDS of setup.py."""
  for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
    if isinstance(node, ast.Assign) and node.targets[0].id == "COMMANDS":
      return list(ast.literal_eval(node.value))
  raise AssertionError("setup.py has no COMMANDS")


def flags_of(name: str) -> set[str]:
  """Returns the flags that tools/NAME.py defines, and absl's."""
  tree = ast.parse((ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8"))
  names = set(_ABSL_FLAGS)
  for node in ast.walk(tree):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      if node.func.attr.startswith("DEFINE_"):
        names.add(node.args[0].value)
      if node.func.attr in ("DEFINE_bool", "DEFINE_boolean"):
        names.add(f"no{node.args[0].value}")
  return names


def takes_inputs(name: str) -> bool:
  """Whether a tool reads files given without a flag."""
  source = (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8")
  return "run_app(main, positional=True)" in source


def command_lines(text: str) -> list[list[str]]:
  """Returns the words of each line that calls one of our commands or make."""
  joined = re.sub(r"\\\n\s*", " ", text)
  lines = []
  for line in joined.splitlines():
    call = line.strip().removeprefix("$ ")
    if re.match(r"(make|python|pface_\w+)( |$)", call):
      lines.append(shlex.split(call, comments=True))
  return lines


def check_command(words: list[str]) -> str | None:
  """Returns what is wrong with a call of one of our tools, None if nothing is."""
  if words[0] == "python":
    if not words[1].startswith("tools/"):
      return None
    name, arguments = words[1].removeprefix("tools/").removesuffix(".py"), words[2:]
  else:
    name, arguments = words[0].removeprefix("pface_"), words[1:]
  if name not in command_names():
    return f"setup.py installs no command {name}"
  if not (ROOT / "tools" / f"{name}.py").is_file():
    return f"there is no tools/{name}.py"
  for argument in arguments:
    if not argument.startswith("-") and takes_inputs(name):
      continue
    flag, _, value = argument.removeprefix("--").partition("=")
    if not argument.startswith("--") or flag not in flags_of(name):
      return f"{name} does not know {argument}"
    shipped = ROOT / "gin" / value
    if flag == "gin_file" and value.startswith("papers/") and not shipped.is_file():
      return f"there is no gin/{value}"
  return None
