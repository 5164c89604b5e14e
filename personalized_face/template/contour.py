"""The jaw contour as lines on the face, along which its landmarks slide.

A detector draws the jaw on the outline of the face. On a turned head that is no fixed
point of the mesh: on the far side the outline runs over the cheek. So each of the 17
contour landmarks gets a line of candidates from its place on the frontal outline
inwards over the cheek, and a view takes the one that lies farthest out (Zhu et al.
2015, "High-Fidelity Pose and Expression Normalization": landmark marching).
"""

import numpy as np

from personalized_face.core.types import NUM_CONTOUR
from personalized_face.template.face_template import FaceTemplate

_CENTRE = 33  # iBUG, under the nose: where the lines run to
_REACH = 0.55  # of the way there; beyond lie the lips


def contour_lines(
  template: FaceTemplate, candidates: int = 12
) -> tuple[np.ndarray, np.ndarray]:
  """The lines, and which way is out.

  Args:
    template: any.
    candidates: vertices a line, M.

  Returns:
    [17, M] int32 vertices, the frontal landmark first; [17, 2] unit vectors (x to the
    person's left, y up) from the middle of the face to each landmark.
  """
  vertices = template.vertices.astype(np.float64)
  jaw = template.landmark_vertices[:NUM_CONTOUR]
  # Seen from between the ears the face is a surface over directions.
  hub = vertices[jaw[[0, -1]]].mean(0)
  rays = _unit(vertices - hub)
  centre = rays[template.landmark_vertices[_CENTRE]]
  shares = np.linspace(0, _REACH, candidates)[:, None]
  lines = np.empty([NUM_CONTOUR, candidates], np.int32)
  for i, start in enumerate(jaw):
    directions = _unit((1 - shares) * rays[start] + shares * centre)  # [M, 3]
    lines[i] = (rays @ directions.T).argmax(0)
    lines[i, 0] = start
  middle = vertices[template.landmark_vertices[[27, 57]]].mean(0)
  return lines, _unit((vertices[jaw] - middle)[:, :2])


def _unit(vectors: np.ndarray) -> np.ndarray:
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / np.maximum(length, 1e-12)
