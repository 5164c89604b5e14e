"""`pface`: the commands by task, and any of them by its short name.

  pface                     what there is, a line each
  pface train --help        the manual page of pface_train
  pface train --run_dir=... the same as pface_train --run_dir=...

`python -m personalized_face` is the same.
"""

import ast
import difflib
import importlib
import pathlib
import sys

# Every command once, in the order in which people need them.
TASKS = {
  "Try it": ("demo",),
  "Your own face": ("personalize", "reconstruct", "track", "retarget"),
  "Show it and take it elsewhere": (
    "view",
    "export_avatar",
    "convert_motion",
    "export",
    "export_tflite",
  ),
  "Train on a corpus": (
    "prepare_data",
    "inspect_data",
    "synthesize_data",
    "train",
    "ablations",
  ),
  "Measure": (
    "evaluate",
    "register",
    "compare_persons",
    "benchmark_preparation",
    "benchmark_renderer",
    "benchmark_tracking",
    "benchmark_training",
  ),
  "Templates and renderers": ("build_template", "build_tf_mesh_renderer"),
}


def summary(name: str) -> str:
  """The first line of a command's manual page, read without importing it."""
  path = pathlib.Path(__file__).with_name(f"{name}.py")
  manual = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
  return manual.splitlines()[0]


def overview() -> str:
  """All commands by task."""
  width = max(len(name) for names in TASKS.values() for name in names)
  lines = ["Personalized face models and facial motion from video.", ""]
  for task, names in TASKS.items():
    lines.append(f"{task}:")
    lines += [f"  pface {name:{width}}  {summary(name)}" for name in names]
    lines.append("")
  lines.append("`pface COMMAND --help` shows a command's manual page and its flags.")
  return "\n".join(lines)


def run() -> None:
  """Shows the overview, or runs the command that the first argument names."""
  arguments = sys.argv[1:]
  if not arguments or arguments[0] in ("-h", "-help", "--help", "help"):
    print(overview())
    return
  name = arguments[0].removeprefix("pface_").replace("-", "_")
  known = [command for names in TASKS.values() for command in names]
  if name not in known:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`pface` lists them."
    print(f"There is no command {arguments[0]!r}; {hint}", file=sys.stderr)
    sys.exit(1)
  sys.argv = [f"pface {name}", *arguments[1:]]
  importlib.import_module(f"{__package__}.{name}").run()
