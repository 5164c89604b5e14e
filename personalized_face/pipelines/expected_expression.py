"""What a fit may expect of a person's expression, by the starter weights."""

import cv2
import numpy as np

from personalized_face.face_model.parameters import tracking_from_raw
from personalized_face.inference.track import to_float
from personalized_face.pipelines import starter
from personalized_face.template.face_template import FaceTemplate

STARTER = "starter"
_CHUNK = 32  # frames at a time


def expected_expression(
  images: np.ndarray, template: FaceTemplate
) -> "np.ndarray | tuple[()]":
  """The coefficients that the starter TrackNet sees.

  Args:
    images: [F, S, S, 3] uint8 crops, framed as for TrackNet.
    template: of the fit.

  Returns:
    [F, K] float32 in (0, 1); () where the weights are of another template.
  """
  if STARTER not in starter.names():
    return ()
  tracker = starter.load_tracker(STARTER, template)
  if tracker is None:
    return ()
  size, found = tracker.crop_size, []
  for first in range(0, len(images), _CHUNK):
    crops = np.stack(
      [
        cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        for crop in images[first : first + _CHUNK]
      ]
    )
    raw = tracker.track_net(to_float(crops), training=False)
    found.append(tracking_from_raw(raw, template.num_blendshapes).expression.numpy())
  return np.concatenate(found)
