"""Random deletion of frames with neutral expression and neutral pose (Section 4).

The paper deletes "randomly [...] based on a threshold on the expression and pose
parameters predicted by [8]", a network that is not public. Here the expression is read
off ratios of the 68 landmarks, and the pose off a PnP of nine of them. Ratios are taken
over the distance of the outer eye corners. The mouth's opening has a fixed reference,
shut; the others differ from face to face and are compared with the clip's own medians.
"""

import dataclasses
import zlib
from typing import NamedTuple

import cv2
import gin
import numpy as np

from personalized_face.core import rotation
from personalized_face.data.crop import CROP_SIZE

# A mean face at nine points that expressions hardly move: nose root, tip, base and
# wings, eye corners, by iBUG index. Decimetres, x to the image's right, y up, z to the
# viewer. From our own measurement, data_specs/default_template/control_points.csv.
# The six points that are usual for this (nose tip, chin, outer eye and mouth corners;
# S. Mallick, learnopencv.com, 2016) follow the mouth: on a clip that looks ahead
# throughout (+-4 degrees by the mesh's depth) they read -38 to 27 degrees of yaw.
_RIGID_POINTS = {
  27: (0.0, 0.366, 0.093),
  30: (0.0, 0.011, 0.342),
  31: (-0.127, -0.096, 0.138),
  33: (0.0, -0.129, 0.179),
  35: (0.127, -0.096, 0.138),
  36: (-0.438, 0.313, -0.121),
  39: (-0.171, 0.298, -0.067),
  42: (0.171, 0.298, -0.067),
  45: (0.438, 0.313, -0.121),
}
HEAD_DISTANCE_DM = 10.0


class FaceState(NamedTuple):
  """What 68 landmarks say of a frame; each [F]."""

  mouth_opening: np.ndarray  # inner lips apart / distance of the outer eye corners
  mouth_width: np.ndarray  # corner to corner / the same
  brow_height: np.ndarray  # brow over eye, mean of both sides / the same
  eye_opening: np.ndarray  # lids apart, mean of both sides / the same
  yaw: np.ndarray  # radians, positive: the face turns to the image's right
  pitch: np.ndarray  # radians, positive: the face looks down
  roll: np.ndarray  # radians, positive: the image's counter-clockwise


def face_state(landmarks: np.ndarray, size: int = CROP_SIZE) -> FaceState:
  """Reads expression ratios and the head's pose.

  Args:
    landmarks: [F, 68, 2] pixels of the crop.
    size: side of the crop, pixels; fixes the camera (1015 px at 224).
  """

  def gap(a: int, b: int) -> np.ndarray:
    return np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1)

  eyes = np.maximum(gap(36, 45), 1e-6)
  left_eye = landmarks[:, 36:42].mean(axis=1)
  right_eye = landmarks[:, 42:48].mean(axis=1)
  brow_heights = [
    np.linalg.norm(landmarks[:, 17:22].mean(axis=1) - left_eye, axis=-1),
    np.linalg.norm(landmarks[:, 22:27].mean(axis=1) - right_eye, axis=-1),
  ]
  lids = (gap(37, 41) + gap(38, 40) + gap(43, 47) + gap(44, 46)) / 4
  angles = np.array([head_pose(points, size) for points in landmarks]).reshape(-1, 3)
  return FaceState(
    mouth_opening=gap(62, 66) / eyes,
    mouth_width=gap(48, 54) / eyes,
    brow_height=np.mean(brow_heights, axis=0) / eyes,
    eye_opening=lids / eyes,
    yaw=angles[:, 1],
    pitch=angles[:, 0],
    roll=angles[:, 2],
  )


