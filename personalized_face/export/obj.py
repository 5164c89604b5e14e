"""Wavefront OBJ with its material and texture, for any 3D program.

Files are in metres, y up, right-handed (x to the person's left, z out of the face):
DESIGN section 3 with the decimetres converted. OBJ counts from 1, and its texture
coordinates start at the *bottom* left, so v is flipped here and nowhere else.
"""

import os

import numpy as np

from personalized_face.export.files import write_png, write_text

METRES_PER_DECIMETRE = 0.1


def write_obj(
  path: str,
  vertices: np.ndarray,
  triangles: np.ndarray,
  uv: np.ndarray | None = None,
  texture: np.ndarray | None = None,
  name: str = "face",
) -> None:
  """Writes PATH.obj, and with a texture PATH.mtl and PATH.png beside it.

  The OBJ file appears last and complete: where it is, its companions are.

  Args:
    path: ends in ".obj"; its folder is made if need be.
    vertices: [V, 3] decimetres.
    triangles: [T, 3] int, counter-clockwise seen from outside.
    uv: [V, 2] in [0, 1], (0, 0) at the top-left texel corner.
    texture: [U, U, 3] RGB in [0, 1] (clamped); needs uv.
    name: of the object inside the file.

  Raises:
    ValueError: a texture without uv, or another ending than ".obj".
  """
  stem, ending = os.path.splitext(path)
  if ending != ".obj" or (texture is not None and uv is None):
    raise ValueError(f"write_obj needs an .obj path, and uv for a texture: {path}")
  lines = [f"# unit: metre; {len(vertices)} vertices, {len(triangles)} triangles"]
  if texture is not None:
    material = os.path.basename(stem)
    pixels = np.round(np.clip(texture, 0.0, 1.0) * 255).astype(np.uint8)
    write_png(f"{stem}.png", pixels)
    write_text(f"{stem}.mtl", _material(material))
    lines += [f"mtllib {material}.mtl", f"usemtl {material}"]
  lines.append(f"o {name}")
  corners = np.asarray(triangles) + 1
  metres = np.asarray(vertices, np.float64) * METRES_PER_DECIMETRE
  lines.append(_lines("v %.7f %.7f %.7f", metres))
  if uv is None:
    lines.append(_lines("f %d %d %d", corners))
  else:
    lines.append(_lines("vt %.6f %.6f", np.asarray(uv, np.float64) * [1, -1] + [0, 1]))
    lines.append(_lines("f %d/%d %d/%d %d/%d", corners.repeat(2, axis=1)))
  write_text(path, "\n".join(lines) + "\n")


def _lines(pattern: str, rows: np.ndarray) -> str:
  """One line a row; a single `%` is ten times faster than one a line."""
  return "\n".join([pattern] * len(rows)) % tuple(rows.ravel().tolist())


def _material(name: str) -> str:
  # Ambient and diffuse white, no highlight: the texture is the albedo.
  return (
    f"newmtl {name}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\n"
    f"map_Ka {name}.png\nmap_Kd {name}.png\n"
  )
