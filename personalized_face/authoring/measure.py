"""Measures the mean face of a set of clips: the control points of the default template.

The start of the template's data flow: clips -> this file's `main` -> the CSV that
`default_template` reads. It is run by hand when the measurement is to be repeated:

  python -m personalized_face.authoring.measure --videos=DIR --output=FACE.csv

Each frame gives the 478 points of MediaPipe's FaceMesh (weak perspective, depth in the
unit of x). Near-neutral frames of a clip are aligned by similarity and averaged; the
clips' means are aligned and averaged again (generalised Procrustes, every clip counts
once), the result is made left-right symmetric and scaled to real size.
"""

import csv
import glob
import os
from typing import NamedTuple

import cv2
import numpy as np
from absl import app, flags, logging
from scipy.optimize import linear_sum_assignment

from personalized_face.core.errors import UserError
from personalized_face.metrics.alignment import align

# Clips whose source repositories are under MIT or Apache-2.0 (LivePortrait, SMIRK,
# video-retalking, SadTalker); MEAD is CC BY-NC and is left out.
CLIPS = ("lp_*", "smirk_*", "vr_*", "st_*")
# Adult mean distance between the pupils, both sexes pooled (Dodgson 2004,
# "Variation and extrema of human interpupillary distance": 63 mm), decimetres.
INTERPUPILLARY_DM = 0.63
LEFT_IRIS, RIGHT_IRIS = 473, 468  # centres
LEFT_CORNER, RIGHT_CORNER = 263, 33  # outer corners of the eyes
MAX_MOUTH_GAP = 0.06  # |13 - 14| over the distance of the outer eye corners
MAX_YAW_RAD = 0.25


class FaceMean(NamedTuple):
  """A measured mean face."""

  points: np.ndarray  # [478, 3] decimetres, x to the person's left, y up, z out
  mirror: np.ndarray  # [478] int, index of the mirror image of each point
  spread: np.ndarray  # [478] root mean square distance over the clips, decimetres
  clips: list[tuple[str, int]]  # name, number of near-neutral frames


def aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
  """Points [P, 3] laid on a target [P, 3] by the similarity that fits best."""
  return align(points, target, with_scale=True)(points)


def procrustes_mean(shapes: np.ndarray, iterations: int = 5) -> np.ndarray:
  """Generalised Procrustes mean of shapes [F, P, 3], at the first one's pose."""
  mean = shapes[0]
  size = np.linalg.norm(mean - mean.mean(0))
  for _ in range(iterations):
    mean = np.mean([aligned(shape, mean) for shape in shapes], axis=0)
    mean = (mean - mean.mean(0)) * size / np.linalg.norm(mean - mean.mean(0))
  return mean


def near_neutral(points: np.ndarray) -> np.ndarray:
  """Selects frames: mouth shut, eyes open as usual for the clip, brows at rest.

  Args:
    points: [F, 478, 3] of one clip, y up.

  Returns:
    [F] bool.
  """

  def gap(a: int, b: int) -> np.ndarray:
    return np.linalg.norm(points[:, a] - points[:, b], axis=-1)

  eyes = gap(33, 263)
  across = points[:, 263] - points[:, 33]
  mouth = gap(13, 14) / eyes
  lids = (gap(159, 145) + gap(386, 374)) / eyes
  brows = (gap(105, 159) + gap(334, 386)) / eyes
  width = gap(61, 291) / eyes
  return (
    (mouth < MAX_MOUTH_GAP)
    & (np.abs(np.arctan2(across[:, 2], across[:, 0])) < MAX_YAW_RAD)
    & (np.abs(lids - np.percentile(lids, 65)) < 0.03)
    & (np.abs(brows - np.median(brows)) < 0.03)
    & (np.abs(width - np.median(width)) < 0.05)
  )


def detect_clip(path: str, step: int = 2) -> np.ndarray:
  """Runs FaceMesh over every `step`-th frame of a clip: [F, 478, 3] px, y up."""
  from mediapipe.python.solutions import face_mesh

  capture = cv2.VideoCapture(path)
  if not capture.isOpened():
    raise UserError(f"{path} cannot be read as a video; check the file.")
  found, index = [], 0
  with face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=1) as detector:
    while True:
      ok, frame = capture.read()
      if not ok:
        break
      index += 1
      if index % step:
        continue
      result = detector.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
      if result.multi_face_landmarks:
        height, width = frame.shape[:2]
        marks = result.multi_face_landmarks[0].landmark
        found.append([(m.x * width, -m.y * height, -m.z * width) for m in marks])
  capture.release()
  return np.array(found).reshape(-1, 478, 3)


