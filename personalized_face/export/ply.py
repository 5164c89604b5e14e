"""Stanford PLY with a colour at each vertex, for viewers that know no textures.

Binary little-endian; metres, y up, right-handed, as export/obj.py.
"""

import numpy as np

from personalized_face.export.files import replacing
from personalized_face.export.obj import METRES_PER_DECIMETRE

_VERTEX = np.dtype([("place", "<f4", 3), ("colour", "u1", 3)])
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
_HEADER = """ply
format binary_little_endian 1.0
comment unit: metre
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {triangles}
property list uchar int vertex_indices
end_header
"""


def write_ply(
  path: str, vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray
) -> None:
  """Writes a coloured mesh.

  Args:
    path: of the file; its folder is made if need be.
    vertices: [V, 3] decimetres.
    triangles: [T, 3] int, counter-clockwise seen from outside.
    colours: [V, 3] RGB in [0, 1], clamped; the values of a picture (sRGB).
  """
  points = np.zeros(len(vertices), _VERTEX)
  points["place"] = np.asarray(vertices) * METRES_PER_DECIMETRE
  points["colour"] = np.round(np.clip(colours, 0, 1) * 255)
  faces = np.zeros(len(triangles), _FACE)
  faces["count"], faces["corners"] = 3, triangles
  header = _HEADER.format(vertices=len(points), triangles=len(faces))
  with replacing(path) as temporary:
    with open(temporary, "wb") as file:
      file.write(header.encode() + points.tobytes() + faces.tobytes())
