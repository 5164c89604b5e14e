"""Retargeting: one person's motion on another face (Section 3.3).

    video --TrackNet--> Tracking, or a motion file ---+
    a person.npz, or pictures of the target --------> +--> system.reconstruct
    a foreign character ----------------------------> +--> export/drive_character.py

On a person: motion.npz and motion.csv (what moved them), sheet.png, driven.mp4 (H.264;
the driver's crop beside the driven face), driven.glb, person.npz and metrics.json
(openings.py). On a character: motion.npz, motion.csv, metrics.json and what
drive_character.py writes.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS, PersonModel
from personalized_face.data.detector import FaceDetector
from personalized_face.data.video import list_images, write_video
from personalized_face.export.avatar import avatar_glb, make_avatar
from personalized_face.export.characters import read_character
from personalized_face.export.clip import clip_crops, clip_frames
from personalized_face.export.drive_character import (
  DrivenCharacter,
  drive_character,
  with_blendshapes,
)
from personalized_face.export.files import write_bytes, write_json, write_png
from personalized_face.export.landmark_detection import detect_landmarks
from personalized_face.export.motion import write_motion_csv
from personalized_face.export.motion_files import motion_path, read_motion
from personalized_face.export.openings import opening_correlations
from personalized_face.export.run_folder import make_folder
from personalized_face.export.shape_mapping import adjust
from personalized_face.face_model.files import (
  Motion,
  load_person,
  save_motion,
  save_person,
)
from personalized_face.inference import pictures
from personalized_face.inference.reconstruct import (
  model_person,
  reconstruct,
  track_source,
)
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.track import TrackFunction, to_float
from personalized_face.progress import tqdm
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate

_COLUMN_LABELS = ("driver", "driven", "driven shape")


class Driver(NamedTuple):
  """Who moves the target: a tracked video, or a motion, with or without its clip."""

  motion: Motion
  crops: np.ndarray | None  # [F, S, S, 3] uint8 RGB
  names: list[str]  # F, of the frames
  pictures: Callable[[], Iterator[np.ndarray]] | None  # reads the source again
  folder: str | None  # of a motion, where a person.npz may lie; None if tracked here


class Retargeting(NamedTuple):
  """A driven face: the driver's frames, and what the target's mesh does in them."""

  target: PersonModel  # numpy, without B
  driver: Driver
  vertices: np.ndarray  # [F, V, 3] float32 decimetres, model space
  landmarks: np.ndarray  # [F, L, 2] float32 projected, pixels of the crop
  metrics: dict[str, float | int | None]


def open_driver(
  system: PersonalizedFace,
  sources: Sequence[str],
  detector: FaceDetector,
  fps: float | None = None,
  check_every: int = 15,
  gains: Mapping[str, float] | None = None,
  neutral_frame: int | None = None,
  track: TrackFunction | None = None,
  clip: str | None = None,
) -> Driver:
  """Reads a motion file, or tracks a video or images.

  Args:
    system: with trained networks.
    sources: one motion file (export/motion_files.py) or a folder with a motion.npz, one
      video, or images.
    detector, fps, check_every, track: see `inference.reconstruct`; of a motion file in
      Live Link's format, fps is the recording's rate.
    gains, neutral_frame: see `shape_mapping.adjust`.
    clip: the video that a motion was tracked in, to be shown and compared.

  Raises:
    UserError: nothing readable there, no face in it, or another clip.
  """
  template = system.template
  path = motion_path(sources[0]) if len(sources) == 1 else None
  if path is not None:
    driver = _motion_driver(system, read_motion(path, template, fps), path, clip)
  elif clip is not None:
    raise UserError("A clip goes with a motion; a video that is tracked is its own.")
  else:
    tracked = track_source(system, sources, detector, fps, check_every, track)
    seen = tracked.crops, tracked.names, tracked.pictures
    driver = Driver(tracked.motion, *seen, folder=None)
  motion = adjust(driver.motion, template.blendshape_names, gains, neutral_frame)
  return driver._replace(motion=motion)


def _motion_driver(
  system: PersonalizedFace, motion: Motion, path: str, clip: str | None
) -> Driver:
  crops = pictures_of = None
  if clip is not None:
    crops = clip_crops(clip, motion, system.camera.height)
    pictures_of = functools.partial(clip_frames, clip, motion)
  names = [f"{time:.2f} s" for time in motion.times]
  return Driver(motion, crops, names, pictures_of, os.path.dirname(path))


def retarget(
  system: PersonalizedFace,
  driver: Driver,
  target: str,
  output_dir: str,
  detector: FaceDetector,
  num_model_images: int = 8,
) -> Retargeting:
  """Moves a person's face as the driver moves theirs.

  Pose and light are the driver's too, so the two pictures can be compared.

  Args:
    system: with trained networks.
    driver: of `open_driver`.
    target: a person.npz, a folder that has one (of `write_reconstruction`), or a video
      or image of the target, whom ModelNet then models.
    output_dir: made if missing.
    detector, num_model_images: see `inference.reconstruct`.

  Raises:
    UserError: something cannot be read, has no face, belongs to another template, or
      the folder cannot be written.
  """
  make_folder(output_dir)
  template = system.template
  person = target_person(system, target, detector, num_model_images)
  driven = _drive(system, person, driver, output_dir)
  metrics = _openings(driver, detector, driven.landmarks)
  save_person(os.path.join(output_dir, "person.npz"), person, template)
  _write_motion(output_dir, driver.motion, template)
  glb = avatar_glb(
    template, make_avatar(template, person), driver.motion, system.camera, "driven"
  )
  write_bytes(os.path.join(output_dir, "driven.glb"), glb)
  write_json(os.path.join(output_dir, "metrics.json"), metrics)
  return Retargeting(person, driver, driven.vertices, driven.landmarks, metrics)


def retarget_to_character(
  system: PersonalizedFace,
  driver: Driver,
  target: str,
  output_dir: str,
  detector: FaceDetector,
  overrides: Mapping[str, Mapping[str, float]] | None = None,
  landmarks: str | None = None,
  person: str | None = None,
  num_model_images: int = 8,
) -> DrivenCharacter:
  """Moves a foreign face as the driver moves theirs.

  A mesh without blendshapes gets those of a person by deformation transfer: the named
  one's, else the driver's own, else the template's.

  Args:
    system: with trained networks.
    driver: of `open_driver`.
    target: see `characters.read_character`.
    output_dir: made if missing.
    detector: finds the landmarks of a mesh without blendshapes.
    overrides: of `shape_mapping.read_mapping`.
    landmarks: a JSON file with 68 vertex indices of such a mesh, instead; of any
      character, they say what of it opens.
    person: whose blendshapes it gets; as the target of `retarget`.
    num_model_images: see `inference.reconstruct`.

  Raises:
    UserError: something cannot be read or does not fit, or no landmarks are found.
  """
  character = read_character(target)
  make_folder(output_dir)
  template, points = system.template, None
  if landmarks:
    points = read_landmarks(landmarks, len(character.vertices))
  if not character.names:
    if points is None:
      points = detect_landmarks(character, template, detector)
    giver = make_avatar(
      template, _giver(system, driver, person, detector, num_model_images)
    )
    character = with_blendshapes(
      character,
      giver.neutral,
      giver.displacements,
      template.triangles,
      template.landmark_vertices,
      template.blendshape_names,
      points,
    )
    write_json(os.path.join(output_dir, "landmarks.json"), points.tolist())
  _write_motion(output_dir, driver.motion, template)
  names = template.blendshape_names
  driven = drive_character(
    character, driver.motion, names, output_dir, overrides, driver.crops
  )
  marked = None if points is None else _marked(driven, points)
  metrics = _openings(driver, detector, marked)
  write_json(os.path.join(output_dir, "metrics.json"), metrics)
  return driven._replace(metrics=metrics)


def _marked(driven: DrivenCharacter, points: np.ndarray) -> np.ndarray:
  """The landmarks [F, 68, 2] of a driven character, seen from the front, metres."""
  character = driven.character
  moved = np.tensordot(driven.weights, character.displacements[:, points], axes=1)
  return (character.vertices[points] + moved)[..., :2]


def _openings(
  driver: Driver, detector: FaceDetector, landmarks: np.ndarray | None
) -> dict[str, float | int | None]:
  frames = None if driver.pictures is None else driver.pictures()
  return opening_correlations(frames, detector, landmarks, len(driver.names))


def read_landmarks(path: str, num_vertices: int) -> np.ndarray:
  """68 vertex indices, iBUG order, from a JSON list.

  Raises:
    UserError: missing, or not such a list.
  """
  try:
    with open(path, encoding="utf-8") as file:
      points = np.array(json.load(file))
    fits = points.shape == (NUM_LANDMARKS,) and points.dtype.kind == "i"
  except OSError as error:
    raise UserError(f"{path} cannot be read ({error.strerror}).") from error
  except (ValueError, RecursionError):
    fits = False
  if not fits or not 0 <= points.min() <= points.max() < num_vertices:
    raise UserError(
      f"{path} is no list of {NUM_LANDMARKS} of the mesh's {num_vertices} vertices, "
      "counted from 0; write them in iBUG order, as JSON."
    )
  return points


def _giver(
  system: PersonalizedFace,
  driver: Driver,
  person: str | None,
  detector: FaceDetector,
  num_model_images: int,
) -> PersonModel:
  """The person whose blendshapes a bare mesh gets."""
  if person is None and driver.folder is not None:
    beside = os.path.join(driver.folder, "person.npz")
    person = beside if os.path.exists(beside) else None
  if person is not None:
    return target_person(system, person, detector, num_model_images)
  if driver.folder is None:
    picked = pictures.spread(len(driver.crops), num_model_images)
    return model_person(system, driver.crops[picked])
  nobody = system.face_model.template_person()
  return PersonModel(*(part.numpy()[0] for part in nobody))


def _write_motion(output_dir: str, motion: Motion, template: FaceTemplate) -> None:
  save_motion(os.path.join(output_dir, "motion.npz"), motion, template)
  write_motion_csv(
    os.path.join(output_dir, "motion.csv"), motion, template.blendshape_names
  )


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


class _Driven(NamedTuple):
  vertices: np.ndarray
  landmarks: np.ndarray


def _drive(
  system: PersonalizedFace, person: PersonModel, driver: Driver, output_dir: str
) -> _Driven:
  """Writes driven.mp4 and sheet.png; returns what the mesh did."""
  vertices, landmarks, rows = [], [], {}
  picked = set(pictures.spread(len(driver.names), 7).tolist())
  labels = _COLUMN_LABELS if driver.crops is not None else _COLUMN_LABELS[1:]

  def frames() -> Iterator[np.ndarray]:
    with tqdm(total=len(driver.names), desc="Driving", unit="frame") as bar:
      for part in ClipRenderer(system)(person, driver.motion.tracking):
        driven = pictures.on_grey(part.rendering).numpy()
        shape = pictures.shape_picture(part.rendering).numpy()
        for i in range(len(driven)):
          row = [driven[i], shape[i]]
          if driver.crops is not None:
            row = [to_float(driver.crops[len(landmarks)]), *row]
          if len(landmarks) in picked:
            rows[len(landmarks)] = np.concatenate(row, axis=1)
          vertices.append(part.vertices[i])
          landmarks.append(part.landmarks[i])
          bar.update()
          yield pictures.to_uint8(np.concatenate(row[:-1], axis=1))

  write_video(os.path.join(output_dir, "driven.mp4"), frames(), driver.motion.fps)
  sheet = pictures.sheet(
    np.stack(list(rows.values())), labels, [driver.names[i] for i in rows]
  )
  write_png(os.path.join(output_dir, "sheet.png"), sheet)
  return _Driven(np.stack(vertices), np.stack(landmarks))
