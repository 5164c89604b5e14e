"""How steady a person's motion is, and how well mouth and eyes follow the detector's.

PersonModel, Tracking, videos --projected to the video--> 68 points [F, 68, 2]
                              --the detector's, same frames--> a flat dictionary
"""

from collections.abc import Sequence

import numpy as np

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.crop import CROP_SIZE, Square, to_source
from personalized_face.fitting.frames import take_tracking
from personalized_face.inference.smoothing import smooth_tracking
from personalized_face.inference.track import project_landmarks
from personalized_face.metrics.landmarks import eye_opening, mouth_opening
from personalized_face.metrics.motion import correlation, jitter, still_stretch
from personalized_face.pipelines.person_frames import Source
from personalized_face.systems.personalized_face import PersonalizedFace

_STILL_SECONDS = 1.0  # of the stretch in which the face keeps most still
_LEAST_FRAMES = 3  # have a second difference


def motion_figures(
  system: PersonalizedFace,
  person: PersonModel,
  tracking: Tracking,
  sources: Sequence[Source],
  held_out: np.ndarray,
  smoothing: float = 0.0,
) -> dict[str, float | None]:
  """The figures of DESIGN section 8 that need successive frames; means over videos.

  Args:
    system: decode.
    person: without B.
    tracking: [F, ...] of all the person's frames.
    sources: whose rows the frames are; photos do not count.
    held_out: frames that the fit did not see, for the correlations.
    smoothing: strength of inference/smoothing.py for smoothed_jitter_pixels.

  Returns:
    jitter_pixels, detector_jitter_pixels, smoothed_jitter_pixels: see `metrics.jitter`,
    over the stillest second, in the video's pixels scaled to a crop of 224;
    mouth_opening_correlation, eye_opening_correlation (mean of both eyes). None where
    no video is long enough, or nothing was smoothed.
  """
  rows: dict[str, list[float]] = {key: [] for key in _KEYS}
  size = system.camera.height
  for source in sources:
    if not source.is_video:
      continue
    own = take_tracking(tracking, source.rows)
    found = project_landmarks(system, person, own)
    detected = source.clip.landmarks
    kept = np.isin(source.rows, held_out)
    if kept.sum() >= _LEAST_FRAMES:
      for key, value in _correlations(found[kept], detected[kept]).items():
        rows[key].append(value)
    if len(source.rows) < _LEAST_FRAMES:
      continue
    times = source.clip.times.astype(np.float64)
    motions = {"jitter_pixels": found, "detector_jitter_pixels": detected}
    if smoothing:
      boxes = np.array([Square(*s).box for s in source.clip.squares.tolist()])
      steady = smooth_tracking(own, boxes, times, smoothing, system.camera)
      motions["smoothed_jitter_pixels"] = project_landmarks(system, person, steady)
    for key, value in _jitters(motions, source, times, size).items():
      rows[key].append(value)
  return {key: float(np.mean(v)) if v else None for key, v in rows.items()}


_KEYS = (
  "jitter_pixels",
  "smoothed_jitter_pixels",
  "detector_jitter_pixels",
  "mouth_opening_correlation",
  "eye_opening_correlation",
)


def _correlations(found: np.ndarray, detected: np.ndarray) -> dict[str, float]:
  eyes, detected_eyes = eye_opening(found), eye_opening(detected)
  return {
    "mouth_opening_correlation": correlation(
      mouth_opening(found), mouth_opening(detected)
    ),
    "eye_opening_correlation": float(
      np.mean([correlation(eyes[:, i], detected_eyes[:, i]) for i in range(2)])
    ),
  }


def _jitters(
  motions: dict[str, np.ndarray], source: Source, times: np.ndarray, size: int
) -> dict[str, float]:
  """Of points [F, 68, 2] in pixels of crops of a size, each in the whole picture."""
  squares = [Square(*square) for square in source.clip.squares.tolist()]
  per_pixel = CROP_SIZE / np.median([square.side for square in squares])
  whole = {
    key: per_pixel
    * np.stack(
      [to_source(p, square, size) for p, square in zip(points, squares, strict=True)]
    )
    for key, points in motions.items()
  }
  # Where the detector says so, which is no advantage to ours.
  rate = (len(times) - 1) / (times[-1] - times[0])
  length = max(round(_STILL_SECONDS * rate) + 1, _LEAST_FRAMES)
  still = still_stretch(whole["detector_jitter_pixels"], length)
  return {key: jitter(points[still]) for key, points in whole.items()}