def head_pose(landmarks: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
  """Rough head pose of one face, by PnP of a mean face's nose and eye corners.

  Args:
    landmarks: [68, 2] pixels of the crop.
    size: side of the crop, pixels.

  Returns:
    [3] (pitch, yaw, roll), radians, as core/rotation.py composes them.
  """
  focal = 1015.0 * size / CROP_SIZE
  camera = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
  # OpenCV's camera looks along +z with y down: ours turned by 180 degrees about x.
  turn = np.diag([1.0, -1.0, -1.0])
  _, axis_angle, _ = cv2.solvePnP(
    np.array(list(_RIGID_POINTS.values())) @ turn,
    landmarks[list(_RIGID_POINTS)].astype(np.float64),
    camera,
    None,
    rvec=np.zeros([3, 1]),
    tvec=np.array([[0.0], [0.0], [HEAD_DISTANCE_DM]]),
    useExtrinsicGuess=True,
    flags=cv2.SOLVEPNP_ITERATIVE,
  )
  matrix = turn @ cv2.Rodrigues(axis_angle)[0] @ turn
  return rotation.euler_from_matrix(matrix)


@gin.configurable(module="data")
@dataclasses.dataclass(frozen=True)
class Thinning:
  """The rule by which neutral frames go. Bounds on FaceState, per clip.

  Attributes:
    probability: of deleting a neutral frame; 0 keeps all.
    keep_at_least: a clip is never thinned below so many frames.
    max_mouth_opening: a fixed bound on the ratio.
    max_mouth_width_change, max_brow_change, max_eye_change: bounds on the distance
      from the clip's median of the ratio.
    max_yaw_degrees: bound on yaw, from frontal.
    max_pitch_degrees: bound on pitch, from the clip's median: cameras look up or down
      at people, and the mean face fits nobody's profile exactly.
    seed: of the draw.
  """

  probability: float = 0.5
  keep_at_least: int = 16
  max_mouth_opening: float = 0.05
  max_mouth_width_change: float = 0.04
  max_brow_change: float = 0.025
  max_eye_change: float = 0.03
  max_yaw_degrees: float = 10.0
  max_pitch_degrees: float = 10.0
  seed: int = 0

  def __post_init__(self):
    if not 0 <= self.probability <= 1:
      raise ValueError(f"probability must be in [0, 1], not {self.probability}")

  def neutral(self, landmarks: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The frames whose expression is neutral and whose pose is, too.

    Args:
      landmarks: [F, 68, 2] pixels of the crops of one clip, F >= 1.
      size: side of the crop, pixels.

    Returns:
      [F] bool.
    """
    state = face_state(landmarks, size)
    expression = (
      (state.mouth_opening < self.max_mouth_opening)
      & (_from_median(state.mouth_width) < self.max_mouth_width_change)
      & (_from_median(state.brow_height) < self.max_brow_change)
      & (_from_median(state.eye_opening) < self.max_eye_change)
    )
    yaw, pitch = np.degrees(np.abs(state.yaw)), np.degrees(_from_median(state.pitch))
    pose = (yaw < self.max_yaw_degrees) & (pitch < self.max_pitch_degrees)
    return expression & pose

  def keep(self, landmarks: np.ndarray, clip: str, size: int = CROP_SIZE) -> np.ndarray:
    """The frames that stay after the random deletion of neutral ones.

    Args:
      landmarks: [F, 68, 2] pixels of the crops of one clip, F >= 1.
      clip: its name; with the seed, fixes what is drawn, whatever the order or the
        machine in which clips are prepared.
      size: side of the crop, pixels.

    Returns:
      [F] bool.
    """
    draw = np.random.default_rng([self.seed, zlib.crc32(clip.encode())])
    chosen = draw.random(len(landmarks)) < self.probability
    drop = draw.permutation(np.nonzero(self.neutral(landmarks, size) & chosen)[0])
    allowed = max(0, len(landmarks) - self.keep_at_least)
    kept = np.ones(len(landmarks), bool)
    kept[drop[:allowed]] = False
    return kept


def _from_median(values: np.ndarray) -> np.ndarray:
  return np.abs(values - np.median(values))
