"""A motion on a foreign face: the second half of retargeting (Section 3.3).

Writes into a folder

    driven.glb   the character with the clip as its animation "clip"; a glTF's own file
                 with the animation added, so materials and skeleton stay. For a bare
                 mesh it holds the blendshapes that were made for it, and serves as the
                 --target of the next clip
    driven.csv   time_s and the character's own coefficients by their own names
    driven.mp4   clay renders, the driver's crop beside them where there is one
"""

import copy
import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from absl import logging
from scipy.spatial.transform import Rotation

from personalized_face.core import topology
from personalized_face.core.errors import UserError
from personalized_face.data.gltf import GltfFile, GltfWriter
from personalized_face.data.video import write_video
from personalized_face.export.avatar import (
  GENERATOR,
  add_animation,
  add_morph_targets,
)
from personalized_face.export.characters import Character, target_names
from personalized_face.export.deformation_transfer import transfer_blendshapes
from personalized_face.export.files import replacing, write_bytes
from personalized_face.export.shape_mapping import ShapeMapping, map_shapes
from personalized_face.face_model.files import Motion
from personalized_face.progress import tqdm
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.interpolate import interpolate
from personalized_face.rendering.rasterize import rasterize

_SIZE = 448  # of the pictures, pixels
_DISTANCE = 5.0  # of the camera, in heights of the face
_FILL = 0.8  # of the picture's height
_CLAY, _AMBIENT, _GROUND = 0.78, 0.25, 0.35
_LAMP = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])


class DrivenCharacter(NamedTuple):
  """What a character did."""

  character: Character
  weights: np.ndarray  # [F, K'] its own coefficients
  mapping: ShapeMapping
  metrics: Mapping[str, float | int | None] = {}  # of openings.py, where measured


def with_blendshapes(
  character: Character,
  neutral: np.ndarray,
  displacements: np.ndarray,
  triangles: np.ndarray,
  landmarks: np.ndarray,
  names: Sequence[str],
  foreign_landmarks: np.ndarray,
) -> Character:
  """A bare mesh with the blendshapes of a person's, by deformation transfer.

  Args:
    character: with or without blendshapes; they are replaced.
    neutral, displacements, triangles, landmarks: the person's; `transfer_blendshapes`.
    names: K, of the displacements.
    foreign_landmarks: [68] vertices of the character.
  """
  made = transfer_blendshapes(
    neutral,
    displacements,
    triangles,
    landmarks,
    character.vertices,
    character.triangles,
    foreign_landmarks,
  )
  return character._replace(names=tuple(names), displacements=made, gltf=None)


def drive_character(
  character: Character,
  motion: Motion,
  names: Sequence[str],
  output_dir: str,
  overrides: Mapping[str, Mapping[str, float]] | None = None,
  crops: np.ndarray | None = None,
) -> DrivenCharacter:
  """Moves a character as a motion says and writes the files above.

  Args:
    character: with blendshapes.
    motion: F frames.
    names: K, of its coefficients.
    output_dir: exists.
    overrides: see `map_shapes`.
    crops: [F, S, S, 3] uint8, the driver, for the video.

  Raises:
    UserError: no shape of the character is ours, or a file cannot be written.
  """
  mapping = map_shapes(names, character.names, overrides)
  for text, left in (
    ("Nothing of ours moves the character's", mapping.still),
    ("The character has no", mapping.unused),
  ):
    if left:
      logging.warning("%s %s.", text, ", ".join(left))
  weights = (np.asarray(motion.tracking.expression) @ mapping.matrix).clip(0, 1)
  weights = weights.astype(np.float32)
  _write_weights(os.path.join(output_dir, "driven.csv"), character, motion, weights)
  glb = character_glb(character, motion.times, weights)
  write_bytes(os.path.join(output_dir, "driven.glb"), glb)
  frames = _frames(character, motion, weights, crops)
  write_video(os.path.join(output_dir, "driven.mp4"), frames, motion.fps)
  return DrivenCharacter(character, weights, mapping)


