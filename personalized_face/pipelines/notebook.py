"""A person in five lines of Python, for notebooks and scripts.

  import personalized_face as pf

  face = pf.personalize("clip.mp4")
  face.sheet()
  face.save("anna.glb")

A thin layer over pipelines/personalize.py, which the command pface_personalize runs
too: the same clip gives the same face.
"""

import io
import os
from collections.abc import Sequence

from PIL import Image

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.data.detector import FaceDetector
from personalized_face.export.avatar_files import export_avatar
from personalized_face.export.motion_files import write_motion
from personalized_face.export.run_folder import make_folder
from personalized_face.export.view import write_view
from personalized_face.face_model.files import save_person
from personalized_face.inference.reconstruct import Reconstruction
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.sheets import contact_sheet
from personalized_face.pipelines.personalize import (
  CONFIGURATION,
  MAX_FRAMES,
  FittedPerson,
  fit_person,
  write_person,
)

# What `Face.save` writes; without an ending, a folder.
_ENDINGS = (".glb", ".html", ".npz", ".csv", ".json", "")


def personalize(
  *inputs: str | os.PathLike,
  template: str = "default",
  max_frames: int = MAX_FRAMES,
  gin_params: Sequence[str] = (),
  detector: FaceDetector | None = None,
) -> "Face":
  """Fits the face model to a person's own video or photos; takes minutes on a CPU.

  Args:
    *inputs: videos, images and folders of images of one person.
    template: "default" or a template's .npz file.
    max_frames: that are fitted; of the others only the motion is solved.
    gin_params: "name = value" each, over gin/fitting/personalize.gin, which replaces
      what gin held before.
    detector: None takes MediaPipe's.

  Raises:
    UserError: nothing to read, no face, or an unknown parameter.
  """
  config.parse([CONFIGURATION], gin_params)
  config.make_deterministic()
  paths = [os.fspath(path) for path in inputs]
  fitted = fit_person(paths, template, detector=detector, max_frames=max_frames)
  return Face(fitted, paths)


class Face:
  """A personalised face; a notebook shows it as its contact sheet.

  Attributes:
    fitted: the person, the motion of each frame, the template and the sources.
  """

  def __init__(self, fitted: FittedPerson, inputs: Sequence[str]):
    self.fitted = fitted
    self._inputs = tuple(inputs)

  def sheet(self, source: int = 0, num_rows: int = 7) -> Image.Image:
    """The contact sheet of one of the sources.

    Args:
      source: its index: the videos in the order given, the photos last.
      num_rows: at most so many frames.
    """
    person, tracked = self._result(source)
    renderer = ClipRenderer(self.fitted.system)
    tracking, crops = tracked.motion.tracking, tracked.crops
    return Image.fromarray(
      contact_sheet(renderer, person, tracking, crops, tracked.names, num_rows)
    )

  def save(self, path: str | os.PathLike, source: int = 0) -> str:
    """Writes the face as the path's ending says.

      .glb                animated avatar with named morph targets
      .html               page with sliders
      .npz                the person, for the other commands
      .csv .json          the motion of one of the sources
      none                the whole folder of pface_personalize --avatar

    Args:
      path: the file or folder; folders are made if missing.
      source: whose motion it is, as in `sheet`.

    Returns:
      The path.

    Raises:
      UserError: another ending, or it cannot be written.
    """
    path = os.fspath(path)
    ending = os.path.splitext(path)[1].lower()
    if ending not in _ENDINGS:
      raise UserError(
        f"A face is not written as {path}; give a folder, or a name that ends in "
        f"{', '.join(_ENDINGS[:-1])}."
      )
    make_folder(os.path.dirname(path) or ".")
    fitted, (person, tracked) = self.fitted, self._result(source)
    # Photos are no clip and animate nothing.
    motion, crops = (tracked.motion, tracked.crops) if tracked.is_video else (None,) * 2
    if ending == ".glb":
      export_avatar(fitted.system, person, path, motion)
    elif ending == ".html":
      title = os.path.splitext(os.path.basename(path))[0]
      write_view(fitted.system, person, path, motion, title=title, crops=crops)
    elif ending == ".npz":
      save_person(path, person, fitted.system.template)
    elif ending:
      write_motion(path, tracked.motion, fitted.system.template)
    else:
      write_person(fitted, path, avatar=True)
      config.save_operative(os.path.join(path, "config.gin"))
    return path

  def _repr_png_(self) -> bytes:
    """What a notebook shows for the object."""
    buffer = io.BytesIO()
    self.sheet().save(buffer, format="PNG")
    return buffer.getvalue()

  def __repr__(self) -> str:
    frames = len(self.fitted.chosen)
    return f"<Face of {', '.join(self._inputs)}, fitted to {frames} frames>"

  def _result(self, source: int) -> Reconstruction:
    return list(self.fitted.reconstructions())[source]
