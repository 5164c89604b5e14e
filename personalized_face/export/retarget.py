"""Retargeting: one person's motion on another person's model (Section 3.3).

    driver's video --TrackNet--> Tracking ---+
    target's person.npz, or pictures ------> +--> system.reconstruct --> driven.mp4

Writes motion.npz and motion.csv (the driver's), sheet.png, driven.mp4 (H.264; the
driver's crop beside the driven face) and metrics.json.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.data.detector import FaceDetector, landmarks_68
from personalized_face.data.video import list_images, write_video
from personalized_face.export.files import write_json, write_png
from personalized_face.export.motion import write_motion_csv
from personalized_face.export.run_folder import make_folder
from personalized_face.face_model.files import load_person, save_motion, save_person
from personalized_face.inference import pictures
from personalized_face.inference.reconstruct import (
  TrackedSource,
  reconstruct,
  track_source,
)
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.track import to_float
from personalized_face.metrics.landmarks import eye_opening, mouth_opening
from personalized_face.metrics.motion import correlation
from personalized_face.systems.personalized_face import PersonalizedFace

_COLUMN_LABELS = ("driver", "driven", "driven shape")
_OPENINGS = ("mouth", "right_eye", "left_eye")


class Retargeting(NamedTuple):
  """A driven face: the driver's frames, and what the target's mesh does in them."""

  target: PersonModel  # numpy, without B
  driver: TrackedSource
  vertices: np.ndarray  # [F, V, 3] float32 decimetres, model space
  landmarks: np.ndarray  # [F, L, 2] float32 projected, pixels of the crop
  metrics: dict[str, float | int | None]


def retarget(
  system: PersonalizedFace,
  driver_inputs: Sequence[str],
  target: str,
  output_dir: str,
  detector: FaceDetector,
  num_model_images: int = 8,
  fps: float | None = None,
  check_every: int = 15,
) -> Retargeting:
  """Moves the target's face as the driver moves theirs.

  Pose and light are the driver's too, so the two pictures can be compared.

  Args:
    system: with trained networks.
    driver_inputs: a video (or images) of the driver.
    target: a person.npz, a folder that has one (of `write_reconstruction`), or a video
      or image of the target, whom ModelNet then models.
    output_dir: made if missing.
    detector, num_model_images, fps, check_every: see `inference.reconstruct`.

  Raises:
    UserError: something cannot be read, has no face, belongs to another template, or
      the folder cannot be written.
  """
  make_folder(output_dir)
  person = target_person(system, target, detector, num_model_images)
  driver = track_source(system, driver_inputs, detector, fps, check_every)
  driven = _drive(system, person, driver, output_dir)
  detected = [detector.detect(picture) for picture in driver.pictures()]
  metrics = opening_metrics(detected, driven.landmarks)
  template, motion = system.template, driver.motion
  save_person(os.path.join(output_dir, "person.npz"), person, template)
  save_motion(os.path.join(output_dir, "motion.npz"), motion, template)
  write_motion_csv(
    os.path.join(output_dir, "motion.csv"), motion, template.blendshape_names
  )
  write_json(os.path.join(output_dir, "metrics.json"), metrics)
  return Retargeting(person, driver, driven.vertices, driven.landmarks, metrics)


def target_person(
  system: PersonalizedFace, target: str, detector: FaceDetector, num_model_images: int
) -> PersonModel:
  """The person that a path names; see `retarget`."""
  if target.endswith(".npz"):
    return load_person(target, system.template)
  if os.path.isdir(target):
    saved = os.path.join(target, "person.npz")
    if os.path.exists(saved):
      return load_person(saved, system.template)
    if not list_images(target):
      raise UserError(
        f"The folder {target} has neither a person.npz nor images; give a folder that "
        "`pface_reconstruct` wrote, a person.npz, or a video of the target."
      )
  return reconstruct(system, [target], detector, num_model_images).person


def opening_metrics(
  detected: Sequence[np.ndarray | None], driven: np.ndarray
) -> dict[str, float | int | None]:
  """How well the driven mouth and eyes open and close with the driver's.

  Args:
    detected: F meshes that the detector found on the driver, None where it found none.
    driven: [F, 68, 2] projected landmarks of the driven mesh.

  Returns:
    Pearson's correlations in [-1, 1], None where no frame had a face, and the counts of
    frames.
  """
  found = [i for i, points in enumerate(detected) if points is not None]
  metrics = {"frames": len(detected), "frames_with_detected_face": len(found)}
  correlations = [None] * len(_OPENINGS)
  if found:
    driver = _openings(np.stack([landmarks_68(detected[i]) for i in found]))
    pairs = zip(driver, _openings(driven[found]), strict=True)
    correlations = [round(correlation(*pair), 4) for pair in pairs]
  for name, value in zip(_OPENINGS, correlations, strict=True):
    metrics[f"{name}_opening_correlation"] = value
  return metrics


def _openings(landmarks: np.ndarray) -> np.ndarray:
  """[F, 68, 2] -> [3, F], in the order of _OPENINGS."""
  eyes = eye_opening(landmarks)
  return np.stack([mouth_opening(landmarks), eyes[:, 0], eyes[:, 1]])


class _Driven(NamedTuple):
  vertices: np.ndarray
  landmarks: np.ndarray


def _drive(
  system: PersonalizedFace, person: PersonModel, driver: TrackedSource, output_dir: str
) -> _Driven:
  """Writes driven.mp4 and sheet.png; returns what the mesh did."""
  vertices, landmarks, rows = [], [], {}
  picked = set(pictures.spread(len(driver.crops), 7).tolist())

  def frames() -> Iterator[np.ndarray]:
    with tqdm(total=len(driver.crops), desc="Driving", unit="frame") as bar:
      for part in ClipRenderer(system)(person, driver.motion.tracking):
        driven = pictures.on_grey(part.rendering).numpy()
        shape = pictures.shape_picture(part.rendering).numpy()
        for i in range(len(driven)):
          crop = to_float(driver.crops[len(landmarks)])
          if len(landmarks) in picked:
            rows[len(landmarks)] = np.concatenate([crop, driven[i], shape[i]], axis=1)
          vertices.append(part.vertices[i])
          landmarks.append(part.landmarks[i])
          bar.update()
          yield pictures.to_uint8(np.concatenate([crop, driven[i]], axis=1))

  write_video(os.path.join(output_dir, "driven.mp4"), frames(), driver.motion.fps)
  sheet = pictures.sheet(
    np.stack(list(rows.values())), _COLUMN_LABELS, [driver.names[i] for i in rows]
  )
  write_png(os.path.join(output_dir, "sheet.png"), sheet)
  return _Driven(np.stack(vertices), np.stack(landmarks))
