"""The pictures that a motion was tracked in, read again from the clip.

A motion (face_model/files.py) holds times and boxes and no pictures: with the clip
beside it, a command can show them, or measure against them.
"""

from collections.abc import Iterator

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data.crop import crop_image
from personalized_face.data.video import read_frames
from personalized_face.face_model.files import Motion
from personalized_face.inference.track import squares_of


def clip_frames(path: str, motion: Motion) -> Iterator[np.ndarray]:
  """Yields the source frames [H, W, 3] uint8 RGB of a motion, in its order.

  Args:
    path: of the clip.
    motion: its times say which frames.

  Raises:
    UserError: not a video, or not the one of the motion.
  """
  wanted, count = np.asarray(motion.times), 0
  for frame in read_frames(path, None):
    # Half a thousandth of a second: how far timestamps are rounded.
    if count == len(wanted) or frame.time < wanted[count] - 5e-4:
      continue
    if frame.image.shape[:2] != tuple(motion.frame_size):
      break
    count += 1
    yield frame.image
  if count < len(wanted):
    raise UserError(
      f"{path} is not the clip of this motion, which has {len(wanted)} frames of "
      f"{motion.frame_size[1]} x {motion.frame_size[0]} pixels; name that clip."
    )


def clip_crops(path: str, motion: Motion, size: int) -> np.ndarray:
  """The crops [F, size, size, 3] uint8 that a motion was tracked in.

  Args:
    path: of the clip.
    motion: its times and boxes say what is cut out.
    size: S, pixels.

  Raises:
    UserError: as `clip_frames`.
  """
  pairs = zip(clip_frames(path, motion), squares_of(motion.boxes), strict=True)
  return np.stack([crop_image(image, square, size) for image, square in pairs])
