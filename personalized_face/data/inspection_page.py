"""The HTML page of `pface_inspect_data`: what records say of themselves."""

import base64
import html
import os
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from personalized_face.data import merge, records
from personalized_face.data.manifest import ManifestRow, read_manifest

_STYLE = (
  "body{font:15px sans-serif;margin:2em;max-width:1500px}"
  "table{border-collapse:collapse}"
  "td,th{padding:2px 10px;border-bottom:1px solid #ddd;text-align:right}"
  "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


def page(folder: str, frames: int, clips: int, pictures: dict[str, np.ndarray]) -> str:
  """One page of HTML that needs no other file.

  Args:
    folder: of the records.
    frames, clips: how many there are.
    pictures: `sheet`, `worst` and `histograms`, [H, W, 3] uint8 RGB.
  """
  info = records.read_info(folder)
  rows = read_manifest(os.path.join(folder, merge.MANIFEST))
  faulty = [row for row in rows if row.reason]
  embedded = {name: _embedded(picture) for name, picture in pictures.items()}
  spec = info.get("corpus_spec", {})
  return f"""<!doctype html><html><head><meta charset="utf-8">
<title>{html.escape(info["name"])}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(info["name"])}: {frames} frames of
{clips} clips</h1>
<p>Corpus {html.escape(info["corpus"])}; {html.escape(str(spec.get("source", "")))};
licence: {html.escape(str(spec.get("licence", "")))}. Landmarks:
{html.escape(info["landmarks"])}. Parsing: {html.escape(info["parsing"])}.</p>
<h2>Inputs</h2>{_table(["status", "inputs"], info["inputs"].items())}
<h2>Frames by gate</h2>{_table(["gate", "frames"], info["gates"].items())}
<h2>Splits</h2>{_splits(info["splits"])}
<h2>Histograms</h2>{embedded["histograms"]}
<h2>Contact sheet</h2><p>Crop, landmarks, parsing map.</p>{embedded["sheet"]}
<h2>Largest landmark residuals</h2>{embedded["worst"]}
<h2>What the manifest says ({len(faulty)} of {len(rows)} rows have a reason)</h2>
{_table(["input", "status", "reason"], [_row(row) for row in faulty[:200]])}
</body></html>
"""


def _row(row: ManifestRow) -> tuple[str, str, str]:
  return row.path, row.status, row.reason


def _splits(splits: dict[str, dict]) -> str:
  names = list(next(iter(splits.values())))
  return _table(["split", *names], [(s, *v.values()) for s, v in splits.items()])


def _table(header: Sequence[str], rows: Iterable[Sequence]) -> str:
  def line(cells: Sequence, tag: str) -> str:
    inside = "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells)
    return f"<tr>{inside}</tr>"

  body = "".join(line(row, "td") for row in rows)
  return f"<table>{line(header, 'th')}{body}</table>"


def _embedded(picture: np.ndarray) -> str:
  data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
  return f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}">'