def measure(paths: list[str]) -> FaceMean:
  """The mean face of the clips. Each clip counts once, however long."""
  means, clips = [], []
  for path in paths:
    points = detect_clip(path)
    points = points[near_neutral(points)]
    logging.info("%s: %d near-neutral frames", os.path.basename(path), len(points))
    if len(points) >= 3:
      means.append(procrustes_mean(points))
      clips.append((os.path.splitext(os.path.basename(path))[0], len(points)))
  if not means:
    raise UserError("No clip has three near-neutral frames; give other clips.")
  means = np.array(means)
  mean = procrustes_mean(means)
  spread = np.array([aligned(m, mean) for m in means]) - mean
  points, mirror = symmetrised(mean)
  scale = INTERPUPILLARY_DM / np.linalg.norm(points[LEFT_IRIS] - points[RIGHT_IRIS])
  old = np.linalg.norm(mean[LEFT_IRIS] - mean[RIGHT_IRIS])
  rms = np.sqrt((spread**2).sum(-1).mean(0)) * INTERPUPILLARY_DM / old
  return FaceMean(points * scale, mirror, rms, clips)


def symmetrised(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Makes points [P, 3] mirror-symmetric about x = 0, upright and looking along z.

  The mirror partners are found by optimal assignment, the mirror plane by aligning the
  points with their own mirror image. Upright: the chin and the middle of the forehead
  (152 and 10) at equal depth, which is how the detector's own mean face stands.
  """
  flip = np.array([-1.0, 1.0, 1.0])
  # Start with the eyes' outer corners level and their middle at x = 0.
  points = points - (points[LEFT_CORNER] + points[RIGHT_CORNER]) / 2
  points = points @ _rotation_to_x(points[LEFT_CORNER] - points[RIGHT_CORNER])
  for _ in range(6):
    cost = np.linalg.norm((points * flip)[:, None] - points[None], axis=-1)
    mirror = np.argsort(linear_sum_assignment(cost)[1])
    points = (points + aligned((points * flip)[mirror], points)) / 2
    # The mirror plane's normal is the main direction of p - image(p).
    normal = np.linalg.svd(points - points[mirror], full_matrices=False)[2][0]
    points = (points - points.mean(0)) @ _rotation_to_x(normal)
  points = (points + (points * flip)[mirror]) / 2
  up = points[10] - points[152]
  angle = np.arctan2(up[2], up[1])
  c, s = np.cos(angle), np.sin(angle)
  turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
  return points @ turn, mirror


def _rotation_to_x(normal: np.ndarray) -> np.ndarray:
  """Rotation, applied from the right, that takes a direction near +-x to x."""
  x = normal * np.sign(normal[0]) / np.linalg.norm(normal)
  z = np.cross(x, [0.0, 1.0, 0.0])
  z /= np.linalg.norm(z)
  return np.stack([x, np.cross(z, x), z], axis=1)


def write_csv(path: str, mean: FaceMean) -> None:
  """Writes the measurement, with where it comes from in its header."""
  frames = ", ".join(f"{name} ({count})" for name, count in mean.clips)
  header = f"""\
# Mean position of the 478 points of MediaPipe's FaceMesh on near-neutral faces.
# Measured by personalized_face/authoring/measure.py with mediapipe 0.10.21
# (FaceMesh, refine_landmarks=True) on {len(mean.clips)} clips whose source
# repositories are under MIT or Apache-2.0 (KwaiVGI/LivePortrait, georgeretsi/smirk,
# OpenTalker/video-retalking, OpenTalker/SadTalker); clip (near-neutral frames):
# {frames}.
# Generalised Procrustes mean, every clip counting once, made left-right symmetric,
# scaled to an interpupillary distance of 63 mm (Dodgson 2004).
# index: 0-based FaceMesh index; 468-477 are the irises. x to the person's left, y up,
# z out of the face, decimetres. mirror: index of the mirror point. spread: rms
# distance over the clips, decimetres.
"""
  temporary = f"{path}.{os.getpid()}.tmp"
  with open(temporary, "w", newline="") as file:
    file.write(header)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["index", "x", "y", "z", "mirror", "spread"])
    for i, (point, mirror, spread) in enumerate(
      zip(mean.points, mean.mirror, mean.spread, strict=True)
    ):
      row = [f"{value:.5f}" for value in point]
      writer.writerow([i, *row, mirror, f"{spread:.4f}"])
  os.replace(temporary, path)


def main(argv):
  """Measures and writes the CSV."""
  del argv
  folder = flags.FLAGS.videos
  paths = [p for c in CLIPS for p in glob.glob(f"{folder}/**/{c}.mp4", recursive=True)]
  if not paths:
    raise UserError(f"No clip {' or '.join(CLIPS)} under {folder}; give --videos.")
  write_csv(flags.FLAGS.output, measure(sorted(paths)))


if __name__ == "__main__":
  flags.DEFINE_string("videos", None, "Folder of the clips.", required=True)
  flags.DEFINE_string("output", None, "CSV to write.", required=True)
  app.run(main)
