"""Rendered clips with ground truth -> a folder of scans, for faces of any topology.

    <clip>.mp4, _person.npz, _motion.npz --every so many frames-->
    <output_dir>/<clip>_<frame>/scan.ply      the face as it is in that frame, mm
                                landmarks.txt its inner points (iBUG 17-67), mm
                                frame.png     the frame

what `pface_evaluate --benchmark=scans` reads. The synthetic benchmark compares vertex
with vertex, which needs the system's own topology; people made of another template, of
ICT-FaceKit's identities say, are measured by the distance between surfaces.
"""

import os

import numpy as np
import trimesh

from personalized_face.authoring.cache import load_template
from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.evaluation.synthetic import Synthetic
from personalized_face.export.files import replacing, write_png, write_text
from personalized_face.export.run_folder import make_folder
from personalized_face.progress import tqdm

# The contour is where a picture ends and no point of a scan.
_INNER = range(17, NUM_LANDMARKS)


def write_scans(data_dir: str, template: str, output_dir: str, fps: float) -> int:
  """Writes a scan for some frames of every clip.

  Args:
    data_dir: of the clips, as `data.synthesis` writes them.
    template: that they were rendered with; "default" or a path.
    output_dir: made if missing.
    fps: frames of a clip's second that become scans.

  Returns:
    How many scans there are.

  Raises:
    UserError: no clips there, or of another template.
  """
  face = load_template(template)
  marks = face.anatomical_landmarks[list(_INNER)]
  clips = Synthetic(data_dir, template=template, fps=fps)
  count = 0
  for sample in tqdm(clips.samples(), "scans", unit="scan"):
    folder = os.path.join(output_dir, sample.name.replace("/", "_"))
    make_folder(folder)
    vertices = sample.truth.vertices
    write_png(os.path.join(folder, "frame.png"), sample.pictures()[0])
    write_text(os.path.join(folder, "landmarks.txt"), _lines(vertices[marks]))
    # Last: a folder with a scan in it is complete.
    with replacing(os.path.join(folder, "scan.ply")) as temporary:
      mesh = trimesh.Trimesh(vertices, face.triangles, process=False)
      with open(temporary, "wb") as file:
        file.write(mesh.export(file_type="ply"))
    count += 1
  return count


def _lines(points: np.ndarray) -> str:
  rows = zip(_INNER, points, strict=True)
  return "".join(f"{i} {x:.6f} {y:.6f} {z:.6f}\n" for i, (x, y, z) in rows)
