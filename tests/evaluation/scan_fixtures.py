"""Small faces as scans: a bumpy patch of 160 mm, and files of it as published."""

import numpy as np
from PIL import Image

from personalized_face.evaluation.meshes import Mesh

# Vertices of `face` that stand for iBUG points; far apart, and no symmetric set.
LANDMARKS = {30: 144, 36: 37, 45: 49, 48: 208, 54: 220, 8: 263}


def face(side=17, tilt=0.0) -> Mesh:
  """A hill with a nose, side x side vertices, millimetres."""
  x, y = np.meshgrid(np.linspace(-80, 80, side), np.linspace(80, -80, side))
  z = 40 * np.cos(x / 60) * np.cos(y / 70) + 25 * np.exp(-(x**2 + y**2) / 400)
  z = z + 6 * np.sin(x / 17 + tilt) * np.cos(y / 23)
  vertices = np.stack([x, y, z], -1).reshape(-1, 3)
  corner = np.arange(side * (side - 1)).reshape(side - 1, side)[:, :-1].ravel()
  lower = np.stack([corner, corner + side, corner + 1], -1)
  upper = np.stack([corner + 1, corner + side, corner + side + 1], -1)
  return Mesh(vertices, np.concatenate([lower, upper]))


def numbers(values):
  return " ".join(f"{value:.9f}" for value in values)


def write_picture(path, size=(48, 48), level=90):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.full([*size, 3], level, np.uint8)).save(path)


def write_obj(path, mesh, scale=1.0):
  path.parent.mkdir(parents=True, exist_ok=True)
  lines = ["v " + numbers(v) for v in mesh.vertices * scale]
  lines += ["vt 0 0", *(f"f {a}/1 {b}/1 {c}/1" for a, b, c in mesh.triangles + 1)]
  path.write_text("\n".join(lines))


def write_wrl(path, mesh):
  path.parent.mkdir(parents=True, exist_ok=True)
  points = ",\n".join(numbers(v) for v in mesh.vertices)
  faces = ",\n".join(f"{a}, {b}, {c}, -1" for a, b, c in mesh.triangles)
  path.write_text(
    "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet {\n coord Coordinate { point [\n"
    f"{points}\n] }}\n coordIndex [\n{faces}\n] }} }}\n"
  )


def write_landmarks(path, mesh):
  lines = ["# index x y z"]
  lines += [
    f"{i} %.9f %.9f %.9f" % tuple(mesh.vertices[v]) for i, v in LANDMARKS.items()
  ]
  path.write_text("\n".join(lines))
