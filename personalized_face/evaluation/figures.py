"""The figures: matplotlib, each as vector PDF and PNG, with a caption that says what.

Pure functions from arrays and Predictions to matplotlib figures; `save` writes both
forms. Which of the paper's figures a function makes is in its docstring. Nothing uses
pyplot: figures are made and thrown away without global state.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from personalized_face.core import topology
from personalized_face.data.crop import Square, crop_image
from personalized_face.evaluation.predictions import Prediction
from personalized_face.export.files import replacing
from personalized_face.metrics.landmarks import cumulative_errors

_CELL = 1.5  # inches, a picture's side
_DPI = 150
# Fixed places in the table of systems, so that a colour means one system throughout.
_COLOURS = ("#1b6ca8", "#d1495b", "#3c8d5a", "#b07aa1", "#8c6d31", "#555555")
_LINES = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))
_LOOPS = ((36, 41), (42, 47), (48, 59), (60, 67))


def save(figure: Figure, stem: str) -> list[str]:
  """Writes <stem>.pdf and <stem>.png; returns both paths.

  The same figure gives the same bytes: no date is written.
  """
  paths = []
  for ending in (".pdf", ".png"):
    path = stem + ending
    metadata = {"CreationDate": None} if ending == ".pdf" else {"Software": None}
    with replacing(path) as temporary:
      figure.savefig(temporary, format=ending[1:], dpi=_DPI, metadata=metadata)
    paths.append(path)
  return paths


def picture_grid(
  rows: Sequence[Sequence[np.ndarray | None]],
  column_labels: Sequence[str],
  row_labels: Sequence[str],
  caption: str,
) -> Figure:
  """Pictures in rows and columns: Fig. 2, 3, 4, 5, 6, 7a and Supp. Fig. 1.

  Args:
    rows: R lists of C pictures, [H, W, 3] uint8 or in [0, 1]; None leaves a place
      empty.
    column_labels: C.
    row_labels: R.
    caption: below; wrapped.

  Raises:
    ValueError: the labels do not fit the rows.
  """
  if len(rows) != len(row_labels) or any(len(r) != len(column_labels) for r in rows):
    raise ValueError(f"{len(row_labels)} x {len(column_labels)} labels do not fit")
  width, height = _CELL * len(column_labels) + 0.9, _CELL * len(rows)
  below = _caption_height(caption, width)
  figure = Figure((width, height + 0.3 + below), layout=None)
  total = height + 0.3 + below
  for r, row in enumerate(rows):
    for c, picture in enumerate(row):
      place = [
        (0.85 + c * _CELL) / width,
        (below + height - (r + 1) * _CELL) / total,
        0.97 * _CELL / width,
        0.97 * _CELL / total,
      ]
      axes = figure.add_axes(place)
      axes.set_axis_off()
      if picture is not None:
        axes.imshow(np.clip(picture, 0, 255 if picture.dtype == np.uint8 else 1))
      if r == 0:
        axes.set_title(column_labels[c], fontsize=8, pad=3)
      if c == 0:
        figure.text(
          0.8 / width,
          place[1] + place[3] / 2,
          row_labels[r],
          fontsize=7,
          ha="right",
          va="center",
        )
  _write_caption(figure, caption, width)
  return figure


def error_curves(
  errors: Mapping[str, np.ndarray],
  limit: float,
  label: str,
  caption: str,
  areas: Mapping[str, float] | None = None,
) -> Figure:
  """Cumulative error curves, one for each system.

  Args:
    errors: {system: [I] errors, NaN for no face, which never counts as small enough}.
    limit: where the horizontal axis ends.
    label: of the horizontal axis, with its unit.
    caption: below.
    areas: {system: AUC} for the legend.
  """
  width = 5.0
  below = _caption_height(caption, width)
  figure = Figure((width, 3.2 + below))
  axes = figure.add_axes(
    [0.13, (0.5 + below) / (3.2 + below), 0.84, 2.5 / (3.2 + below)]
  )
  for (system, values), colour in zip(errors.items(), _cycle(len(errors)), strict=True):
    # The exact steps, not a sampled curve.
    steps = np.sort(np.concatenate([[0, limit], values[values <= limit]]))
    name = f"{system} ({areas[system]:.3f})" if areas else system
    axes.step(
      steps, cumulative_errors(values, steps), where="post", color=colour, label=name
    )
  axes.set(xlim=(0, limit), ylim=(0, 1), xlabel=label, ylabel="share of the images")
  axes.grid(alpha=0.3)
  axes.spines[["top", "right"]].set_visible(False)
  axes.legend(fontsize=7, frameon=False, loc="lower right")
  _write_caption(figure, caption, width)
  return figure


def landmark_panel(
  axes_picture: np.ndarray,
  points: Mapping[str, np.ndarray],
  size: int = 224,
  margin: float = 0.35,
) -> np.ndarray:
  """A picture cut to the face with 68 points of one or more systems on it.

  Args:
    axes_picture: [H, W, 3] uint8.
    points: {system: [68, 2] pixels}; the first decides the cut.
    size: side of the result, pixels.
    margin: round the first system's box, a share of its longer side.

  Returns:
    [2 size, 2 size, 3] uint8, drawn at twice the size.
  """
  first = next(iter(points.values()))
  low, high = first.min(axis=0), first.max(axis=0)
  side = (high - low).max() * (1 + 2 * margin)
  corner = (low + high) / 2 - side / 2
  square = Square(float(corner[0]), float(corner[1]), float(side))
  figure = Figure((2 * size / 100, 2 * size / 100), dpi=100)
  axes = figure.add_axes([0, 0, 1, 1])
  axes.set_axis_off()
  axes.imshow(crop_image(axes_picture, square, size), extent=(0, size, size, 0))
  for places, colour in zip(points.values(), ("#30d158", *_COLOURS[1:]), strict=False):
    inside = (places - corner) * (size / side)
    for start, end in _LINES:
      axes.plot(*inside[start : end + 1].T, color=colour, lw=1.2)
    for start, end in _LOOPS:
      loop = [*range(start, end + 1), start]
      axes.plot(*inside[loop].T, color=colour, lw=1.2)
    axes.plot(*inside.T, ".", color=colour, ms=3)
  axes.set(xlim=(0, size), ylim=(size, 0))
  return _pixels(figure)


def error_map(
  vertices: np.ndarray,
  triangles: np.ndarray,
  errors: np.ndarray,
  limit_mm: float,
  caption: str,
  titles: Sequence[str] = ("front", "from its left"),
) -> Figure:
  """Fig. 7b: the error at each vertex as a colour, with a colour bar in mm.

  Args:
    vertices: [V, 3] mm, y up, z forward.
    triangles: [T, 3].
    errors: [V] mm; NaN, grey, where nothing corresponds.
    limit_mm: where the colours end.
    caption: below.
    titles: of the views, front and from the person's left.
  """
  width, height = 5.6, 3.0
  below = _caption_height(caption, width)
  figure = Figure((width, height + below))
  total = height + below
  turns = (np.eye(3), np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]))
  collection = None
  for i, (turn, title) in enumerate(zip(turns, titles, strict=True)):
    axes = figure.add_axes([0.02 + 0.42 * i, below / total, 0.40, 0.9 * height / total])
    collection = _shaded(vertices @ turn.T, triangles, errors, limit_mm)
    axes.add_collection(collection)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()
    axes.set_title(title, fontsize=8)
  bar = figure.add_axes([0.88, (below + 0.3) / total, 0.025, 0.7 * height / total])
  figure.colorbar(collection, cax=bar, label="mm", extend="max")
  bar.tick_params(labelsize=7)
  _write_caption(figure, caption, width)
  return figure


def overlay_of(picture: np.ndarray, prediction: Prediction) -> np.ndarray | None:
  """The crop of the picture with the rendered face on it, [S, S, 3] in [0, 1]."""
  if prediction.rendering is None:
    return None
  crop = crop_of(picture, prediction)
  mask = np.asarray(prediction.mask, np.float32)[..., np.newaxis]
  return np.clip(mask * prediction.rendering + (1 - mask) * crop, 0, 1)


def crop_of(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
  """The part of the picture that was rendered, [S, S, 3] in [0, 1]."""
  x0, y0, x1, _ = np.asarray(prediction.box, np.float64).tolist()
  size = prediction.rendering.shape[0]
  return crop_image(picture, Square(x0, y0, x1 - x0), size) / 255.0


def _shaded(
  vertices: np.ndarray, triangles: np.ndarray, errors: np.ndarray, limit: float
) -> PolyCollection:
  """Triangles seen along -z, the far ones first, shaded by how they face the viewer."""
  from matplotlib import colormaps
  from matplotlib.colors import Normalize

  corners = vertices[triangles]
  facing = topology.triangle_normals(vertices, triangles).numpy()[:, 2]
  seen = np.flatnonzero(facing > 0)
  seen = seen[np.argsort(corners[seen, :, 2].mean(axis=1))]
  scale = Normalize(0, limit)
  colours = colormaps["viridis"].with_extremes(bad="#bbbbbb")
  of_triangle = np.ma.masked_invalid(errors[triangles].mean(axis=1))
  faces = colours(scale(of_triangle))[seen]
  faces[:, :3] *= (0.45 + 0.55 * facing[seen])[:, np.newaxis]
  result = PolyCollection(
    corners[seen, :, :2], facecolors=faces, edgecolors=faces, linewidths=0.2
  )
  result.set(cmap=colours, norm=scale, rasterized=True)
  return result


def _pixels(figure: Figure) -> np.ndarray:
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _cycle(count: int) -> list[str]:
  return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


_CAPTION_POINTS = 7.5


def _wrapped(caption: str, width: float) -> list[str]:
  import textwrap

  # A character is about half as wide as it is high.
  return textwrap.wrap(caption, int(width * 72 / (_CAPTION_POINTS * 0.52)) - 4)


def _caption_height(caption: str, width: float) -> float:
  """Inches."""
  return 0.1 + len(_wrapped(caption, width)) * _CAPTION_POINTS * 1.35 / 72


def _write_caption(figure: Figure, caption: str, width: float) -> None:
  figure.text(
    0.1 / width,
    0.04 / figure.get_size_inches()[1],
    "\n".join(_wrapped(caption, width)),
    fontsize=_CAPTION_POINTS,
    va="bottom",
    linespacing=1.25,
  )
