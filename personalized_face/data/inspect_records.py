"""What is in a folder of records, to look at: figures, histograms, contact sheets.

    records -> Overview (one pass, pictures of the chosen frames only)
            -> sheet.png, histograms.png, worst.png -> one page of HTML

The landmark residual tells bad landmarks from odd faces without a second detector: a
face's points, moved, turned and scaled onto those of the mean face of the records, as
far as the modes of all faces' variation do not explain them.
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from personalized_face.core.types import PARSING_CLASSES
from personalized_face.data import record_format, records
from personalized_face.data.inspection_page import page
from personalized_face.data.thinning import face_state

# Of landmark variation (pose, mouth, brows, identity): as many as explain this share of
# it, not more than so many.
_EXPLAINED = 0.95
_MODES = 15
_WORST_OF_A_CLIP = 4  # or one turned head fills the sheet of the worst
_TILE = 160  # px
# Of PARSING_CLASSES, RGB; background shows the picture itself.
_COLOURS = np.random.default_rng(4).integers(60, 256, (len(PARSING_CLASSES), 3))


class FrameOf(NamedTuple):
  """Where a frame is: record number in the order of reading, and frame in it."""

  split: str
  record: int
  frame: int


class Overview(NamedTuple):
  """The numbers of all frames of all splits; F of them."""

  frames: list[FrameOf]
  clips: list[str]
  landmarks: np.ndarray  # [F, 68, 2] pixels of the crop
  size: int  # of the crops
  values: dict[str, np.ndarray]  # [F] each; see `overview`


def overview(folder: str) -> Overview:
  """Reads the numbers of every frame.

  Returns:
    values: yaw and pitch in degrees, mouth_opening (over the distance of the outer eye
    corners), light (mean grey of the face's skin, 0-255), side_light (its right half
    over its left, log2), sharpness, confidence, residual (% of the crop).

  Raises:
    UserError: no records there, or a damaged file.
  """
  info = records.read_info(folder)
  size = info["preparation"]["size"]
  frames, clips, landmarks, rows = [], [], [], []
  for split in records.SPLITS:
    if not info["splits"][split]["frames"]:
      continue
    for number, clip in enumerate(records.read_clips(folder, split)):
      landmarks.append(clip.landmarks)
      clips += [clip.clip] * clip.num_frames
      for i in range(clip.num_frames):
        frames.append(FrameOf(split, number, i))
        light = _light(clip.images[i], clip.parsing[i])
        rows.append(
          (*light, *_optional(clip.sharpness, i), *_optional(clip.confidence, i))
        )
  points = np.concatenate(landmarks)
  state = face_state(points, size)
  names = ("light", "side_light", "sharpness", "confidence")
  values = dict(zip(names, np.array(rows, np.float64).T, strict=True))
  values |= {
    "yaw": np.degrees(state.yaw),
    "pitch": np.degrees(state.pitch),
    "mouth_opening": state.mouth_opening,
    "residual": landmark_residual(points) / size * 100,
  }
  return Overview(frames, clips, points, size, values)


def _optional(values: np.ndarray, index: int) -> tuple[float]:
  return (float(values[index]) if len(values) else np.nan,)


def _light(image: bytes, parsing: bytes) -> tuple[float, float]:
  """Mean grey of the skin, and log2 of its right half over its left."""
  grey = record_format.decode_labels(image)  # one channel, whatever it shows
  rows, columns = np.nonzero(
    record_format.decode_labels(parsing) == PARSING_CLASSES.index("skin")
  )
  if not len(rows):
    return np.nan, np.nan
  values, right = grey[rows, columns].astype(float), columns >= np.median(columns)
  halves = [values[side].mean() if side.any() else np.nan for side in (right, ~right)]
  return values.mean(), np.log2((halves[0] + 1) / (halves[1] + 1))


def landmark_residual(landmarks: np.ndarray) -> np.ndarray:
  """How far each face's points are from any face like the others.

  Args:
    landmarks: [F, 68, 2] pixels.

  Returns:
    [F] root mean square distance, pixels, after a similarity onto the mean face and
    the first modes of variation. An unusual pose has a large one too: look at them.
  """
  centred = landmarks - landmarks.mean(axis=1, keepdims=True)
  as_complex = centred[..., 0] + 1j * centred[..., 1]  # [F, 68]
  scales = np.linalg.norm(as_complex, axis=1, keepdims=True)
  shapes = as_complex / np.maximum(scales, 1e-9)
  mean = shapes[0]
  for _ in range(3):
    # The turn that brings each shape nearest to the mean.
    turn = np.conj(shapes @ np.conj(mean))[:, None]
    shapes = shapes * turn / np.maximum(np.abs(turn), 1e-9)
    # Of the median, not the mean: the points looked for must not pull it along.
    mean = np.median(shapes.real, axis=0) + 1j * np.median(shapes.imag, axis=0)
    mean /= np.linalg.norm(mean)
  offsets = shapes - mean
  flat = np.concatenate([offsets.real, offsets.imag], axis=1)
  # Modes of the better half, for the same reason.
  size = np.linalg.norm(flat, axis=1)
  good = flat[size <= np.median(size)]
  _, strengths, basis = np.linalg.svd(good, full_matrices=False)
  explained = np.cumsum(strengths**2) / max((strengths**2).sum(), 1e-18)
  modes = min(_MODES, len(good) // 2, int(np.searchsorted(explained, _EXPLAINED)) + 1)
  flat = flat - flat @ basis[:modes].T @ basis[:modes]
  return np.linalg.norm(flat, axis=1) * scales[:, 0] / np.sqrt(landmarks.shape[1])


def tiles(folder: str, found: Overview, chosen: Sequence[int]) -> list[np.ndarray]:
  """Crop, crop with landmarks and crop with its parsing map, side by side.

  Args:
    folder: of the records.
    found: its overview.
    chosen: [C] frames.

  Returns:
    C pictures [tile, 3 tile, 3] uint8 RGB, in the order of `chosen`.
  """
  wanted = {found.frames[i]: i for i in chosen}
  pictures = {}
  for split in sorted({frame.split for frame in wanted}):
    for number, clip in enumerate(records.read_clips(folder, split)):
      for i in range(clip.num_frames):
        index = wanted.get(FrameOf(split, number, i))
        if index is not None:
          pictures[index] = _tile(clip, i)
  return [pictures[i] for i in chosen]


def _tile(clip: record_format.ClipFrames, index: int) -> np.ndarray:
  image = record_format.decode_image(clip.images[index])
  labels = record_format.decode_labels(clip.parsing[index])
  scale = _TILE / image.shape[0]
  image = cv2.resize(image, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
  labels = cv2.resize(labels, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)
  marked = image.copy()
  for x, y in clip.landmarks[index] * scale:
    cv2.circle(marked, (round(float(x)), round(float(y))), 1, (80, 255, 80), -1)
  mixed = (0.5 * image + 0.5 * _COLOURS[labels]).astype(np.uint8)
  overlay = np.where((labels > 0)[..., None], mixed, image)
  return np.concatenate([image, marked, overlay], axis=1)


def sheet(pictures: list[np.ndarray], captions: list[str], columns: int) -> np.ndarray:
  """Pictures of one size in rows, a caption under each; [H, W, 3] uint8 RGB."""
  height, width = pictures[0].shape[:2]
  cells = []
  for picture, caption in zip(pictures, captions, strict=True):
    cell = np.full([height + 18, width + 6, 3], 255, np.uint8)
    cell[:height, :width] = picture
    text = caption.encode("ascii", "replace").decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(cell, text, (2, height + 12), font, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    cells.append(cell)
  blank = np.full_like(cells[0], 255)
  cells += [blank] * (-len(cells) % columns)
  rows = [
    np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)
  ]
  return np.concatenate(rows)


_HISTOGRAMS = (
  ("yaw", "yaw, degrees"),
  ("pitch", "pitch, degrees"),
  ("mouth_opening", "mouth opening / eye distance"),
  ("light", "light: mean grey of the skin"),
  ("side_light", "side light: log2 right / left half"),
  ("sharpness", "sharpness: variance of the Laplacian"),
  ("confidence", "confidence of the detector"),
  ("residual", "landmark residual, % of the crop"),
)


def histograms(found: Overview) -> np.ndarray:
  """Of each value over all frames, [H, W, 3] uint8 RGB."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(13, 6), dpi=90, layout="constrained")
  canvas = FigureCanvasAgg(figure)
  for axes, (name, label) in zip(
    figure.subplots(2, 4).ravel(), _HISTOGRAMS, strict=True
  ):
    values = found.values[name]
    axes.hist(values[np.isfinite(values)], bins=40, color="#4a6fa5")
    axes.set_xlabel(label)
    axes.set_ylabel("frames")
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def inspect(folder: str, output_dir: str, count: int = 24) -> dict[str, str]:
  """Writes sheet.png, worst.png, histograms.png and report.html.

  Args:
    folder: of records.
    output_dir: made where it is missing.
    count: frames in each sheet.

  Returns:
    The paths by name.

  Raises:
    UserError: no records there.
  """
  found = overview(folder)
  os.makedirs(output_dir, exist_ok=True)
  total = len(found.frames)
  spread = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
  residual = found.values["residual"]
  worst = _worst(residual, found.clips, count)
  yaw, mouth = found.values["yaw"], found.values["mouth_opening"]
  pictures = {
    "sheet": sheet(
      tiles(folder, found, spread),
      [f"{found.clips[i]}  yaw {yaw[i]:.0f}  mouth {mouth[i]:.2f}" for i in spread],
      3,
    ),
    "worst": sheet(
      tiles(folder, found, worst),
      [f"{found.clips[i]}  residual {residual[i]:.2f} %" for i in worst],
      3,
    ),
    "histograms": histograms(found),
  }
  paths = {}
  for name, picture in pictures.items():
    paths[name] = os.path.join(output_dir, f"{name}.png")
    cv2.imwrite(paths[name], cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
  paths["html"] = os.path.join(output_dir, "report.html")
  temporary = f"{paths['html']}.{os.getpid()}.tmp"
  with open(temporary, "w", encoding="utf-8", errors="replace") as file:
    file.write(page(folder, len(found.frames), len(set(found.clips)), pictures))
  os.replace(temporary, paths["html"])
  return paths


def _worst(residual: np.ndarray, clips: list[str], count: int) -> list[int]:
  """The frames with the largest residuals, a few of each clip."""
  taken, worst = Counter(), []
  for i in np.argsort(-residual, kind="stable"):
    taken[clips[i]] += 1
    if taken[clips[i]] <= _WORST_OF_A_CLIP:
      worst.append(int(i))
  return worst[:count]
