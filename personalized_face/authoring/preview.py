"""A contact sheet of a template, to be looked at: shape, maps and every blendshape."""

import os

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from personalized_face.core import rotation, topology
from personalized_face.core.types import NUM_PARSING_CLASSES
from personalized_face.core.uv import sample_uv
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.interpolate import interpolate
from personalized_face.rendering.rasterize import rasterize
from personalized_face.template.face_template import FaceTemplate

HEAD_DISTANCE = 10.0  # dm
_LIGHT = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
_AMBIENT = 0.25
_CLASS_COLOURS = np.array(
  [
    *[(0, 0, 0), (230, 190, 160), (90, 60, 40), (250, 250, 250), (240, 150, 90)],
    *[(220, 60, 70), (110, 20, 30), (160, 50, 120)],
  ],
  np.float64,
)[:NUM_PARSING_CLASSES]


class Viewer:
  """Draws a template's mesh from any side."""

  def __init__(self, template: FaceTemplate, size: int, holes: bool = False):
    """Args: template; size: of the pictures; holes: draw the closing strips too."""
    self.template = template
    self.camera = Camera.for_crop(size)
    parts = [template.triangles, template.hole_triangles] if holes else None
    self._triangles = np.concatenate(parts) if holes else template.triangles

  def posed(self, vertices: np.ndarray, degrees=(0, 0, 0)) -> tf.Tensor:
    """Camera-space vertices [I, V, 3] for a pose (pitch, yaw, roll), in degrees."""
    euler = np.radians(np.broadcast_to(degrees, [len(vertices), 3])).astype(np.float32)
    centre = (vertices[0].max(0) + vertices[0].min(0)) / 2 * [0, 1, 0]
    place = np.array([0, 0, -HEAD_DISTANCE], np.float32) * np.ones_like(euler)
    return rotation.transform((vertices - centre).astype(np.float32), euler, place)

  def grey(self, vertices: np.ndarray, degrees=(0, 0, 0), colours=None) -> np.ndarray:
    """Shaded pictures.

    Args:
      vertices: [I, V, 3] model space, dm.
      degrees: pitch, yaw, roll.
      colours: [I, V, 3] in [0, 1], or None for grey.

    Returns:
      [I, S, S, 3] uint8.
    """
    colours = np.full_like(vertices, 0.8) if colours is None else colours
    return self._draw(
      vertices, degrees, lambda buffer, i: self._flat(colours[i], buffer)
    )

  def textured(self, vertices: np.ndarray, degrees=(0, 0, 0), texture=None, lit=True):
    """Pictures with a UV map [U, U, 3] in [0, 1] (the mean albedo); as `grey`."""
    texture = self.template.mean_albedo if texture is None else texture
    uv = np.asarray(self.template.uv)

    def look_up(buffer, i):
      place = interpolate(tf.constant(uv), self._triangles, buffer)
      return sample_uv(tf.constant(texture[None], tf.float32), place)

    return self._draw(vertices, degrees, look_up, lit)

  def pixels(self, vertices: np.ndarray, degrees=(0, 0, 0)) -> np.ndarray:
    """Where vertices [I, V, 3] fall, [I, V, 2] pixels."""
    return project(self.posed(vertices, degrees), self.camera).numpy()

  def _flat(self, colours, buffer):
    return interpolate(tf.constant(colours[None], tf.float32), self._triangles, buffer)

  def _draw(self, vertices, degrees, paint, lit=True) -> np.ndarray:
    pictures = []
    for i, one in enumerate(vertices):
      posed = self.posed(one[None], degrees)
      buffer = rasterize(posed, self._triangles, self.camera)
      colour = paint(buffer, i)
      normals = topology.vertex_normals(posed, self._triangles)
      normal = interpolate(normals, self._triangles, buffer).numpy()
      facing = np.abs(normal @ _LIGHT) * (normal[..., 2] > 0)
      shade = _AMBIENT + (1 - _AMBIENT) * facing if lit else np.ones_like(facing)
      seen = (buffer.triangle_ids >= 0).numpy()[..., None]
      picture = np.where(seen, colour.numpy() * shade[..., None], 0.12)
      pictures.append((np.clip(picture[0], 0, 1) * 255).astype(np.uint8))
    return np.stack(pictures)


