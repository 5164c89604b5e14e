"""A reconstructed person as files that other programs open.

NAME.glb         mesh, texture, morph targets, the clip (export/avatar.py)
NAME.ply         on request: the neutral face with a colour at each vertex
NAME_objs/       on request: face.obj and blendshapes/<name>.obj
NAME_albedo.mp4  on request: the albedo map of each frame, Eq. 2, baked
"""

import os
from collections.abc import Iterator

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.core.uv import VertexSampler
from personalized_face.data.video import write_video
from personalized_face.export.avatar import Avatar, avatar_glb, make_avatar
from personalized_face.export.avatar_textures import to_pixels
from personalized_face.export.files import write_bytes
from personalized_face.export.ply import write_ply
from personalized_face.export.run_folder import make_folder, write_meshes
from personalized_face.face_model.files import Motion, load_motion, load_person
from personalized_face.systems.personalized_face import PersonalizedFace

PERSON_FILE, MOTION_FILE = "person.npz", "motion.npz"


def load_reconstruction(
  system: PersonalizedFace, path: str, motion_path: str | None = None
) -> tuple[PersonModel, Motion | None]:
  """The person and the motion that a path names.

  Args:
    system: whose template they belong to.
    path: a folder that `pface_reconstruct` wrote, or a person.npz.
    motion_path: a motion.npz; None takes the one beside the person, if there is one.

  Raises:
    UserError: a file is missing, damaged, or of another template.
  """
  folder = path if os.path.isdir(path) else os.path.dirname(path)
  person_path = os.path.join(path, PERSON_FILE) if os.path.isdir(path) else path
  beside = os.path.join(folder, MOTION_FILE)
  if motion_path is None and os.path.exists(beside):
    motion_path = beside
  person = load_person(person_path, system.template)
  motion = motion_path and load_motion(motion_path, system.template)
  return person, motion or None


def export_avatar(
  system: PersonalizedFace,
  person: PersonModel,
  output: str,
  motion: Motion | None = None,
  ply: bool = False,
  objs: bool = False,
  albedo_video: bool = False,
) -> list[str]:
  """Writes the files above.

  Args:
    system: of the run; only its template and its camera are used.
    person: without the leading dimension B.
    output: NAME.glb; its folder is made if need be.
    motion: the clip; None gives an avatar without animation.
    ply, objs, albedo_video: which others to write.

  Returns:
    The paths written.

  Raises:
    UserError: another ending than .glb, an albedo video without a motion, or nothing
      can be written there.
  """
  stem, ending = os.path.splitext(output)
  if ending.lower() != ".glb":
    raise UserError(f"An avatar is a .glb file, not {output}; name it {stem}.glb.")
  if albedo_video and motion is None:
    raise UserError("The albedo video needs a motion; give one with --motion.")
  make_folder(os.path.dirname(output) or ".")
  template, avatar = system.template, make_avatar(system.template, person)
  name = os.path.basename(stem)
  write_bytes(output, avatar_glb(template, avatar, motion, system.camera, name))
  written = [output]
  if ply:
    sample = VertexSampler(template.uv, template.uv_size)
    colours = sample(avatar.static_albedo[np.newaxis]).numpy()[0]
    write_ply(f"{stem}.ply", avatar.neutral, template.triangles, colours)
    written.append(f"{stem}.ply")
  if objs:
    write_meshes(system, f"{stem}_objs", person, blendshapes=True)
    written.append(f"{stem}_objs")
  if albedo_video:
    video = f"{stem}_albedo.mp4"
    write_video(video, _albedo_frames(avatar, motion), motion.fps)
    written.append(video)
  return written


def _albedo_frames(avatar: Avatar, motion: Motion) -> Iterator[np.ndarray]:
  """R of Eq. 2 for each frame, [U, U, 3] uint8."""
  for weights in np.asarray(motion.tracking.expression):
    change = np.tensordot(weights, avatar.dynamic_albedo, axes=1)
    yield to_pixels(avatar.static_albedo + change)
