"""Where the detector sees a template's landmarks: its `landmark_offsets`, measured.

<stem>.mp4, _person.npz, _motion.npz as `pface_synthesize_data` writes them
-> the detector on every frame -> how far it sees each landmark from its vertex, by
least squares over all frames, the same on both sides of the face
"""

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.seen_landmarks import seen_landmarks
from personalized_face.core.types import NUM_LANDMARKS, Tracking
from personalized_face.data.crop import CROP_SIZE, Square, to_crop
from personalized_face.data.detector import FaceDetector, landmarks_68, track_faces
from personalized_face.data.video import read_frames
from personalized_face.evaluation.synthetic import clips_with_truth
from personalized_face.face_model.files import load_motion, load_person
from personalized_face.fitting.system import build_fitting_system
from personalized_face.inference.track import marked_geometry
from personalized_face.progress import tqdm
from personalized_face.rendering.camera import Camera, project
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate

_STEP = 1e-3  # of the difference quotient, shares of the face's width
# Of the mean curvature, added to each axis: depth, of which frontal frames say nothing.
_RIDGE = 0.02
_SIDES = np.array([-1.0, 1.0, 1.0])  # x changes its sign in a mirror


class Calibration(NamedTuple):
  """What was measured."""

  offsets: np.ndarray  # [68, 3] float32, see FaceTemplate.landmark_offsets
  frames: int
  # Root of the mean squared distance of the detected landmarks from the template's, the
  # contour widened, in pixels of a 224 px crop: without and with the offsets.
  before: float
  after: float


def measure_offsets(
  template: FaceTemplate, clips_dir: str, detector: FaceDetector
) -> Calibration:
  """Runs the detector on clips whose truth is known.

  Args:
    template: that the clips were made with.
    clips_dir: searched with its folders.
    detector: of the landmarks that are to be explained.

  Raises:
    UserError: no such clips, of another template, or without a face.
  """
  system = build_fitting_system(template)
  points, detected = [], []
  clips = clips_with_truth(clips_dir, r"(.+)\.mp4")
  for path in tqdm(clips.values(), "detecting", unit="clip"):
    for frame_points, frame_detected in _frames(system, path, detector):
      points.append(frame_points)
      detected.append(frame_detected)
  if not points:
    raise UserError(f"The detector finds no face in the clips of {clips_dir}.")
  return solve_offsets(np.stack(points), np.stack(detected), system.camera)


def solve_offsets(
  points: np.ndarray, detected: np.ndarray, camera: Camera
) -> Calibration:
  """The offsets that explain detections best.

  Args:
    points: [F, 68, 3] of the vertices, camera space, decimetres.
    detected: [F, 68, 2] pixels of the crop.
    camera: of the crop.
  """
  points = tf.constant(points, tf.float64)

  def seen(offsets: np.ndarray) -> np.ndarray:
    return project(seen_landmarks(points, offsets), camera).numpy()

  zeros = np.zeros([NUM_LANDMARKS, 3])
  base = seen(zeros)
  # One step is enough: within millimetres a projection is all but linear.
  slopes = np.stack(
    [(seen(zeros + _STEP * axis) - base) / _STEP for axis in np.eye(3)], axis=-1
  )  # [F, 68, 2, 3]
  curvature = np.einsum("fjck,fjcl->jkl", slopes, slopes)
  pull = np.einsum("fjck,fjc->jk", slopes, detected - base)
  mirrored = list(MIRRORED_68)
  curvature += _SIDES[:, np.newaxis] * curvature[mirrored] * _SIDES
  pull += _SIDES * pull[mirrored]
  mean = np.trace(curvature, axis1=-2, axis2=-1)[:, np.newaxis, np.newaxis] / 3
  offsets = np.linalg.solve(
    curvature + _RIDGE * mean * np.eye(3), pull[..., np.newaxis]
  )[..., 0]
  scale = CROP_SIZE / camera.height
  before, after = (
    scale * float(np.sqrt(((seen(o) - detected) ** 2).sum(-1).mean()))
    for o in (zeros, offsets)
  )
  return Calibration(offsets.astype(np.float32), len(detected), before, after)


def _frames(system: PersonalizedFace, path: str, detector: FaceDetector):
  """The true points [68, 3] and the detected ones [68, 2] of a clip's frames."""
  stem, template = os.path.splitext(path)[0], system.template
  motion = load_motion(f"{stem}_motion.npz", template)
  person = load_person(f"{stem}_person.npz", template)
  marked = marked_geometry(system, person)
  tracking = Tracking(*(value[np.newaxis] for value in motion.tracking))  # B = 1
  vertices = system.face_model.shape(marked, tracking.expression)
  points = system.camera_vertices(vertices, tracking).numpy()[0]
  for tracked in track_faces(read_frames(path), detector):
    if tracked.points is None:
      continue
    row = int(np.abs(motion.times - tracked.frame.time).argmin())
    left, top, right, _ = motion.boxes[row].tolist()
    square = Square(left, top, right - left)
    yield (
      points[row],
      to_crop(landmarks_68(tracked.points), square, system.camera.height),
    )