def contact_sheet(template: FaceTemplate, size: int = 224) -> np.ndarray:
  """The whole sheet, [H, W, 3] uint8 RGB.

  Args:
    template: any template.
    size: of one picture, pixels.
  """
  viewer = Viewer(template, size)
  whole = Viewer(template, size, holes=True)
  neutral = template.vertices[None]
  tiles = [
    _titled(viewer.grey(neutral, (0, yaw, 0))[0], f"shape {yaw}") for yaw in (0, 30, 60)
  ]
  tiles += [
    _titled(whole.textured(neutral, (0, yaw, 0))[0], f"albedo {yaw}")
    for yaw in (0, 30, 60)
  ]
  labels = template.parsing_map @ _CLASS_COLOURS / 255
  tiles.append(_titled(_wireframe(viewer), "wireframe"))
  tiles.append(_titled(_landmarks(viewer), "landmarks"))
  tiles.append(_titled(_uv_layout(template, size), "uv layout"))
  tiles.append(_titled(_enlarged(template.mean_albedo, size), "R_0"))
  tiles.append(_titled(_enlarged(labels, size), "T"))
  rendered = whole.textured(neutral, texture=labels, lit=False)[0]
  tiles.append(_titled(rendered, "T rendered"))
  tiles += _blendshape_tiles(template, viewer)
  for i, name in enumerate(template.blendshape_names):
    mask = np.repeat(template.attention_masks[..., i, None], 3, -1)
    tiles.append(_titled(_enlarged(mask, size), f"A {name}"))
  return _grid(tiles, columns=12)


def write_contact_sheet(template: FaceTemplate, path: str, size: int = 224) -> None:
  """Writes the sheet as PNG, under its name only once it is complete."""
  sheet = contact_sheet(template, size)
  temporary = f"{path}.{os.getpid()}.tmp.png"
  cv2.imwrite(temporary, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
  os.replace(temporary, path)
  logging.info("Preview of template %r in %s", template.name, path)


def _blendshape_tiles(template: FaceTemplate, viewer: Viewer) -> list[np.ndarray]:
  """Each shape at weight 1; its displacement from grey over yellow to red."""
  tiles = []
  for name, delta in zip(
    template.blendshape_names, template.blendshape_deltas, strict=True
  ):
    distance = np.linalg.norm(delta, axis=-1)
    share = (distance / max(distance.max(), 1e-9))[None, :, None]
    colours = 0.8 * (1 - share) + share * np.array([0.95, 0.35, 0.2])
    yaw = 30 if name.endswith("_R") else -30 if name.endswith("_L") else 0
    picture = viewer.grey((template.vertices + delta)[None], (0, yaw, 0), colours)[0]
    tiles.append(_titled(picture, f"{name} {100 * distance.max():.0f} mm"))
  return tiles


def _wireframe(viewer: Viewer) -> np.ndarray:
  """Drawn large and made small, since the edges are about two pixels long."""
  size = viewer.camera.width
  large = Viewer(viewer.template, 4 * size)
  neutral = viewer.template.vertices[None]
  picture = large.grey(neutral)[0]
  pixels = (large.pixels(neutral)[0] * 16).astype(np.int32)
  for a, b in topology.edges(viewer.template.triangles):
    cv2.line(picture, pixels[a].tolist(), pixels[b].tolist(), (20, 60, 140), 1, 16, 4)
  return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def _landmarks(viewer: Viewer) -> np.ndarray:
  neutral = viewer.template.vertices[None]
  picture = viewer.grey(neutral)[0]
  pixels = viewer.pixels(neutral)[0, viewer.template.landmark_vertices]
  for i, (x, y) in enumerate(pixels):
    cv2.circle(picture, (round(float(x)), round(float(y))), 1, (30, 220, 60), -1)
    if i % 4 == 0:
      cv2.putText(
        *(picture, str(i), (int(x) + 2, int(y)), cv2.FONT_HERSHEY_PLAIN, 0.6),
        *((255, 230, 80), 1, cv2.LINE_AA),
      )
  return picture


def _uv_layout(template: FaceTemplate, size: int) -> np.ndarray:
  picture = np.full([size, size, 3], 255, np.uint8)
  pixels = (template.uv * size * 16).astype(np.int32)
  for a, b in topology.edges(template.triangles):
    cv2.line(picture, pixels[a].tolist(), pixels[b].tolist(), (90, 90, 90), 1, 16, 4)
  for loop in topology.boundary_loops(template.triangles):
    cv2.polylines(picture, [pixels[loop]], True, (220, 30, 30), 1, cv2.LINE_AA, 4)
  return picture


def _enlarged(image: np.ndarray, size: int) -> np.ndarray:
  image = (np.clip(image, 0, 1) * 255).astype(np.uint8)
  return cv2.resize(image, (size, size), interpolation=cv2.INTER_NEAREST)


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
  picture = np.ascontiguousarray(picture)
  for colour, width in (((0, 0, 0), 2), ((255, 255, 255), 1)):
    cv2.putText(
      picture, title, (3, 11), cv2.FONT_HERSHEY_PLAIN, 0.8, colour, width, cv2.LINE_AA
    )
  return picture


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
  blank = np.zeros_like(tiles[0])
  tiles = tiles + [blank] * (-len(tiles) % columns)
  starts = range(0, len(tiles), columns)
  return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in starts])