def character_glb(
  character: Character, times: np.ndarray, weights: np.ndarray
) -> bytes:
  """The character's `.glb` with its animation; see the module's docstring."""
  if character.gltf is not None:
    return _animated_original(character, times, weights)
  writer = GltfWriter(GENERATOR)
  # Decimetres, as that function takes them.
  attributes, targets = add_morph_targets(
    writer,
    character.vertices.astype(np.float32) * 10,
    character.displacements.astype(np.float32) * 10,
    character.triangles,
  )
  indices = writer.accessor(character.triangles.ravel().astype(np.uint32), 34963)
  mesh = {
    "name": character.name,
    "primitives": [{"attributes": attributes, "indices": indices, "targets": targets}],
    "weights": [0.0] * len(character.names),
    "extras": {"targetNames": list(character.names)},
  }
  node = writer.add("nodes", {"mesh": writer.add("meshes", mesh)})
  add_animation(writer, times, {node: weights})
  writer.document |= {"scene": 0, "scenes": [{"nodes": [node]}]}
  return writer.to_bytes()


def _animated_original(
  character: Character, times: np.ndarray, weights: np.ndarray
) -> bytes:
  """The file that was read, as one `.glb`, with one more animation."""
  file: GltfFile = character.gltf
  if len(file.buffers) > 1 or any("uri" in i for i in file.items("images")):
    raise UserError(
      f"{file.path} is in several files; export the character as one .glb."
    )
  writer = GltfWriter.of(copy.deepcopy(file.document), *file.buffers)
  column = {name: i for i, name in enumerate(character.names)}
  own = {}
  for index, node in enumerate(file.items("nodes")):
    if "mesh" not in node:
      continue
    mesh = file.items("meshes")[node["mesh"]]
    names = target_names(mesh, mesh["primitives"][0])
    if names and all(name in column for name in names):
      own[index] = weights[:, [column[name] for name in names]]
  add_animation(writer, times, own)
  return writer.to_bytes()


def _write_weights(
  path: str, character: Character, motion: Motion, weights: np.ndarray
) -> None:
  with replacing(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(["time_s", *character.names])
      for time, row in zip(motion.times, weights, strict=True):
        writer.writerow([repr(float(time)), *(f"{value:.9g}" for value in row)])


def _frames(
  character: Character, motion: Motion, weights: np.ndarray, crops: np.ndarray | None
) -> Iterator[np.ndarray]:
  draw = clay_renderer(character)
  for i, row in enumerate(tqdm(weights, desc="Driving", unit="frame")):
    picture = draw(row, motion.tracking.rotation[i])
    if crops is not None:
      crop = cv2.resize(crops[i], (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
      picture = np.concatenate([crop, picture], axis=1)
    yield picture


def clay_renderer(
  character: Character,
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
  """Draws the character in grey clay, from the front, its head turned.

  Returns:
    A function of coefficients [K'] and Euler angles [3] to [448, 448, 3] uint8.
  """
  low, high = character.vertices.min(axis=0), character.vertices.max(axis=0)
  height = float(max(high[:2] - low[:2]))
  # Scaled to a height of 2 dm, beyond the camera's near plane.
  scale, centre = 2.0 / height, (low + high) / 2
  focal = _FILL * _SIZE * _DISTANCE
  camera = Camera(_SIZE, _SIZE, focal, _SIZE / 2, _SIZE / 2)
  normals = topology.VertexNormals(character.triangles, len(character.vertices))
  triangles = character.triangles.astype(np.int32)
  neutral = ((character.vertices - centre) * scale).astype(np.float32)
  shapes = (character.displacements * scale).astype(np.float32)

  def draw(weights: np.ndarray, euler: np.ndarray) -> np.ndarray:
    shape = neutral + np.tensordot(weights, shapes, axes=1)
    turned = Rotation.from_euler("xyz", euler).apply(shape)
    posed = tf.constant(turned - [0, 0, 2.0 * _DISTANCE], tf.float32)[tf.newaxis]
    buffer = rasterize(posed, triangles, camera)
    normal = interpolate(normals(posed), triangles, buffer).numpy()[0]
    facing = np.abs(normal @ _LAMP)
    seen = buffer.triangle_ids.numpy()[0] >= 0
    shade = np.where(seen, _CLAY * (_AMBIENT + (1 - _AMBIENT) * facing), _GROUND)
    return np.repeat(np.round(shade * 255).astype(np.uint8)[..., np.newaxis], 3, -1)

  return draw
