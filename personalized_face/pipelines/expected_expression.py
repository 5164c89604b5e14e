"""What a fit may expect of a person's expression, by the starter weights.

The starter TrackNet learned from synthetic people. On real ones it tells when a shape
moves better than where its rest is: a coefficient is taken from its median over the
clip, and what lies below that is rest.
"""

import numpy as np

from personalized_face.data.crop import resized
from personalized_face.face_model.parameters import tracking_from_raw
from personalized_face.fitting.frames import Frames
from personalized_face.inference.track import to_float
from personalized_face.pipelines import starter
from personalized_face.template.face_template import FaceTemplate

STARTER = "starter"
_LEAST_FRAMES = 10  # of a scene, to tell its rest
_CHUNK = 32  # frames at a time


def expected_expression(
  frames: Frames, template: FaceTemplate
) -> "np.ndarray | tuple[()]":
  """What Frames.expected may be.

  Args:
    frames: F of a person, crops framed as for TrackNet.
    template: of the fit.

  Returns:
    [F, K] float32 in [0, 1), 0 in scenes of few frames and of shapes that the weights
    do not know by name; () where there is nothing else.
  """
  scenes, counts = np.unique(frames.scenes, return_counts=True)
  scenes = scenes[counts >= _LEAST_FRAMES]
  if not len(scenes) or STARTER not in starter.names():
    return ()
  tracker = starter.load_tracker(STARTER)
  there, here = tracker.blendshape_names, template.blendshape_names
  known = [i for i, name in enumerate(here) if name in there]
  if not known:
    return ()
  columns = [there.index(here[i]) for i in known]
  expected = np.zeros([frames.count, len(here)], np.float32)
  for scene in scenes:
    rows = np.flatnonzero(frames.scenes == scene)
    seen = _seen(tracker, frames.images[rows])[:, columns]
    expected[np.ix_(rows, known)] = np.maximum(seen - np.median(seen, axis=0), 0.0)
  return expected


def _seen(tracker: starter.PackedTracker, images: np.ndarray) -> np.ndarray:
  """[F, K] as the network puts it out for crops [F, S, S, 3] uint8."""
  count, found = len(tracker.blendshape_names), []
  for first in range(0, len(images), _CHUNK):
    crops = resized(images[first : first + _CHUNK], tracker.crop_size)
    raw = tracker.track_net(to_float(crops), training=False)
    found.append(tracking_from_raw(raw, count).expression.numpy())
  return np.concatenate(found)
