"""The head's pose in one camera for the whole clip.

A motion's pose is that of each frame's *crop*, whose square moves and grows with the
face. Here it becomes the pose before one camera that sees the whole source picture:

    crop camera, focal f_c s_n at the crop's centre c_n     (pixels of the source)
    source camera, focal f = f_c median(s), at the picture's centre

with s_n the side of the square over the crop's size. The crop's optical axis is the ray
through c_n, so the pose is turned by the rotation Q_n that takes the source camera's
axis to that ray; a head of the same size in pixels stands f / (f_c s_n) times as far:

    R'_n = Q_n R_n        t'_n = Q_n (t_x, t_y, t_z f / (f_c s_n))

Exact but for the perspective within the head (its depth scaled by f / (f_c s_n)), and
for the stretching of a picture towards its border: a test states how many pixels.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from personalized_face.face_model.files import Motion
from personalized_face.rendering.camera import Camera


class HeadPose(NamedTuple):
  """F poses in the camera space of one camera: R p + t."""

  rotations: Rotation  # F
  translations: np.ndarray  # [F, 3] float64 decimetres
  camera: Camera  # of the whole source picture


def source_pose(motion: Motion, crop_camera: Camera) -> HeadPose:
  """The poses of a motion before one camera.

  Args:
    motion: of F frames.
    crop_camera: the system's, that of every crop.
  """
  boxes = np.asarray(motion.boxes, np.float64)
  height, width = motion.frame_size
  scale = (boxes[:, 2] - boxes[:, 0]) / crop_camera.width  # s_n
  focal = crop_camera.focal_pixels * np.median(scale)
  camera = Camera(height, width, float(focal), width / 2, height / 2)
  centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - [width / 2, height / 2]
  rays = np.concatenate([centres * [1, -1], np.full([len(boxes), 1], -focal)], axis=1)
  turns = _turns_from_axis(rays)
  tracking = motion.tracking
  depth = focal / (crop_camera.focal_pixels * scale)
  translation = np.asarray(tracking.translation, np.float64)
  translation = translation * np.stack([np.ones_like(depth)] * 2 + [depth], axis=1)
  head = Rotation.from_euler("xyz", np.asarray(tracking.rotation, np.float64))
  return HeadPose(turns * head, turns.apply(translation), camera)


def _turns_from_axis(rays: np.ndarray) -> Rotation:
  """The smallest rotations that take -z to the rays [F, 3]."""
  rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
  across = np.cross([0.0, 0.0, -1.0], rays)
  sine = np.linalg.norm(across, axis=1, keepdims=True)
  angle = np.arctan2(sine, -rays[:, 2:])
  # A ray along the axis has no turn; any axis serves there.
  return Rotation.from_rotvec(across / np.maximum(sine, 1e-12) * angle)
