"""Landmarks whose contour points pull on the skin around them, not on one vertex.

The 17 points of the jaw contour are where the detector is least exact, and little else
says where the skin at a jaw's side is: one vertex followed each by itself, and fits had
a row of pimples of a millimetre along the jaw. Here a contour point moves by the mean
of the corrections around it, weighted by a normal distribution, so that its residual
moves all of these. A smooth face has the same landmarks either way.
"""

import gin
import numpy as np
import tensorflow as tf

from personalized_face.core.types import NUM_CONTOUR, Outputs, Tensor
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.traits import gauss

_FURTHEST = 3.0  # standard deviations


@gin.configurable(module="fitting")
class SpreadContour:
  """Projects landmarks of what the system has reconstructed."""

  def __init__(self, system: PersonalizedFace, reach: float = 0.08):
    """Sets up.

    Args:
      system: whose outputs are taken.
      reach: standard deviation of the weights, decimetres on the bare template; 0
        leaves every landmark its own vertex.
    """
    self._system = system
    template = system.template
    self._marked = np.asarray(template.landmark_vertices)
    points = template.vertices[self._marked[:NUM_CONTOUR]]
    distance = np.linalg.norm(points[:, np.newaxis] - template.vertices, axis=-1)
    own = np.zeros(distance.shape)
    own[np.arange(len(points)), self._marked[:NUM_CONTOUR]] = 1.0
    around = own
    if reach > 0:
      around = gauss(distance, reach)
      around[distance > _FURTHEST * reach] = 0.0
      around /= around.sum(axis=1, keepdims=True)
    self._rows = np.flatnonzero((around + own).any(axis=0))
    # What the mean differs by from the vertex' own correction, of the vertices near.
    self._difference = tf.constant((around - own)[:, self._rows], tf.float32)

  def landmarks(self, outputs: Outputs) -> Tensor:
    """[B, N, 68, 2] in pixels of the crop.

    Args:
      outputs: of B persons' N frames.
    """
    neutral = tf.gather(outputs.neutral_offsets, self._rows, axis=1)
    moved = tf.gather(outputs.blendshape_offsets, self._rows, axis=1)
    neutral = tf.einsum("cr,brd->bcd", self._difference, neutral)
    moved = tf.einsum("cr,brkd->bckd", self._difference, moved)
    shift = tf.einsum("bnk,bckd->bncd", outputs.tracking.expression, moved)
    shift += neutral[:, tf.newaxis]
    others = len(self._marked) - shift.shape[2]
    shift = tf.pad(shift, [[0, 0], [0, 0], [0, others], [0, 0]])
    points = tf.gather(outputs.mesh.vertices, self._marked, axis=2) + shift
    return self._system.project_marked(
      self._system.camera_vertices(points, outputs.tracking)
    )
