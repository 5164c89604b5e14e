"""A self-contained HTML report: tables, figures and what was not found, in one file."""

import base64
import html
from collections.abc import Sequence

from personalized_face.evaluation import tables
from personalized_face.evaluation.benchmark import Result

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, td.source { text-align: left }
td.source { color: #666; font-size: 85% }
tr.ours { background: #eef5fb; font-weight: 600 }
figure { margin: 2rem 0 } img { max-width: 100%; height: auto }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto }
"""


def report_html(
  result: Result, timing: str, figures: Sequence[tuple[str, str]], command: str = ""
) -> str:
  """The whole report as one HTML text that needs no other file.

  Args:
    result: of the evaluation.
    timing: Markdown of timing.py; shown as it is.
    figures: (title, path of a PNG) each.
    command: that made it.

  Raises:
    OSError: a PNG cannot be read.
  """
  title = f"{result.benchmark.title}: evaluation"
  parts = [
    "<!doctype html>",
    f'<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>',
    f"<style>{_STYLE}</style></head><body><h1>{_text(title)}</h1>",
  ]
  if command:
    parts.append(f"<pre>{_text(command)}</pre>")
  parts.append(_table(tables.make_table(result)))
  if common := tables.make_common_table(result):
    parts.append(_table(common))
  parts.append(f"<h2>Time and size</h2><pre>{_text(timing)}</pre>")
  for name, path in figures:
    with open(path, "rb") as file:
      data = base64.b64encode(file.read()).decode("ascii")
    parts.append(
      f"<figure><h2>{_text(name)}</h2>"
      f'<img alt="{_text(name)}" src="data:image/png;base64,{data}"></figure>'
    )
  lines = tables.without_figures(result)
  parts.append(f"<h2>Without a face or a figure: {len(lines)}</h2>")
  if lines:
    parts.append(f"<pre>{_text(chr(10).join(lines))}</pre>")
  return "\n".join([*parts, "</body></html>"]) + "\n"


def _table(table: tables.Table) -> str:
  head = ["system", *table.columns.values(), "samples", "no face", "other", "source"]
  rows = ["<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in head) + "</tr>"]
  for row in table.rows:
    cells = [f"<td>{_text(row.system)}</td>"]
    cells += [f"<td>{_text(cell)}</td>" for cell in tables.cells(row, table.columns)]
    cells.append(f'<td class="source">{_text(row.source)}</td>')
    kind = ' class="ours"' if row.counts else ""
    rows.append(f"<tr{kind}>" + "".join(cells) + "</tr>")
  note = f"<p>{_text(table.note)}</p>" if table.note else ""
  return (
    f"<h2>{_text(table.title)}</h2><p>{_text(table.protocol)}</p>{note}"
    f"<table>{''.join(rows)}</table>"
  )


def _text(value: str) -> str:
  return html.escape(value)
