"""A reconstruction as a folder of files.

person.npz   motion.npz   what the other commands start from
motion.csv                the same motion as a table (export/motion.py)
face.obj .mtl .png        the neutral face with its static albedo, metres
sheet.png                 Supp. Fig. 1's columns and two novel views
overlay.mp4               the face put back into the source (H.264);
overlay_<name>.png        for photos, one each
blendshapes/<name>.obj    on request: the K corrected blendshapes S_i
frames/<number>.obj       on request: the mesh of each frame, Eq. 1
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Rendering
from personalized_face.data.detector import FaceDetector
from personalized_face.data.video import write_video
from personalized_face.export.files import write_png
from personalized_face.export.motion import write_motion_csv
from personalized_face.export.obj import write_obj
from personalized_face.face_model.files import save_motion, save_person
from personalized_face.inference.reconstruct import (
  Reconstruction,
  TrackedSource,
  reconstruct,
)
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.sheets import contact_sheet, into_source
from personalized_face.inference.track import TrackFunction, squares_of
from personalized_face.progress import tqdm
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate


def write_reconstruction(
  system: PersonalizedFace,
  inputs: Sequence[str],
  output_dir: str,
  detector: FaceDetector,
  num_model_images: int = 8,
  fps: float | None = None,
  check_every: int = 15,
  blendshape_objs: bool = False,
  frame_objs: bool = False,
  track: TrackFunction | None = None,
) -> Reconstruction:
  """Reconstructs the person of a video or of photos and writes the folder above.

  Args:
    system: with trained networks.
    inputs: one video; or images and folders of images of one person.
    output_dir: made if missing.
    detector, num_model_images, fps, check_every, track: see `inference.reconstruct`.
    blendshape_objs: also writes the person's K blendshapes.
    frame_objs: also writes each frame's mesh.

  Raises:
    UserError: nothing readable there, no face in it, or the folder cannot be written.
  """
  make_folder(output_dir)
  result = reconstruct(
    system, inputs, detector, num_model_images, fps, check_every, track
  )
  write_run_folder(system, result, output_dir, blendshape_objs, frame_objs)
  return result


def write_run_folder(
  system: PersonalizedFace,
  result: Reconstruction,
  output_dir: str,
  blendshape_objs: bool = False,
  frame_objs: bool = False,
) -> None:
  """Writes the folder above for a reconstruction, whoever made it.

  Args:
    system: decode and renderer; its networks are not used.
    result: the person, the motion and the pictures.
    output_dir: made if missing.
    blendshape_objs, frame_objs: as above.

  Raises:
    UserError: the folder cannot be written.
  """
  make_folder(output_dir)
  person, source = result
  write_parameters(system.template, output_dir, person, source)
  write_meshes(system, output_dir, person, blendshape_objs)
  renderer = ClipRenderer(system)
  sheet = contact_sheet(
    renderer, person, source.motion.tracking, source.crops, source.names
  )
  write_png(os.path.join(output_dir, "sheet.png"), sheet)
  frames = _overlays(system.template, renderer, result, output_dir, frame_objs)
  if source.is_video:
    write_video(os.path.join(output_dir, "overlay.mp4"), frames, source.motion.fps)
  else:
    for i, frame in enumerate(frames):
      name = f"overlay_{i + 1:02d}_{source.names[i]}.png"
      write_png(os.path.join(output_dir, name), frame)


def make_folder(path: str) -> None:
  """Makes an output folder before the work starts, not after it.

  Raises:
    UserError: it cannot be made.
  """
  try:
    os.makedirs(path, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"The folder {path} cannot be made ({error.strerror}); choose another one."
    ) from error


def write_parameters(
  template: FaceTemplate,
  output_dir: str,
  person: PersonModel,
  source: TrackedSource,
) -> None:
  """person.npz, motion.npz and motion.csv."""
  save_person(os.path.join(output_dir, "person.npz"), person, template)
  save_motion(os.path.join(output_dir, "motion.npz"), source.motion, template)
  write_motion_csv(
    os.path.join(output_dir, "motion.csv"), source.motion, template.blendshape_names
  )


def write_meshes(
  system: PersonalizedFace, output_dir: str, person: PersonModel, blendshapes: bool
) -> None:
  """face.obj with its texture and, on request, blendshapes/<name>.obj."""
  template, face_model = system.template, system.face_model
  batch = PersonModel(*(np.asarray(part)[np.newaxis] for part in person))
  geometry = face_model.geometry(*face_model.vertex_offsets(batch))
  neutral = np.asarray(geometry.neutral)[0]
  path = os.path.join(output_dir, "face.obj")
  write_obj(path, neutral, template.triangles, template.uv, person.static_albedo)
  if not blendshapes:
    return
  displacements = np.asarray(geometry.displacements)[0]  # [V, K, 3]
  names = tqdm(template.blendshape_names, desc="Writing blendshapes", unit="mesh")
  for i, name in enumerate(names):
    path = os.path.join(output_dir, "blendshapes", f"{name}.obj")
    vertices = neutral + displacements[:, i]
    write_obj(path, vertices, template.triangles, template.uv, name=name)


def _overlays(
  template: FaceTemplate,
  renderer: ClipRenderer,
  result: Reconstruction,
  output_dir: str,
  frame_objs: bool,
) -> Iterator[np.ndarray]:
  """The source pictures with the face on them, [H, W, 3] uint8 each."""
  person, source = result
  pictures, squares = iter(source.pictures()), squares_of(source.motion.boxes)
  count = 0
  with tqdm(total=len(source.names), desc="Rendering", unit="frame") as bar:
    for frames in renderer(person, source.motion.tracking):
      for i, vertices in enumerate(frames.vertices):
        picture, square = next(pictures, None), next(squares)
        if picture is None:
          raise UserError(
            "The pictures are no longer those that were tracked; leave the input as it "
            f"is until the command has ended ({output_dir} lacks the overlays)."
          )
        if frame_objs:
          path = os.path.join(output_dir, "frames", f"{count:06d}.obj")
          write_obj(path, vertices, template.triangles, template.uv)
        yield into_source(picture, Rendering(*(v[i] for v in frames.rendering)), square)
        count += 1
        bar.update()
