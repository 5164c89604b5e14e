"""A video or photos of one person -> their face model and their motion, in memory.

    source --track--> crops, Tracking --ModelNet on some of the crops--> PersonModel

`export.run_folder` writes the result to files.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.data.detector import FaceDetector
from personalized_face.data.video import (
  IMAGE_EXTENSIONS,
  frame_count,
  list_images,
  read_frames,
  read_image,
)
from personalized_face.inference.pictures import spread
from personalized_face.inference.track import (
  Motion,
  Tracker,
  TrackFunction,
  find_faces,
  geometry_of,
  to_float,
  track_video,
)
from personalized_face.progress import tqdm
from personalized_face.systems.personalized_face import PersonalizedFace


class TrackedSource(NamedTuple):
  """What one person does in F pictures of a video, or in F photos."""

  motion: Motion
  crops: np.ndarray  # [F, S, S, 3] uint8 RGB
  names: list[str]  # F, of the pictures: times, or the files of photos
  is_video: bool
  # Reads the F source pictures again, [H, W, 3] uint8 RGB each.
  pictures: Callable[[], Iterator[np.ndarray]]


class Reconstruction(NamedTuple):
  """A person, and the pictures they were modelled and tracked from."""

  person: PersonModel  # numpy, without B
  source: TrackedSource


def reconstruct(
  system: PersonalizedFace,
  inputs: Sequence[str],
  detector: FaceDetector,
  num_model_images: int = 8,
  fps: float | None = None,
  check_every: int = 15,
  track: TrackFunction | None = None,
) -> Reconstruction:
  """Models and tracks the person of one video, or of photos.

  Args:
    system: with trained networks.
    inputs: one video; or images and folders of images of one person.
    detector: finds the face in the first frame, in each photo.
    num_model_images: at most so many pictures, spread over the clip, go into ModelNet.
    fps: frames per second to take from a video; None takes every frame.
    check_every, track: see `track_video`.

  Raises:
    UserError: nothing readable there, or no face in it.
  """
  source = track_source(system, inputs, detector, fps, check_every, track)
  picked = spread(len(source.crops), num_model_images)
  return Reconstruction(model_person(system, source.crops[picked]), source)


def track_source(
  system: PersonalizedFace,
  inputs: Sequence[str],
  detector: FaceDetector,
  fps: float | None = None,
  check_every: int = 15,
  track: TrackFunction | None = None,
) -> TrackedSource:
  """The tracking half of `reconstruct`."""
  if not inputs:
    raise UserError("No input is given; name a video, or images of one person.")
  photos = _photo_paths(inputs)
  if photos is None:
    return _track_clip(system, inputs[0], detector, fps, check_every, track)
  return _track_photos(system, photos, detector, track)


def model_person(system: PersonalizedFace, crops: np.ndarray) -> PersonModel:
  """ModelNet on crops [N, S, S, 3] uint8 of one person; numpy, without B."""
  person = system.model_face(to_float(crops)[np.newaxis])
  return PersonModel(*(np.asarray(part)[0] for part in person))


def _photo_paths(inputs: Sequence[str]) -> list[str] | None:
  """The images that the inputs name; None if they are one video."""
  paths = []
  for path in inputs:
    if os.path.isdir(path):
      paths += list_images(path)
    elif path.lower().endswith(IMAGE_EXTENSIONS):
      paths.append(path)
    elif len(inputs) == 1:
      return None
    else:
      raise UserError(
        f"{path} is not an image or a folder; give one video, or images of one person."
      )
  if not paths:
    raise UserError(f"The folder {inputs[0]} has no images in it; give one that has.")
  return paths


def _track_clip(
  system: PersonalizedFace,
  path: str,
  detector: FaceDetector,
  fps: float | None,
  check_every: int,
  track: TrackFunction | None,
) -> TrackedSource:
  frames = tqdm(
    read_frames(path, fps), total=frame_count(path, fps), desc="Tracking", unit="frame"
  )
  clip = track_video(
    system, frames, detector, path, check_every=check_every, track=track
  )
  first, count = clip.first_frame, len(clip.crops)

  def pictures() -> Iterator[np.ndarray]:
    for frame in itertools.islice(read_frames(path, fps), first, first + count):
      yield frame.image

  names = [f"{time:.2f} s" for time in clip.motion.times]
  return TrackedSource(clip.motion, clip.crops, names, True, pictures)


def _track_photos(
  system: PersonalizedFace,
  paths: list[str],
  detector: FaceDetector,
  track: TrackFunction | None,
) -> TrackedSource:
  found, squares, crops = find_faces(paths, detector, system.camera.height)
  tracking, _ = Tracker(system, track)(crops, geometry_of(system, crops))
  motion = Motion(
    times=np.arange(len(found), dtype=np.float64),
    tracking=tracking,
    boxes=np.array([square.box for square in squares], np.float32),
    frame_size=read_image(found[0]).shape[:2],
    fps=1.0,
  )
  names = [os.path.splitext(os.path.basename(path))[0] for path in found]
  return TrackedSource(motion, crops, names, False, lambda: map(read_image, found))
