"""A Result as Markdown, CSV and JSON, published figures beside ours.

Result, data_specs/published/<benchmark>.yaml --> Table --> .md, .csv, .json
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from personalized_face.core.errors import UserError
from personalized_face.data import specs
from personalized_face.evaluation.benchmark import (
  MISSING,
  NO_FACE,
  OK,
  TURNED,
  UNUSABLE,
  Result,
  counts,
  mean,
  on_common_samples,
  values,
)

_TURNED_HEADING = "turned triangles %"


class TableRow(NamedTuple):
  """One system: ours, or a published one."""

  system: str
  source: str  # "this run", or where a published figure stands
  values: dict[str, float]  # NaN where there is none
  counts: dict[str, int] | None  # see benchmark.counts; None for published ones


class Table(NamedTuple):
  """A benchmark's table."""

  title: str
  protocol: str
  columns: dict[str, str]  # {key: heading}
  rows: list[TableRow]
  note: str = ""


def published_rows(benchmark: str, columns: Mapping[str, str]) -> list[TableRow]:
  """The published figures that ship for a benchmark; none if there is no file.

  Raises:
    UserError: the file has a key that is no column.
  """
  if benchmark not in specs.names("published"):
    return []
  rows = []
  for row in specs.load("published", benchmark, ("rows",))["rows"]:
    if unknown := set(row["values"]) - set(columns):
      raise UserError(
        f"data_specs/published/{benchmark}.yaml has {sorted(unknown)[0]!r}, which is "
        "no column of the benchmark."
      )
    figures = {key: row["values"].get(key, math.nan) for key in columns}
    rows.append(TableRow(row["system"], row["source"], figures, None))
  return rows


def make_table(result: Result, with_published: bool = True) -> Table:
  """The main table of a run."""
  benchmark = result.benchmark
  columns = dict(benchmark.columns)
  rows = []
  for system in result.order:
    own = result.of(system)
    figures = {**dict.fromkeys(columns, math.nan), **benchmark.summary(own)}
    figures[TURNED] = mean(values(own, TURNED))
    rows.append(TableRow(system, "this run", figures, counts(own)))
  if any(not math.isnan(row.values[TURNED]) for row in rows):
    columns[TURNED] = _TURNED_HEADING
  lost = sum(row.lost_pictures for row in result.rows)
  note = (
    f"No face was found in {lost} of the pictures, though in another of the same "
    "sample, which went on without them."
    if lost
    else ""
  )
  if with_published:
    rows += published_rows(benchmark.name, benchmark.columns)
  return Table(benchmark.title, benchmark.protocol, columns, rows, note)


def make_common_table(result: Result) -> Table | None:
  """The same on the samples that every system has a figure for; None if all are."""
  common = on_common_samples(result)
  if common is None or not common.rows:
    return None
  table = make_table(common, with_published=False)
  samples = len({row.sample for row in common.rows})
  total = len({row.sample for row in result.rows})
  note = f"Only the {samples} of {total} samples that every system has a figure for."
  note = " ".join(filter(None, (note, table.note)))
  return table._replace(title=f"{table.title}, common samples", note=note)


def markdown(table: Table) -> str:
  """For people; the protocol above, sources beside."""
  head = ["system", *table.columns.values(), "samples", NO_FACE, "other", "source"]
  lines = [f"### {table.title}", "", table.protocol, ""]
  if table.note:
    lines += [table.note, ""]
  lines += [_line(head), _line(["---"] + ["---:"] * (len(head) - 2) + ["---"])]
  for row in table.rows:
    lines.append(_line([row.system, *cells(row, table.columns), row.source]))
  return "\n".join(lines) + "\n"


def cells(row: TableRow, columns: Mapping[str, str]) -> list[str]:
  """The figures and counts of a row as text; a dash where there is no figure."""
  counted = ["", "", ""]
  if row.counts:
    other = row.counts[MISSING] + row.counts[UNUSABLE]
    counted = [str(row.counts["samples"]), str(row.counts[NO_FACE]), str(other)]
  return [*(_number(row.values.get(key, math.nan)) for key in columns), *counted]


def csv_text(table: Table) -> str:
  """For spreadsheets: keys as headings, full precision, empty where undefined."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  statuses = ("samples", NO_FACE, MISSING, UNUSABLE)
  writer.writerow(["system", *table.columns, *statuses, "source"])
  for row in table.rows:
    cells = [_plain(row.values.get(key, math.nan)) for key in table.columns]
    tail = [row.counts[s] if row.counts else "" for s in statuses]
    writer.writerow(
      [row.system, *("" if c is None else c for c in cells), *tail] + [row.source]
    )
  return text.getvalue()


def as_json(table: Table) -> dict[str, Any]:
  """For programs: plain values, None where undefined."""
  return {
    "title": table.title,
    "protocol": table.protocol,
    "note": table.note,
    "columns": table.columns,
    "rows": [
      {
        "system": row.system,
        "source": row.source,
        "counts": row.counts,
        "values": {key: _plain(value) for key, value in row.values.items()},
      }
      for row in table.rows
    ],
  }


def per_sample_csv(result: Result) -> str:
  """One line for each sample and system, those without figures too."""
  keys = sorted({key for row in result.rows for key in row.figures})
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  head = ["sample", "group", "system", "status", "lost pictures"]
  writer.writerow([*head, *keys])
  for row in result.rows:
    cells = [_plain(row.figures.get(key, math.nan)) for key in keys]
    cells = ["" if cell is None else cell for cell in cells]
    head = [row.sample, row.group, row.system, row.status, row.lost_pictures]
    writer.writerow([*head, *cells])
  return text.getvalue()


def without_figures(result: Result) -> list[str]:
  """A line for each sample that a system saw no face in, or in not all its pictures.

  Those whose prediction is missing or of no use are among them.
  """
  lines = []
  for row in result.rows:
    if row.status != OK:
      lines.append(f"{row.system}: {row.sample}: {row.status}")
    elif row.lost_pictures:
      lines.append(
        f"{row.system}: {row.sample}: no face in {row.lost_pictures} picture"
      )
  return lines


def _line(cells: Sequence[str]) -> str:
  return "| " + " | ".join(cells) + " |"


def _number(value: float) -> str:
  """Three significant digits or more; a dash where undefined."""
  if value is None or math.isnan(value):
    return "-"
  digits = 3 if abs(value) < 1 else 2
  return f"{value:.{digits}f}"


def _plain(value: float) -> float | None:
  return None if math.isnan(value) else float(value)
