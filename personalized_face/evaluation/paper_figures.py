"""The paper's own pictures, from a person, a tracking and the system that made them.

Shown (picture, what each system said) --> side by side: Fig. 5, 6, 7a
Solved (person, tracking, crop) --renderer--> Fig. 2, 3, 4, Supp. Fig. 1
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.evaluation.benchmark import Sample
from personalized_face.evaluation.figures import (
  landmark_panel,
  overlay_of,
  picture_grid,
)
from personalized_face.evaluation.predictions import Prediction
from personalized_face.inference import pictures
from personalized_face.inference.render import ClipRenderer, RenderedFrames
from personalized_face.template.face_template import FaceTemplate

# Views and lights that nobody photographed, Fig. 3e: yaw in degrees, and the light's
# direction (image right, up, towards the camera).
_NOVEL = ((-35.0, (-0.7, 0.3, 0.4)), (35.0, (0.7, 0.4, 0.3)))
_HIGHLIGHT = np.array([0.90, 0.10, 0.15])


class Solved(NamedTuple):
  """One picture as our model explains it; numpy."""

  name: str
  person: PersonModel  # without B
  tracking: Tracking  # [1, ...]
  crop: np.ndarray  # [S, S, 3] uint8


class Shown(NamedTuple):
  """One picture and what each system said of it."""

  sample: Sample
  picture: np.ndarray  # [H, W, 3] uint8
  predictions: dict[str, Prediction]
  truth: np.ndarray | None  # [68, 2] pixels


def columns_figure(renderer: ClipRenderer, solved: Sequence[Solved]) -> Figure:
  """Fig. 2 and Supp. Fig. 1: input, overlay, shape, albedo, lighting."""
  rows = []
  for item in solved:
    frames = renderer.all(item.person, item.tracking)
    crop = item.crop[np.newaxis] / np.float32(255)
    row = np.asarray(pictures.columns(crop, frames.rendering))[0]
    rows.append(np.split(row, len(pictures.COLUMN_LABELS), axis=1))
  return picture_grid(
    rows,
    pictures.COLUMN_LABELS,
    [item.name for item in solved],
    "As Fig. 2 and Supp. Fig. 1 of the paper. Input crop; the rendered face on it; the "
    "shape as grey clay under one fixed lamp; the unlit albedo; the estimated light on "
    "a grey face.",
  )


def personalization_figure(
  renderer: ClipRenderer,
  template_person: PersonModel,
  mean_albedo: np.ndarray,
  solved: Sequence[Solved],
) -> Figure:
  """Fig. 3: the prior, + identity corrections, + expression-specific ones, novel views.

  Args:
    renderer: of the system.
    template_person: without corrections, without B.
    mean_albedo: [U, U, 3] R_0^t.
    solved: what to show, a row each.
  """
  rows = []
  for item in solved:
    prior = template_person._replace(static_albedo=mean_albedo)
    identity = item.person._replace(
      blendshape_corrections=np.zeros_like(item.person.blendshape_corrections),
      dynamic_albedo=np.zeros_like(item.person.dynamic_albedo),
    )
    row = [item.crop]
    for person in (prior, identity, item.person):
      frames = renderer.all(person, item.tracking)
      crop = item.crop[np.newaxis] / np.float32(255)
      row.append(np.asarray(pictures.overlay(crop, frames.rendering))[0])
    vertices = renderer.all(item.person, item.tracking).vertices[0]
    for yaw, direction in _NOVEL:
      tracking = _turned(item.tracking, vertices, yaw, direction)
      novel = renderer.all(item.person, tracking)
      row.append(np.asarray(pictures.on_grey(novel.rendering, 1.0))[0])
    rows.append(row)
  labels = ("input", "3DMM prior", "+ identity", "+ expression", "novel", "novel")
  return picture_grid(
    rows,
    labels,
    [item.name for item in solved],
    "As Fig. 3 of the paper. The template without corrections; with the identity's "
    "(neutral shape and static albedo); with the expression-specific ones as well; "
    "that face from two other sides under other light. The tracking is the same "
    "throughout.",
  )


def corrections_figure(
  renderer: ClipRenderer,
  template: FaceTemplate,
  person: PersonModel,
  names: Sequence[str],
) -> Figure:
  """Fig. 4: corrected blendshapes and dynamic albedo, the corrections highlighted.

  Args:
    renderer: of the system.
    template: its template.
    person: without B.
    names: blendshapes, a row each; those that the template has not are left out.
  """
  rows, labels = [], []
  for name in names:
    if name not in template.blendshape_names:
      continue
    index = template.blendshape_names.index(name)
    tracking = _posed(template.num_blendshapes, index)
    # The same neutral on both sides: what differs is the blendshape alone.
    generic = person._replace(
      blendshape_corrections=np.zeros_like(person.blendshape_corrections),
      dynamic_albedo=np.zeros_like(person.dynamic_albedo),
    )
    before, after = renderer.all(generic, tracking), renderer.all(person, tracking)
    rows.append(_correction_row(before, after))
    labels.append(name)
  shown = ("template's", "corrected", "moved", "static albedo", "+ dynamic", "changed")
  return picture_grid(
    rows,
    shown,
    labels,
    "As Fig. 4 of the paper. The template's blendshape on the person's neutral face; "
    "the corrected blendshape; where the shape's shading changed (red). The static "
    "albedo; with the blendshape's dynamic albedo; where it changed (red; full colour "
    "is a change by 0.1 of the range).",
  )


def side_by_side_figure(shown: Sequence[Shown], systems: Sequence[str]) -> Figure:
  """Fig. 5, 6 and 7a: the same pictures as several systems explain them.

  A system with a rendering shows it on the picture; one with landmarks alone shows
  those; an empty place is a face that it did not find, or gave as a mesh alone.
  """
  rows = []
  for item in shown:
    row = [_landmarks(item, None)]
    for system in systems:
      prediction = item.predictions.get(system)
      if prediction is None:
        row += [None]
      elif prediction.rendering is not None:
        row += [overlay_of(item.picture, prediction)]
      elif prediction.landmarks is not None:
        row += [_landmarks(item, system)]
      else:
        row += [None]
    rows.append(row)
  first = "reference" if any(item.truth is not None for item in shown) else "input"
  return picture_grid(
    rows,
    [first, *systems],
    [item.sample.name for item in shown],
    "As Fig. 5, 6 and 7a of the paper: the same pictures by several systems. Left the "
    "input, with the reference's points in green where there are any. An empty place "
    "is a face that was not found, or shown by a mesh alone.",
  )


def landmarks_figure(shown: Sequence[Shown], systems: Sequence[str]) -> Figure:
  """The contact sheet of a landmark benchmark: each system's points on each picture."""
  rows = []
  for item in shown:
    row = [_landmarks(item, None)]
    for system in systems:
      prediction = item.predictions.get(system)
      there = prediction is not None and prediction.landmarks is not None
      row.append(_landmarks(item, system) if there else None)
    rows.append(row)
  return picture_grid(
    rows,
    ["reference", *systems],
    [item.sample.name for item in shown],
    "The 68 points: green the reference, red the system's. An empty place is a face "
    "that was not found.",
  )


