"""Renders a clip of a synthetic person: the demo's default input, ground truth known.

    SyntheticPerson, motion --face model--> meshes --+
    head, eyes, teeth, shoulders --------------------+--rasterize, shade--> frames

The face obeys Eq. 1 and 2 exactly; what lies around it, the fine detail of the skin,
highlights, background and noise are what footage has and the model has not.
"""

import functools
import os
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow as tf

from personalized_face.core import rotation, spherical_harmonics
from personalized_face.core.topology import VertexNormals
from personalized_face.core.types import PersonGeometry, PersonModel, Tensor, Tracking
from personalized_face.core.uv import sample_uv
from personalized_face.data import synthetic_head as parts
from personalized_face.data.synthetic_free_motion import free_motion
from personalized_face.data.synthetic_motion import motion
from personalized_face.data.synthetic_person import SyntheticPerson
from personalized_face.data.video import write_video
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, save_motion, save_person
from personalized_face.progress import tqdm
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.interpolate import interpolate
from personalized_face.rendering.rasterize import rasterize
from personalized_face.template.face_template import FaceTemplate

# The head takes about as much of the picture as in footage of one person talking; the
# crop of the system's camera is the middle three quarters.
_ZOOM = 0.75
_FRAMES_PER_CALL = 4
_SUPERSAMPLE = 1.25  # rendered larger, then averaged: smooth outlines
_DETAIL_SIZE = 512  # texels; finer than the model's maps
_HALF_VECTOR = np.array([-0.25, 0.40, 0.88], np.float32)  # of the highlights
_SHININESS = 60.0
_SCENES_APART = 10**12  # between the seeds of a person's scenes


def render_clip(
  template: FaceTemplate,
  path: str,
  seed: int = 0,
  seconds: float = 7.0,
  fps: float = 25.0,
  size: int = 512,
  free: bool = False,
  scene: int = 0,
) -> None:
  """Renders a person who makes faces, and writes what is true of the clip beside it.

  Args:
    template: what the person is a correction of.
    path: of the video, .mp4; its ground truth goes to `<stem>_person.npz` and
      `<stem>_motion.npz`, in the forms of face_model/files.py.
    seed: decides the person, the motion and the light.
    seconds, fps: length and rate.
    size: side of the frames, pixels.
    free: random expressions, wider turns and any light in place of the one scene.
    scene: another one has the same person in another light, before another background,
      at other times of the gestures.
  """
  person = SyntheticPerson(template, seed)
  times = np.arange(round(seconds * fps)) / fps
  move = free_motion if free else motion
  scene_seed = seed + scene * _SCENES_APART
  tracking = move(template.blendshape_names, times, scene_seed)
  model = person.model()
  pictures = _frames(person, model, tracking, size, scene_seed)
  frames = tqdm(pictures, "rendering", len(times), unit="frame")
  write_video(path, frames, fps)
  stem = os.path.splitext(path)[0]
  save_person(f"{stem}_person.npz", model, template)
  # The square whose crop has the focal length of the system's camera.
  low, high = size * (1 - _ZOOM) / 2, size * (1 + _ZOOM) / 2
  boxes = np.tile(np.array([low, low, high, high], np.float32), (len(times), 1))
  save_motion(
    f"{stem}_motion.npz", Motion(times, tracking, boxes, (size, size), fps), template
  )


def clip_camera(size: int) -> Camera:
  """The camera of the clips, `size` x `size` pixels."""
  return Camera.for_crop(size, 1015.0 * _ZOOM)


