"""Where on the face a reconstruction differs from its pictures.

PersonModel, Tracking, crops --render--> error of each pixel --> mean at each vertex
"""

import numpy as np
from scipy.ndimage import map_coordinates

from personalized_face.core.topology import VertexNormals
from personalized_face.core.types import PersonModel, Rendering, Tensor, Tracking
from personalized_face.inference.pictures import spread
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.track import to_float
from personalized_face.rendering.camera import Camera, project
from personalized_face.systems.personalized_face import PersonalizedFace

# A vertex is seen where its pixel shows the face with about the vertex's own normal
# (cosine); a pixel of the nose before a cheek does not.
_SAME_SURFACE = 0.7


def vertex_errors_255(
  system: PersonalizedFace,
  person: PersonModel,
  tracking: Tracking,
  crops: np.ndarray,
  max_frames: int = 60,
) -> np.ndarray:
  """The mean photometric error that each vertex shows: l2 norm of the RGB difference.

  Args:
    system: decode and renderer; its networks are not used.
    person: without the leading dimension B.
    tracking: [F, ...] numpy.
    crops: [F, S, S, 3] uint8 RGB, what was tracked.
    max_frames: at most so many, spread over the clip.

  Returns:
    [V] float32, 0-255 as `photometric_255`; NaN where a vertex is never seen.
  """
  picked = spread(len(crops), max_frames)
  moved = Tracking(*(np.asarray(value)[picked] for value in tracking))
  count = system.template.num_vertices
  normals_of = VertexNormals(system.template.triangles, count)
  total, seen, done = np.zeros(count), np.zeros(count), 0
  for part in ClipRenderer(system)(person, moved):
    frames = slice(done, done + len(part.vertices))
    done = frames.stop
    chunk = Tracking(*(value[frames] for value in moved))
    camera_vertices = system.camera_vertices(part.vertices, chunk).numpy()
    normals = normals_of(camera_vertices).numpy()
    points = project(camera_vertices, system.camera).numpy()
    for i, picture in enumerate(to_float(crops[picked[frames]])):
      rendering = Rendering(*(value[i] for value in part.rendering))
      errors = 255 * np.linalg.norm(rendering.image - picture, axis=-1)
      at, inside = _pixels(points[i], system.camera)
      same = (rendering.normals[at] * normals[i]).sum(-1) > _SAME_SURFACE
      towards = (normals[i] * camera_vertices[i]).sum(-1) < 0  # it sits at the origin
      shows = inside & same & towards & (rendering.mask[at] > 0.5)
      # Pixel centres lie at .5, an array's at whole numbers.
      between = points[i].T[::-1] - 0.5
      total += shows * map_coordinates(errors, between, order=1, mode="nearest")
      seen += shows
  with np.errstate(invalid="ignore"):
    return (total / seen).astype(np.float32)


def _pixels(
  points: Tensor, camera: Camera
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
  """Rows and columns of the pixels nearest to points [V, 2]; which lie in them [V]."""
  wanted = np.floor(points).astype(int).T[::-1]
  most = np.array([[camera.height - 1], [camera.width - 1]])
  found = wanted.clip(0, most)
  return tuple(found), (found == wanted).all(axis=0)
