"""A person of the toy template, and frames of them by our own renderer."""

import numpy as np
import tensorflow as tf
from toy_clip import SIZE, small_template

from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.fitting.frames import Frames
from personalized_face.fitting.system import build_fitting_system


def toy_fitting_system():
  return build_fitting_system(small_template(), image_size=SIZE)


def toy_truth(system, count=8, seed=0):
  """A person who is redder and wider than the template, and their motion."""
  template = system.template
  random = np.random.default_rng(seed)
  person = PersonModel(
    *(np.asarray(part)[0].copy() for part in system.face_model.template_person(1))
  )
  u = np.linspace(-1, 1, template.uv_size, dtype=np.float32)
  person.neutral_correction[..., 0] = 0.08 * u  # 16 mm wider in all
  person.static_albedo[...] *= np.float32([1.1, 0.8, 0.8])
  turns = np.linspace(-0.4, 0.4, count)
  light = np.tile(ambient_light(0.9), [count, 1, 1])
  light[:, 2] += 0.3  # from the camera
  tracking = Tracking(
    expression=random.uniform(0, 0.8, [count, 3]).astype(np.float32),
    rotation=np.stack([0.5 * turns, turns, -0.2 * turns], -1).astype(np.float32),
    translation=np.float32([0.05, -0.1, -10.0])
    + random.normal(0, 0.02, [count, 3]).astype(np.float32),
    light=light.astype(np.float32),
  )
  return person, tracking


def toy_frames(system, person, tracking) -> Frames:
  """What a camera and a perfect detector would make of them."""
  outputs = system.reconstruct(
    PersonModel(*(part[np.newaxis] for part in person)),
    Tracking(*(tf.constant(part[np.newaxis]) for part in tracking)),
  )
  images = np.clip(outputs.rendering.image.numpy()[0], 0, 1)
  return Frames(
    images=np.round(images * 255).astype(np.uint8),
    landmarks=outputs.landmarks.numpy()[0],
    parsing=outputs.rendering.parsing.numpy()[0].argmax(-1).astype(np.uint8),
    scenes=np.zeros(len(images), np.int32),
  )
