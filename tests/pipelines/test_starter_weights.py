"""The weights that come with the package: they load, and they see what is there."""

import os

import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.types import Tracking
from personalized_face.data.crop import crop_image, face_square
from personalized_face.data.detector import MediaPipeDetector, landmarks_68
from personalized_face.data.synthetic import render_clip
from personalized_face.data.video import read_frames
from personalized_face.face_model.files import load_motion, load_person
from personalized_face.inference.track import to_float
from personalized_face.metrics.motion import correlation, rotation_error_degrees
from personalized_face.pipelines import starter
from personalized_face.training.checkpoints import load_system

_NEW_PERSON = 77_000_001  # a seed that no corpus of the training has


@pytest.fixture(scope="module")
def system(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    # The template is built once for all tests, in the cache of the machine.
    template = load_template()
    patch.setattr(starter, "load_template", lambda: template)
    yield load_system(starter.run_folder("starter"))


@pytest.fixture(scope="module")
def clip(system, tmp_path_factory):
  """Crops of a new synthetic person, and what is true of them."""
  path = str(tmp_path_factory.mktemp("person") / "clip.mp4")
  render_clip(system.template, path, _NEW_PERSON, 5.0, 4.0, 256, free=True)
  motion = load_motion(path.replace(".mp4", "_motion.npz"), system.template)
  person = load_person(path.replace(".mp4", "_person.npz"), system.template)
  detector, crops, seen = MediaPipeDetector(), [], []
  for i, frame in enumerate(read_frames(path, None)):
    points = detector.detect(frame.image)
    if points is not None:
      square = face_square(landmarks_68(points))
      crops.append(crop_image(frame.image, square, system.camera.height))
      seen.append(i)
  assert len(seen) > 15
  truth = Tracking(*(value[seen] for value in motion.tracking))
  return to_float(np.stack(crops)), truth, person


def test_they_are_of_the_default_template_and_small(system):
  assert system.template.uv_size == load_template().uv_size
  path = os.path.join(starter._FOLDER, "starter.npz")
  assert os.path.getsize(path) < 13e6
  assert os.path.isfile(os.path.join(starter._FOLDER, "README.md"))


def test_track_net_sees_pose_and_expression_of_somebody_new(system, clip):
  crops, truth, _ = clip
  found = system.track(crops)
  errors = rotation_error_degrees(found.rotation.numpy(), truth.rotation)
  frontal = rotation_error_degrees(np.zeros_like(truth.rotation), truth.rotation)
  # 4 degrees of it may be the crop's own view, whose camera looks at the face.
  assert np.median(errors) < 6
  assert np.median(errors) < 0.5 * np.median(frontal)
  moved = truth.expression.std(axis=0) > 0.05
  found, true = found.expression.numpy()[:, moved], truth.expression[:, moved]
  assert correlation(found.ravel(), true.ravel()) > 0.5


def test_model_net_knows_somebody_new_from_the_template(system, clip):
  crops, _, person = clip
  found = system.model_face(crops[np.newaxis])
  true, said = person.neutral_correction, found.neutral_correction.numpy()[0]
  cosine = (true * said).sum() / np.linalg.norm(true) / np.linalg.norm(said)
  assert cosine > 0.3
