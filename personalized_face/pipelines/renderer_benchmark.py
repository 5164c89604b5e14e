"""The renderer's benchmark: every backend, against two other renderers' kernels.

A process for each number of threads (`renderer_timing`), contenders in turns within it;
then a Markdown table, and flat figures for a program to read.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile

from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.export.files import write_json
from personalized_face.pipelines.renderer_timing import (
  PLAIN,
  TFG,
  Case,
  Work,
  backend_names,
)
from personalized_face.pipelines.tfg_rasterizer import compile_kernel
from personalized_face.progress import tqdm

BASE = Case()  # what the README's figures and the flat keys mean
_SHEETS = (28, 55, 110, 220)  # 1,458 to 95,922 triangles
_GROWTHS = {
  "pixels": [dataclasses.replace(BASE, size=n) for n in (64, 112, 224, 448)],
  "images": [dataclasses.replace(BASE, images=n) for n in (1, 4, 16, 32)],
  "triangles": [dataclasses.replace(BASE, images=4, sheet=n) for n in _SHEETS],
}
# Names of the keys: the backends, "xla" without jit_compile, and tensorflow-graphics.
TITLES = {
  "cpu": "`cpu`",
  "xla": "`xla`",
  PLAIN: "`xla`, no jit_compile",
  "tf_mesh_renderer": "tf_mesh_renderer",
  TFG: "tensorflow-graphics",
}
KINDS = ("forward", "forward_backward")


def benchmark(json_path: str | None = None, quick: bool = False) -> str:
  """Measures.

  Args:
    json_path: gets the flat figures.
    quick: the base case alone, few rounds, on two threads.

  Returns:
    A Markdown text with the tables.
  """
  names = [*backend_names(), PLAIN, TFG]
  with tempfile.TemporaryDirectory() as folder:
    library, reason = None, None
    try:
      library = compile_kernel(folder)
    except UserError as error:
      reason = str(error)
    results = _measure_all(_plan(library, quick))
  missing = {n: "no such backend" for n in ("cpu",) if n not in names}
  missing |= results[0]["missing"] | ({TFG: reason} if reason else {})
  for name, why in missing.items():
    logging.info("Not measured, its figures are null: %s: %s", name, why)
  if json_path:
    write_json(json_path, flat_figures(results))
  return "\n\n".join(_tables(results))


def flat_figures(results: list[dict]) -> dict[str, float | int | None]:
  """The base case's figures, milliseconds per image, by name; None where missing.

  Args:
    results: of `renderer_timing.measure`.

  Returns:
    `NAME_forward_ms`, `NAME_forward_backward_ms` on two threads, the same with
    `_1_thread`, or with `_64_pixels` and so on; `NAME_id_agreement` (a share), ratios,
    what was measured; and for `cpu` and `xla` the whole render, `NAME_render_KIND_ms`,
    and with `_antialias`.
  """
  two, one = _find(results, BASE, 2), _find(results, BASE, 1)
  figures = {
    "images": BASE.images,
    "size_pixels": BASE.size,
    "triangles": two["triangles"],
    "threads": two["threads"],
    "cpus": os.cpu_count(),
  }
  for name in TITLES:
    for kind in KINDS:
      if name == PLAIN and kind != "forward":
        continue
      figures[f"{name}_{kind}_ms"] = two[f"{kind}_ms"].get(name)
      if one:
        figures[f"{name}_{kind}_ms_1_thread"] = one[f"{kind}_ms"].get(name)
    figures[f"{name}_id_agreement"] = two.get("id_agreement", {}).get(name)
  for rival in ("tf_mesh_renderer", TFG):
    for kind in KINDS:
      ours, theirs = figures.get(f"cpu_{kind}_ms"), figures.get(f"{rival}_{kind}_ms")
      ratio = theirs / ours if ours and theirs else None
      figures[f"cpu_{kind}_times_faster_than_{rival}"] = ratio
  for name, switches in two.get("antialias_ms", {}).items():
    for switch, suffix in (("off", ""), ("on", "_antialias")):
      for kind in KINDS:
        figures[f"{name}_render_{kind}{suffix}_ms"] = switches[switch][kind]
  for what, cases in _GROWTHS.items():
    for result in (found for case in cases if (found := _find(results, case, 2))):
      size = _size(what, result)
      for kind in KINDS:
        for name, value in result[f"{kind}_ms"].items():
          figures[f"{name}_{kind}_ms_{size}_{what}"] = value
  slow, fast = figures.get("cpu_forward_ms_1_thread"), figures.get("cpu_forward_ms")
  figures["cpu_forward_speedup_2_threads"] = slow / fast if slow and fast else None
  return figures


def _plan(library: str | None, quick: bool) -> list[Work]:
  """One Work per process; the base case comes first."""
  if quick:
    return [
      Work(2, (BASE,), (2, 4), library, agreement=True, plain=False, antialias=False)
    ]
  cases = tuple(dict.fromkeys([BASE, *itertools.chain(*_GROWTHS.values())]))
  few = (BASE, dataclasses.replace(BASE, images=1))
  return [
    Work(2, cases, (3, 15), library, agreement=True, plain=True, antialias=True),
    Work(1, few, (3, 15), library, agreement=False, plain=True, antialias=False),
  ]


def _measure_all(plan: list[Work]) -> list[dict]:
  """Runs the processes one after the other, with one bar for all cases."""
  results = []
  environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
  total = sum(len(work.cases) for work in plan)
  with tqdm(total=total, desc="Measuring", unit="case") as bar:
    for work in plan:
      for line in _lines_of(work, environment):
        results.append(json.loads(line))
        bar.update()
  return results


def _lines_of(work: Work, environment: dict[str, str]):
  """What the process writes, line by line.

  Raises:
    RuntimeError: it failed; the message holds what it said.
  """
  command = [sys.executable, "-m", "personalized_face.pipelines.renderer_timing"]
  with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
    process = subprocess.Popen(
      command,
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=complaints,
      text=True,
    )
    try:
      process.stdin.write(json.dumps(dataclasses.asdict(work)))
      process.stdin.close()
      yield from process.stdout
      if process.wait():
        complaints.seek(0)
        raise RuntimeError(f"A measuring process failed: {complaints.read()[-2000:]}")
    finally:
      with contextlib.suppress(ProcessLookupError):
        process.kill()
      process.wait()


def _tables(results: list[dict]) -> list[str]:
  """Markdown: the base case, then growth with pixels, images and triangles."""
  two, one = _find(results, BASE, 2), _find(results, BASE, 1)
  tables = [
    f"Milliseconds per image, {two['triangles']:,} triangles, {BASE.size} x {BASE.size}"
    f" pixels, {BASE.images} images, {two['threads']} threads:",
    _base_table(two, one),
  ]
  for what, cases in _GROWTHS.items():
    found = [result for case in cases if (result := _find(results, case, 2))]
    if len(found) > 1:
      tables += [f"Growth with {what} (forward / forward and backward):"]
      tables += [_growth_table(what, found)]
  if two.get("antialias_ms"):
    tables += ["The whole render, without and with `antialias`:", _antialias_table(two)]
  return tables


def _antialias_table(result: dict) -> str:
  rows = [["", "forward", "forward and backward"]]
  for name, switches in result["antialias_ms"].items():
    for switch, title in (("off", TITLES[name]), ("on", f"{TITLES[name]}, antialias")):
      rows.append([title, *(f"{switches[switch][kind]:.3g}" for kind in KINDS)])
  return _markdown(rows)


def _base_table(two: dict, one: dict | None) -> str:
  rows = [["", "forward", "forward and backward", "ids equal"]]
  if one:
    rows[0] += ["forward, 1 thread", "forward and backward, 1 thread"]
  for name, title in TITLES.items():
    if name not in two["forward_ms"]:
      continue
    share = two.get("id_agreement", {}).get(name)
    row = [title, *(_ms(two, kind, name) for kind in KINDS)]
    row.append("" if share is None else f"{100 * share:.3f} %")
    if one:
      row += [_ms(one, kind, name) for kind in KINDS]
    rows.append(row)
  return _markdown(rows)


def _growth_table(what: str, found: list[dict]) -> str:
  rows = [["", *(f"{_size(what, result):,} {what}" for result in found)]]
  for name, title in TITLES.items():
    if name in found[0]["forward_ms"]:
      cells = [" / ".join(_ms(r, kind, name) for kind in KINDS) for r in found]
      rows.append([title, *(cell.removesuffix(" / ") for cell in cells)])
  return _markdown(rows)


def _size(what: str, result: dict) -> int:
  case = result["case"]
  sizes = {
    "pixels": case["size"],
    "images": case["images"],
    "triangles": result["triangles"],
  }
  return sizes[what]


def _ms(result: dict, kind: str, name: str) -> str:
  value = result[f"{kind}_ms"].get(name)
  return "" if value is None else f"{value:.3g}"


def _markdown(rows: list[list[str]]) -> str:
  lines = [f"| {' | '.join(row)} |" for row in rows]
  lines.insert(1, "|---" * len(rows[0]) + "|")
  return "\n".join(lines)


def _find(results: list[dict], case: Case, threads: int) -> dict | None:
  for result in results:
    if result["case"] == dataclasses.asdict(case) and result["threads"] == threads:
      return result
  return None
