"""Videos or photos of one person -> the frames that a fit looks at.

inputs -> data.clip.read_clip, one scene each -> Frames, and what each came from
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.clip import Preparation, read_clip
from personalized_face.data.corpora import ClipSource
from personalized_face.data.crop import Square
from personalized_face.data.detector import FaceDetector
from personalized_face.data.record_format import ClipFrames, decode_image, decode_labels
from personalized_face.data.video import (
  IMAGE_EXTENSIONS,
  VIDEO_EXTENSIONS,
  list_images,
  read_frames,
  read_image,
)
from personalized_face.face_model.files import Motion
from personalized_face.fitting.frames import Frames
from personalized_face.inference.reconstruct import TrackedSource
from personalized_face.progress import tqdm


class Source(NamedTuple):
  """One video, or all the photos, and where its frames lie among the person's."""

  name: str
  paths: list[str]  # of the video; of the photos that show a face
  is_video: bool
  clip: ClipFrames
  rows: np.ndarray  # [F] int, its frames among the person's

  def tracked(self, tracking: Tracking, fps: float | None) -> TrackedSource:
    """The source with its motion, as the run folder's writer takes it.

    Args:
      tracking: of all the person's frames.
      fps: that the video was read with.
    """
    clip, times = self.clip, self.clip.times.astype(np.float64)
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 25.0
    motion = Motion(
      times=times,
      tracking=Tracking(*(np.asarray(value)[self.rows] for value in tracking)),
      boxes=np.array([Square(*s).box for s in clip.squares.tolist()], np.float32),
      frame_size=(clip.frame_height, clip.frame_width),
      fps=rate if self.is_video else 1.0,
    )
    crops = np.stack([decode_image(image) for image in clip.images])
    names = [f"{time:.2f} s" for time in times]
    if not self.is_video:
      names = [os.path.splitext(os.path.basename(path))[0] for path in self.paths]

    def pictures() -> Iterator[np.ndarray]:
      if not self.is_video:
        yield from map(read_image, self.paths)
        return
      wanted = set(clip.indices.tolist())
      for i, frame in enumerate(read_frames(self.paths[0], fps)):
        if i in wanted:
          yield frame.image

    return TrackedSource(motion, crops, names, self.is_video, pictures)


def read_person(
  inputs: Sequence[str], preparation: Preparation, detector: FaceDetector
) -> tuple[Frames, np.ndarray, list[Source]]:
  """Reads every input.

  Args:
    inputs: videos, images and folders of images of one person.
    preparation: settings of the crops.
    detector: of faces.

  Returns:
    All F frames, each video and each photo a scene of its own; their times [F], rising
    throughout; and the sources, videos in the order given and the photos last.

  Raises:
    UserError: nothing readable, or no face anywhere.
  """
  videos, photos = _sort_inputs(inputs)
  clips = [_read(path, preparation, detector, True) for path in videos]
  found = []
  for path in tqdm(photos, "preparing", unit="photo", disable=not photos):
    clip = _read(path, preparation, detector, False)
    if clip.num_frames:
      found.append((path, clip))
  sources, rows = [], itertools.count()

  def take(clip: ClipFrames) -> np.ndarray:
    return np.array([next(rows) for _ in range(clip.num_frames)], int)

  for path, clip in zip(videos, clips, strict=True):
    if clip.num_frames:
      sources.append(Source(_stem(path), [path], True, clip, take(clip)))
  scenes = [np.full(s.clip.num_frames, i) for i, s in enumerate(sources)]
  if found:
    clip = _joined([clip for _, clip in found])
    sources.append(Source("photos", [p for p, _ in found], False, clip, take(clip)))
    scenes.append(len(scenes) + np.arange(clip.num_frames))
  if not sources:
    raise UserError(
      f"No face was found in {', '.join(inputs)}; give pictures with a face in view, "
      f"at least {preparation.min_face_pixels:.0f} pixels high."
    )
  return _frames(sources, scenes), _times(sources), sources


def _sort_inputs(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
  """Videos and images."""
  videos, photos = [], []
  for path in inputs:
    if not os.path.exists(path):
      raise UserError(f"There is no file or folder {path}; check the path.")
    if os.path.isdir(path):
      images = list_images(path)
      if not images:
        raise UserError(f"The folder {path} has no images in it; give one that has.")
      photos += images
    elif path.lower().endswith(IMAGE_EXTENSIONS):
      photos.append(path)
    else:
      videos.append(path)
  if not videos and not photos:
    known = ", ".join(VIDEO_EXTENSIONS)
    raise UserError(f"No input is given; name videos ({known}) or images of a person.")
  return videos, photos


def _read(
  path: str, preparation: Preparation, detector: FaceDetector, is_video: bool
) -> ClipFrames:
  source = ClipSource(path, _stem(path), _stem(path))
  clip, counts = read_clip(source, preparation, detector, progress=is_video)
  if not clip.num_frames:
    dropped = [f"{n} {gate}" for gate, n in counts.items() if n and gate != "read"]
    logging.warning(
      "No usable face was found in %s (%d pictures: %s); it is left out.",
      path,
      counts["read"],
      ", ".join(dropped).replace("_", " "),
    )
  return clip


def _joined(clips: list[ClipFrames]) -> ClipFrames:
  """Photos as the frames of one clip, a second apart."""
  arrays = ("indices", "landmarks", "boxes", "squares")
  arrays += ("source_frames", "confidence", "sharpness")
  values = {name: np.concatenate([getattr(c, name) for c in clips]) for name in arrays}
  files = {n: [f for c in clips for f in getattr(c, n)] for n in ("images", "parsing")}
  times = np.arange(len(clips), dtype=np.float32)
  return clips[0]._replace(times=times, **values, **files)


def _frames(sources: list[Source], scenes: list[np.ndarray]) -> Frames:
  clips = [source.clip for source in sources]
  return Frames(
    images=np.stack([decode_image(i) for clip in clips for i in clip.images]),
    landmarks=np.concatenate([clip.landmarks for clip in clips]),
    parsing=np.stack([decode_labels(p) for clip in clips for p in clip.parsing]),
    scenes=np.concatenate(scenes).astype(np.int32),
  )


def _times(sources: list[Source]) -> np.ndarray:
  """Rising over all sources: what lies close in time is of the same source."""
  start, times = 0.0, []
  for source in sources:
    times.append(start + source.clip.times.astype(np.float64))
    start = times[-1][-1] + 10.0
  return np.concatenate(times)


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