def _frames(
  person: SyntheticPerson, model: PersonModel, tracking: Tracking, size: int, seed: int
) -> Iterator[np.ndarray]:
  """The pictures of a clip, [size, size, 3] uint8."""
  scene = Scene(person, model, round(size * _SUPERSAMPLE))
  rng = np.random.default_rng([seed, 4])
  background = _background(size, person.colours.shirt, rng)
  count = len(tracking.rotation)
  for first in range(0, count, _FRAMES_PER_CALL):
    chosen = np.minimum(np.arange(first, first + _FRAMES_PER_CALL), count - 1)
    pictures, covers = scene.render(Tracking(*(value[chosen] for value in tracking)))
    for picture, cover in list(zip(pictures, covers, strict=True))[: count - first]:
      picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
      cover = cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA)[..., None]
      # Colours are premultiplied: off the mesh the renderer's are 0.
      picture = picture + (1 - cover) * background
      picture += rng.normal(scale=0.006, size=picture.shape)  # of the sensor
      yield np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _background(size: int, shirt: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A room out of focus, [size, size, 3]."""
  rows = np.linspace(0, 1, size)[:, None, None]
  wall = 0.62 - 0.25 * shirt[::-1]
  picture = np.broadcast_to(wall * (1.1 - 0.35 * rows), (size, size, 3)).copy()
  for _ in range(14):
    low = rng.uniform(-0.1, 1.0, 2) * size
    extent = rng.uniform(0.08, 0.35, 2) * size
    tint = np.clip(wall * rng.uniform(0.6, 1.35) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    (x0, y0), (x1, y1) = low.astype(int), (low + extent).astype(int)
    cv2.rectangle(picture, (x0, y0), (x1, y1), tint.tolist(), -1)
  return cv2.GaussianBlur(picture, (0, 0), size / 28)


class Scene:
  """One person's meshes and the camera before them."""

  def __init__(self, person: SyntheticPerson, model: PersonModel, size: int):
    """Builds everything that does not move.

    Args:
      person: who.
      model: `person.model()`.
      size: of the pictures, pixels.
    """
    self._template = template = person.template
    self._face_model = FaceModel(template)
    self._model = PersonModel(*(tf.constant(value[None]) for value in model))
    offsets = self._face_model.vertex_offsets(self._model)
    self._geometry: PersonGeometry = self._face_model.geometry(*offsets)
    self._neutral = self._geometry.neutral[0].numpy()
    self._detail = tf.constant(person.detail(_DETAIL_SIZE), tf.float32)
    self._build(person)
    self._painter = _painter(self._triangles.tobytes(), len(self._attributes), size)

  def _build(self, person: SyntheticPerson) -> None:
    """Joins the face and its surroundings into one triangle list."""
    neutral, seed = self._neutral, person.seed
    faces = self._template.triangles
    outer, *holes = parts.face_borders(neutral, faces)
    holes.sort(key=lambda loop: neutral[loop, 1].mean())
    self._mouth, self._eyes = holes[0], holes[1:]
    colours = person.colours
    lips = neutral[self._template.landmark_vertices[[62, 66]]].mean(axis=0)
    self._skirts = [
      parts.head(neutral, faces, outer, colours, seed),
      *self._bowls(neutral),
    ]
    self._balls = [parts.eyeball(neutral[eye], colours) for eye in self._eyes]
    self._upper = [parts.teeth(lips, True)]
    self._lower = [parts.teeth(lips, False), parts.tongue(lips)]
    self._body = parts.body(neutral, outer, colours)
    count = len(neutral)
    triangles = [faces]
    # Of each vertex: texture coordinates, share of the face's texture, colour, gloss.
    attributes = [np.zeros([count, 7])]
    attributes[0][:, :2], attributes[0][:, 2] = self._template.uv, 1.0
    attributes[0][:, 6] = 0.06
    for skirt in self._skirts:
      columns = len(skirt.loop)
      beyond = np.arange(len(skirt.part.vertices) - columns) + count
      triangles.append(np.concatenate([skirt.loop, beyond])[skirt.part.triangles])
      own = _part_attributes(skirt.part)[columns:]
      own[:, :2] = np.tile(self._template.uv[skirt.loop], (len(own) // columns, 1))
      own[:, 2] = skirt.texture[columns:]
      attributes.append(own)
      count += len(beyond)
    for part in (
      *(ball for ball, _ in self._balls),
      *self._upper,
      *self._lower,
      *self._body,
    ):
      triangles.append(part.triangles + count)
      attributes.append(_part_attributes(part))
      count += len(part.vertices)
    self._triangles = np.concatenate(triangles).astype(np.int32)
    self._attributes = np.concatenate(attributes).astype(np.float32)

  def _bowls(self, vertices: np.ndarray) -> list[parts.Skirt]:
    """The insides of mouth and eyes, which follow their rims."""
    mouth = parts.cavity(vertices, self._mouth, 0.55, parts.DARK_MOUTH)
    flesh = (0.30, 0.13, 0.11)
    return [mouth, *(parts.cavity(vertices, eye, 0.22, flesh) for eye in self._eyes)]

  def render(self, tracking: Tracking) -> tuple[np.ndarray, np.ndarray]:
    """Draws frames.

    Args:
      tracking: leading dimension I, always the same.

    Returns:
      Pictures [I, size, size, 3] float32, 0 where nothing is; cover [I, size, size].
    """
    grouped = tf.constant(tracking.expression)[tf.newaxis]
    faces = self._face_model.shape(self._geometry, grouped)[0].numpy()
    vertices = np.stack(
      [
        self._placed(face, euler, translation)
        for face, euler, translation in zip(
          faces, tracking.rotation, tracking.translation, strict=True
        )
      ]
    )
    albedo = self._face_model.albedo(self._model, grouped)[0]
    picture, cover = self._painter.draw(
      tf.constant(vertices),
      albedo,
      tf.constant(tracking.light),
      tf.constant(self._attributes),
      self._detail,
    )
    return picture.numpy(), cover.numpy()

  def _placed(
    self, face: np.ndarray, euler: np.ndarray, translation: np.ndarray
  ) -> np.ndarray:
    """All vertices of one frame in camera space, [V + others, 3] float32."""
    turn = rotation.rotation_matrix(euler.astype(np.float64)).numpy()
    # The body follows the head's turns by a quarter.
    lean = rotation.rotation_matrix(0.25 * euler.astype(np.float64)).numpy()
    chin = self._template.landmark_vertices[8]
    drop = 0.9 * (face[chin] - self._neutral[chin])
    # Behind shut lips the teeth withdraw: no white line where the lips meet.
    lips = face[self._template.landmark_vertices[[62, 66]]]
    shut = np.array([0.0, 0.05, 0.0]) * max(0.0, 1 - (lips[0] - lips[1])[1] / 0.12)
    bowls = [skirt.part.vertices[len(skirt.loop) :] for skirt in self._bowls(face)]
    around, loop = self._skirts[0], self._skirts[0].loop
    rows = len(around.follow) // len(loop)
    border_motion = np.tile(face[loop] - self._neutral[loop], (rows, 1))
    moved = around.part.vertices + around.follow[:, None] * border_motion
    head = [
      face,
      moved[len(loop) :],
      *bowls,
      *(_looking(ball.vertices, turn) + centre for ball, centre in self._balls),
      *(part.vertices + shut for part in self._upper),
      *(part.vertices + drop - shut for part in self._lower),
    ]
    body = [part.vertices for part in self._body]
    placed = [np.concatenate(head) @ turn.T, np.concatenate(body) @ lean.T]
    return (np.concatenate(placed) + translation).astype(np.float32)


class _Painter:
  """Draws whoever has these triangles; traced once for all of them."""

  def __init__(self, triangles: np.ndarray, num_vertices: int, size: int):
    self._triangles = triangles
    self._camera = clip_camera(size)
    self._normals = VertexNormals(triangles, num_vertices)

  @tf.function
  def draw(
    self,
    vertices: Tensor,
    albedo_maps: Tensor,
    light: Tensor,
    attributes: Tensor,
    detail: Tensor,
  ) -> tuple[Tensor, Tensor]:
    """Rasterizes and shades [I, V, 3] under light [I, 9, 3].

    Args:
      vertices: camera space.
      albedo_maps: [I, U, U, 3] of the face.
      light: see above.
      attributes: [V, 7], see `Scene._build`.
      detail: [D, D, 3], by which the face's albedo is multiplied.

    Returns:
      What `Scene.render` does.
    """
    framebuffer = rasterize(vertices, self._triangles, self._camera)
    normals = self._normals(vertices)
    still = tf.broadcast_to(attributes, [*vertices.shape[:2], 7])
    values = interpolate(tf.concat([still, normals], -1), self._triangles, framebuffer)
    uv, share, colour, gloss, normals = tf.split(values, [2, 1, 3, 1, 3], axis=-1)
    normals = tf.math.l2_normalize(normals, axis=-1)
    maps = tf.image.resize(albedo_maps, [_DETAIL_SIZE] * 2, "bicubic") * detail
    albedo = share * sample_uv(maps, uv) + (1 - share) * colour
    shading = spherical_harmonics.irradiance(normals, light[:, tf.newaxis, tf.newaxis])
    shine = tf.maximum(tf.reduce_sum(normals * _HALF_VECTOR, -1, keepdims=True), 0.0)
    picture = albedo * shading + gloss * shine**_SHININESS
    cover = tf.cast(framebuffer.triangle_ids >= 0, tf.float32)
    return picture * cover[..., tf.newaxis], cover


@functools.lru_cache(maxsize=2)
def _painter(triangles: bytes, num_vertices: int, size: int) -> _Painter:
  """The same for all people of a template: only the vertices' places differ."""
  return _Painter(np.frombuffer(triangles, np.int32).reshape(-1, 3), num_vertices, size)


def _part_attributes(part: parts.Part) -> np.ndarray:
  attributes = np.zeros([len(part.vertices), 7])
  attributes[:, 3:6], attributes[:, 6] = part.colours, part.gloss
  return attributes


def _looking(ball: np.ndarray, turn: np.ndarray) -> np.ndarray:
  """An eyeball [P, 3] turned, about its centre, most of the way to the camera."""
  ahead = turn.T @ np.array([0.0, 0.0, 1.0])
  euler = 0.8 * np.array([-np.arcsin(ahead[1]), np.arctan2(ahead[0], ahead[2]), 0.0])
  return ball @ rotation.rotation_matrix(euler).numpy().T
