"""Beside a reconstruction, all that other programs and people open.

face.glb         mesh, texture, morph targets, a video's motion (export/avatar.py)
live_link.csv    of a video: its motion as Live Link Face writes it
page.html        the face with sliders, clip and error map (export/view.py)
"""

import os

from personalized_face.export.avatar_files import export_avatar
from personalized_face.export.live_link import write_live_link_csv
from personalized_face.export.view import write_view
from personalized_face.inference.reconstruct import Reconstruction
from personalized_face.systems.personalized_face import PersonalizedFace


def write_avatar_folder(
  system: PersonalizedFace,
  result: Reconstruction,
  output_dir: str,
  video: str | None = None,
) -> list[str]:
  """Writes the files above.

  Args:
    system: decode and renderer; its networks are not used.
    result: the person, the motion and the pictures. Photos are no clip: they animate
      nothing, and the page has no frames to play.
    output_dir: there already.
    video: shown on the page, by default overlay.mp4 of the folder where it has one.

  Returns:
    The paths written.

  Raises:
    UserError: the video cannot be read, or nothing can be written.
  """
  glb, table, page = (
    os.path.join(output_dir, name)
    for name in ("face.glb", "live_link.csv", "page.html")
  )
  person, source = result
  title = os.path.basename(os.path.abspath(output_dir))
  if not source.is_video:
    export_avatar(system, person, glb)
    write_view(system, person, page, title=title)
    return [glb, page]
  overlay = os.path.join(output_dir, "overlay.mp4")
  if video is None and os.path.isfile(overlay):
    video = overlay
  export_avatar(system, person, glb, source.motion)
  write_live_link_csv(table, source.motion, system.template)
  write_view(system, person, page, source.motion, video, title, source.crops)
  return [glb, table, page]