def _landmarks(item: Shown, system: str | None) -> np.ndarray:
  """The picture cut to the reference, with its points and those of a system."""
  points = {} if item.truth is None else {"reference": item.truth}
  if system is not None:
    points[system] = item.predictions[system].landmarks
  if not points:
    return _square(item.picture)
  return landmark_panel(item.picture, points)


def _square(picture: np.ndarray) -> np.ndarray:
  """The picture in the middle of a white square, so that nothing is stretched."""
  height, width = picture.shape[:2]
  side = max(height, width)
  canvas = np.full([side, side, 3], 255, np.uint8)
  top, left = (side - height) // 2, (side - width) // 2
  canvas[top : top + height, left : left + width] = picture
  return canvas


def _turned(
  tracking: Tracking,
  vertices: np.ndarray,
  yaw_degrees: float,
  direction: Sequence[float],
) -> Tracking:
  """The same face upright and turned about its middle, lit from one side."""
  rotation = np.array([[0.0, np.radians(yaw_degrees), 0.0]], np.float32)
  middle = vertices.mean(axis=0)
  turned = np.asarray(rotation_matrix(rotation[0])) @ middle
  light = 0.6 * ambient_light(1.0)[np.newaxis].astype(np.float32)
  # Orders (1, 1), (1, -1), (1, 0) light from image right, above and the camera; half
  # of the ambient level each way keeps the irradiance positive.
  for index, amount in zip((3, 1, 2), direction, strict=True):
    light[:, index] += 0.8 * amount
  return tracking._replace(
    rotation=rotation,
    translation=(np.array([0, 0, -10.0]) - turned).astype(np.float32)[np.newaxis],
    light=light,
  )


def _posed(count: int, index: int) -> Tracking:
  """One blendshape in full, seen from the front in even light."""
  expression = np.zeros([1, count], np.float32)
  expression[0, index] = 1
  return Tracking(
    expression=expression,
    rotation=np.zeros([1, 3], np.float32),
    translation=np.array([[0, 0, -10]], np.float32),
    light=ambient_light(1.0)[np.newaxis],
  )


def _correction_row(before: RenderedFrames, after: RenderedFrames) -> list[np.ndarray]:
  shapes = [np.asarray(pictures.shape_picture(f.rendering))[0] for f in (before, after)]
  albedos = [
    np.asarray(pictures.albedo_picture(f.rendering))[0] for f in (before, after)
  ]
  return [
    *shapes,
    _highlighted(shapes[1], np.abs(shapes[1] - shapes[0]).max(axis=-1) / 0.25),
    *albedos,
    _highlighted(albedos[1], np.abs(albedos[1] - albedos[0]).max(axis=-1) / 0.1),
  ]


def _highlighted(picture: np.ndarray, amount: np.ndarray) -> np.ndarray:
  amount = np.clip(amount, 0, 1)[..., np.newaxis]
  return (1 - amount) * picture + amount * _HIGHLIGHT
