"""How well a driven face opens and closes mouth and eyes with its driver."""

from collections.abc import Iterable

import numpy as np

from personalized_face.data.detector import FaceDetector, landmarks_68
from personalized_face.metrics.landmarks import eye_opening, mouth_opening
from personalized_face.metrics.motion import correlation

_OPENINGS = ("mouth", "right_eye", "left_eye")


def opening_correlations(
  frames: Iterable[np.ndarray] | None,
  detector: FaceDetector,
  driven: np.ndarray | None,
  count: int,
) -> dict[str, float | int | None]:
  """Compares what a detector sees of the driver with the driven landmarks.

  Neither networks nor template have a part in the driver's side.

  Args:
    frames: F pictures of the driver, [H, W, 3] uint8 RGB; None where there are none.
    detector: finds the driver's landmarks in them.
    driven: [F, 68, 2] landmarks of the driven face, any unit; None if unknown.
    count: F.

  Returns:
    Pearson's correlations in [-1, 1], None where no frame had a face or nothing is
    known, and the counts of frames.
  """
  found, points = [], []
  for i, picture in enumerate(frames or ()):
    mesh = detector.detect(picture)
    if mesh is not None:
      found.append(i)
      points.append(landmarks_68(mesh))
  metrics = {"frames": count, "frames_with_detected_face": len(found)}
  correlations = [None] * len(_OPENINGS)
  if found and driven is not None:
    pairs = zip(_openings(np.stack(points)), _openings(driven[found]), strict=True)
    correlations = [round(correlation(*pair), 4) for pair in pairs]
  for name, value in zip(_OPENINGS, correlations, strict=True):
    metrics[f"{name}_opening_correlation"] = value
  return metrics


def _openings(landmarks: np.ndarray) -> np.ndarray:
  """[F, 68, 2] -> [3, F], in the order of _OPENINGS."""
  eyes = eye_opening(landmarks)
  return np.stack([mouth_opening(landmarks), eyes[:, 0], eyes[:, 1]])
