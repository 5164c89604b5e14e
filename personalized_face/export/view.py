"""A reconstructed person as one HTML page that needs no network and no program.

The page (viewer.html) blends shapes and albedo by Eq. 1 and 2 and shades them with the
light that was estimated, in some 200 lines of our own over WebGL 2: three.js would have
to be shipped or fetched, and knows neither our light nor a dynamic albedo. Its data lie
in it as base64: float32, and 16-bit integers for the displacements (of a shape that
moves by 4 cm, 0.6 micrometres).
"""

import base64
import json
import os
import tempfile

import cv2
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.rotation import rotation_matrix
from personalized_face.core.types import PersonModel
from personalized_face.data.video import read_frames, write_video
from personalized_face.export.avatar import Avatar, close_holes, make_avatar
from personalized_face.export.avatar_textures import (
  eye_picture,
  pack_dynamic_albedo,
  png_bytes,
  to_pixels,
)
from personalized_face.export.files import write_text
from personalized_face.face_model.files import Motion
from personalized_face.inference.error_map import vertex_errors_255
from personalized_face.systems.personalized_face import PersonalizedFace

_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "viewer.html")
_VIDEO_SIDE = 360  # at most, pixels
_STEPS = 32767  # of a 16-bit integer
_LARGEST_ERROR = 64.0  # of the error map's colours, in the units of photometric_255
_UNSEEN = 255  # the byte of a vertex without an error; the others go to 254


def write_view(
  system: PersonalizedFace,
  person: PersonModel,
  output: str,
  motion: Motion | None = None,
  video: str | None = None,
  title: str = "personalized face",
  crops: np.ndarray | None = None,
) -> None:
  """Writes the page, under its name only once it is complete.

  Args:
    system: of the run; its networks are not used.
    person: without the leading dimension B.
    output: ends in .html.
    motion: the clip to play; None shows a face with sliders.
    video: shown beside it, such as the clip that was tracked.
    title: of the page.
    crops: [F, S, S, 3] uint8, the pictures that the motion is of: with them the page
      has an error map, the mean photometric error that each vertex showed.

  Raises:
    UserError: another ending, a video that cannot be read, or nothing can be written.
  """
  if not output.lower().endswith(".html"):
    raise UserError(f"The page is an .html file, not {output}.")
  template, camera = system.template, system.camera
  own = make_avatar(template, person)
  nobody = system.face_model.template_person()
  plain = make_avatar(template, PersonModel(*(part.numpy()[0] for part in nobody)))
  atlas, strips = pack_dynamic_albedo(own.dynamic_albedo), close_holes(template)
  data = {
    "names": list(template.blendshape_names),
    "triangles": _base64(template.triangles, np.uint32),
    "mouth": _base64(strips.mouth, np.uint32),
    "eyes": _base64(strips.eyes, np.uint32),
    "eyeUv": _base64(strips.eye_uv, np.float32),
    "eye": _png(eye_picture()),
    "uv": _base64(template.uv, np.float32),
    "uvSize": template.uv_size,
    "personal": _shapes(own),
    "template": _shapes(plain),
    "dynamic": {
      "atlas": _png(atlas.pixels),
      "columns": atlas.columns,
      "scale": atlas.scale,
    },
    # Of clip space: half the picture's height is 1.
    "focal": 2 * camera.focal_pixels / camera.height,
    "times": [],
  }
  if motion is not None:
    data |= _clip(motion)
  if motion is not None and crops is not None:
    errors = vertex_errors_255(system, person, motion.tracking, crops)
    data |= {"errors": _error_bytes(errors), "largestError": _LARGEST_ERROR}
  if video is not None:
    data["video"] = _video(video, motion)
  # "</script>" inside the data would end them.
  text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace(
    "<", "\\u003c"
  )
  with open(_PAGE, encoding="utf-8") as file:
    page = file.read()
  safe = title.replace("&", "&amp;").replace("<", "&lt;")
  # The data first: a title may have that word in it. The title stands before them.
  write_text(output, page.replace("DATA", text, 1).replace("TITLE", safe, 1))


def _clip(motion: Motion) -> dict:
  tracking = motion.tracking
  rotations = rotation_matrix(np.asarray(tracking.rotation, np.float32)).numpy()
  return {
    "times": np.asarray(motion.times).tolist(),
    "weights": _base64(tracking.expression, np.float32),
    "rotations": _base64(rotations, np.float32),
    "light": _base64(tracking.light, np.float32),
  }


def _error_bytes(errors: np.ndarray) -> str:
  """[V], NaN where unseen."""
  steps = np.round(errors / _LARGEST_ERROR * (_UNSEEN - 1)).clip(0, _UNSEEN - 1)
  return _base64(np.where(np.isnan(errors), _UNSEEN, steps), np.uint8)


def _shapes(avatar: Avatar) -> dict:
  """Neutral, displacements in 16 bits with their scales, and the albedo."""
  scales = np.maximum(np.abs(avatar.displacements).max(axis=(1, 2)), 1e-9)
  steps = np.round(avatar.displacements / scales[:, np.newaxis, np.newaxis] * _STEPS)
  return {
    "neutral": _base64(avatar.neutral, np.float32),
    "deltas": _base64(steps, np.int16),
    "scales": scales.tolist(),
    "albedo": _png(to_pixels(avatar.static_albedo)),
  }


def _video(path: str, motion: Motion | None) -> str:
  """The clip as VP9, which browsers play, small, from the motion's first frame on."""
  start = 0.0 if motion is None else float(motion.times[0])
  fps = 25.0 if motion is None else motion.fps

  def frames():
    for frame in read_frames(path, None):
      if frame.time + 1e-3 < start:
        continue
      share = min(1.0, _VIDEO_SIDE / max(frame.image.shape[:2]))
      yield cv2.resize(frame.image, None, fx=share, fy=share)

  with tempfile.TemporaryDirectory() as folder:
    small = os.path.join(folder, "clip.webm")
    write_video(small, frames(), fps)
    with open(small, "rb") as file:
      return "data:video/webm;base64," + base64.b64encode(file.read()).decode()


def _png(pixels: np.ndarray) -> str:
  return "data:image/png;base64," + base64.b64encode(png_bytes(pixels)).decode()


def _base64(values: np.ndarray, dtype: type) -> str:
  """Little-endian, as every browser's typed arrays are."""
  array = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<"))
  return base64.b64encode(array.tobytes()).decode()
