"""Where the detector sees the 68 landmarks, beside where they lie on the mesh.

On pictures of whole heads it draws the jaw contour elsewhere than on a template's bare
face: about 3 % of the face's width further out in a frontal view, where cheeks go over
into ears and hair, and up to 9 % on the side that is turned to the camera. Left alone,
that widens everybody's face by several millimetres. Fitted to 60 synthetic heads whose
landmarks are known, 420 frames from -40 to 40 degrees of yaw: on these the root of the
mean squared distance along that axis falls from 0.046 to 0.027 of the width (points 0
to 6 and 10 to 16).

The rest differs from template to template, as their landmarks do, and is the same for
everybody: a millimetre or two across the picture, up to six in depth, at the corners of
eyes and mouth, the ends of brows, the nose, the height of the contour. A template
carries them (`landmark_offsets`), and pipelines/landmark_calibration.py measures them.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core import shapes
from personalized_face.core.mirror import MIRRORED_68
from personalized_face.core.types import Tensor

# Share of the distance to the point of the other side, at most; iBUG points 0 to 6 and,
# mirrored, 16 to 10. Around the chin the two agree.
_FURTHEST = (0.0554, 0.0570, 0.0749, 0.0897, 0.0916, 0.0611, 0.0482)
_HALF_AT_DEG, _SCALE_DEG = 5.0, 10.0  # of yaw towards the camera, a logistic curve
# iBUG points that span the head's axes: x goes through the contour's ends, z towards
# the bridge of the nose.
_LEFT, _RIGHT, _BRIDGE = 16, 0, 27


def seen_landmarks(points: Tensor, offsets: np.ndarray | Tensor) -> Tensor:
  """Moves landmarks to where the detector would see them.

  Args:
    points: [..., 68, 3] camera space, on the mesh.
    offsets: [68, 3] a template's `landmark_offsets`.

  Returns:
    The same shape. How the head is turned and how wide it is are taken as given.
  """
  shapes.check(offsets, "[68, 3]", "offsets")
  axes = tf.stop_gradient(_head_axes(points))[..., tf.newaxis, :, :]
  offsets = tf.cast(offsets, points.dtype)[..., tf.newaxis]
  return _seen_contour(points) + tf.reduce_sum(offsets * axes, axis=-2)


def _seen_contour(points: Tensor) -> Tensor:
  across = tf.stop_gradient(points[..., _LEFT, :] - points[..., _RIGHT, :])
  yaw = tf.atan2(-across[..., 2], across[..., 0])[..., tf.newaxis]
  half, scale = np.radians([_HALF_AT_DEG, _SCALE_DEG])
  sides, furthest = np.zeros([2, len(MIRRORED_68)], np.float32)
  sides[: len(_FURTHEST)], furthest[: len(_FURTHEST)] = 1.0, _FURTHEST
  mirrored = list(MIRRORED_68)
  sides, furthest = sides - sides[mirrored], furthest + furthest[mirrored]
  shares = furthest * tf.sigmoid((sides * yaw - half) / scale)
  away = points - tf.gather(points, mirrored, axis=-2)
  return points + shares[..., tf.newaxis] * away


def _head_axes(points: Tensor) -> Tensor:
  """[..., 3, 3], rows: to the person's left, up, forward; each as long as 0 to 16."""
  left, right = points[..., _LEFT, :], points[..., _RIGHT, :]
  width = tf.norm(left - right, axis=-1)[..., tf.newaxis, tf.newaxis]
  x = tf.math.l2_normalize(left - right, axis=-1)
  y = _cross(points[..., _BRIDGE, :] - (left + right) / 2, x)
  y = tf.math.l2_normalize(y, axis=-1)
  return width * tf.stack([x, y, _cross(x, y)], axis=-2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
  """Of [..., 3]; tf.linalg.cross is no operation of TFLite's interpreter."""
  ax, ay, az = tf.unstack(a, axis=-1)
  bx, by, bz = tf.unstack(b, axis=-1)
  return tf.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
