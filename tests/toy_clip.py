"""A small system and a small video for the tests of inference and export.

The "face" of the video is a bright square on a dark ground: the stub detector sees it,
and so does the tracker of `SquareTrackingSystem`.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from helpers import toy_template

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.crop import FOREHEAD_SHIFT
from personalized_face.data.detector import NUM_MESH_POINTS, landmarks_68
from personalized_face.data.video import write_video
from personalized_face.rendering.camera import Camera
from personalized_face.systems.personalized_face import PersonalizedFace, build_system

SIZE = 64  # of the crops, pixels
HEIGHT, WIDTH = 96, 128  # of the video
FACE = 24  # side of the bright square, pixels
FPS = 20.0


def small_template():
  """The toy template shrunk to a face's width of 1.4 dm, which the crop expects."""
  toy = toy_template()
  return dataclasses.replace(
    toy,
    vertices=toy.vertices * np.float32(0.7),
    blendshape_deltas=toy.blendshape_deltas * np.float32(0.7),
  )


def toy_system(seed: int = 0, system_class=None) -> PersonalizedFace:
  """Small networks with random heads, so that nothing is zero or the template."""
  keras.utils.set_random_seed(seed)
  system = build_system(
    small_template(),
    image_size=SIZE,
    model_net_width=0.1,
    track_net_width=0.1,
    track_net_hidden=8,
  )
  net = system.model_net
  for head in (
    net.shape_neutral,
    net.shape_blendshapes,
    net.albedo_neutral,
    net.albedo_blendshapes,
  ):
    head.kernel.assign(tf.random.normal(head.kernel.shape, stddev=0.3))
    head.bias.assign(tf.random.normal(head.bias.shape, stddev=0.3))
  last = system.track_net.head.layers[-1]
  last.kernel.assign(tf.random.normal(last.kernel.shape, stddev=0.5))
  if system_class is None:
    return system
  camera = Camera.for_crop(SIZE)
  return system_class(system.template, camera, net, system.track_net)


def toy_person(system: PersonalizedFace) -> PersonModel:
  """What the networks make of noise, as numpy arrays without the batch's dimension."""
  images = np.random.default_rng(0).uniform(0, 1, [1, 2, SIZE, SIZE, 3])
  model = system.model_face(images.astype(np.float32))
  return PersonModel(*(part.numpy()[0] for part in model))


class SquareTrackingSystem(PersonalizedFace):
  """A system whose tracker finds the bright square exactly, instead of a network."""

  def track(self, images, training=False):
    bright = tf.cast(tf.reduce_mean(images, -1) > 0.6, tf.float32)  # [I, S, S]
    amount = tf.reduce_sum(bright, [1, 2])  # 0 gives NaN: nothing to see
    grid = tf.range(SIZE, dtype=tf.float32) + 0.5
    x = tf.reduce_sum(bright * grid, [1, 2]) / amount
    y = tf.reduce_sum(bright * grid[:, tf.newaxis], [1, 2]) / amount
    depth = 1.4 * self.camera.focal_pixels / tf.sqrt(amount)
    scale = depth / self.camera.focal_pixels
    # The template's depth, about 0.4 dm, is what makes this inexact.
    translation = tf.stack(
      [(x - SIZE / 2) * scale, (SIZE / 2 - y) * scale, -depth], axis=-1
    )
    count = tf.shape(images)[0]
    light = tf.one_hot(tf.zeros([count, 3], tf.int32), 9, axis=1) * 3.5
    zeros = tf.zeros([count, 3])
    return Tracking(zeros, zeros, translation, light)


class StubDetector:
  """Finds the bright square; counts how often it is asked."""

  def __init__(self):
    self.calls = 0

  def detect(self, image):
    self.calls += 1
    rows, columns = np.nonzero(image.mean(axis=-1) > 150)
    if not len(rows):
      return None
    low = np.array([columns.min(), rows.min()], np.float32)
    high = np.array([columns.max(), rows.max()], np.float32) + 1
    # Every point at one corner or the other, alternating: their box is the square.
    corner = np.zeros([NUM_MESH_POINTS, 1], np.float32)
    corner[_ibug_order()[::2]] = 1
    points = low + corner * (high - low)
    return np.concatenate([points, np.zeros_like(corner)], axis=1)


def _ibug_order():
  numbered = np.repeat(np.arange(NUM_MESH_POINTS, dtype=np.float32)[:, None], 3, 1)
  return landmarks_68(numbered)[:, 0].astype(int)


def picture(centre) -> np.ndarray:
  """[HEIGHT, WIDTH, 3] uint8 with the square at (x, y); None shows none."""
  image = np.full([HEIGHT, WIDTH, 3], 40, np.uint8)
  if centre is not None:
    x, y = (round(c - FACE / 2) for c in centre)
    image[y : y + FACE, x : x + FACE] = (230, 200, 190)
  return image


def write_clip(path, centres) -> None:
  """An H.264 video with the square at each of the centres."""
  write_video(str(path), (picture(centre) for centre in centres), FPS)


def straight_path(count: int) -> np.ndarray:
  """[count, 2] centres that move from left to right by 2 px a frame."""
  return np.stack([40 + 2.0 * np.arange(count), np.full(count, 50.0)], axis=1)


def expected_square_centre(centre) -> np.ndarray:
  """Of the crop's square round a face at (x, y)."""
  return np.asarray(centre) - np.array([0, FOREHEAD_SHIFT * FACE])
