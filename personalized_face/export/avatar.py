"""A person as one animated `.glb`: mesh, texture, morph targets, tracked clip.

    scene - head (rotation and translation of the clip)
              face (mesh: skin, eyes, mouth; weights of the clip)
          - camera (that of the source picture)

Metres, y up, the face looks along +z, x to the person's left: our axes are glTF's. The
morph target of blendshape i is S_i - S_0 + F(A_i Delta_i) of Eq. 1, and the neutral is
S_0 + F(Delta_0), so a viewer's blend with our w_i is Eq. 1 itself. The K names stand in
`mesh.extras.targetNames`, as Blender, three.js and glTFast read them.

The head's translation is given from its mean in the clip, which puts an avatar at the
origin; the camera stands where it was, so the view through it is the source's.
The mesh is open at eyes and mouth. The strips that close it across the rims are two
more primitives over the same vertices, a painted eye and a dark mouth: they open and
close with lids and lips, and a program that has its own eyes drops them by name.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from personalized_face.core import topology
from personalized_face.core.types import PersonModel
from personalized_face.data.gltf import INDEX_BUFFER, VERTEX_BUFFER, GltfWriter
from personalized_face.export.avatar_textures import (
  eye_picture,
  pack_dynamic_albedo,
  png_bytes,
  to_pixels,
)
from personalized_face.export.head_pose import HeadPose, source_pose
from personalized_face.export.obj import METRES_PER_DECIMETRE
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion
from personalized_face.rendering.camera import Camera
from personalized_face.template.face_template import FaceTemplate

GENERATOR = "personalized_face"
# A displacement below 1 micrometre (and a normal that turns by less than 0.1 degrees)
# is stored as none: most of a local blendshape then needs no space.
_TINY_DM, _TINY_NORMAL = 1e-5, 2e-3
_SKIN_ROUGHNESS = 0.6
_MOUTH_COLOUR = (0.05, 0.01, 0.01, 1.0)  # linear, as glTF's factors are


class Avatar(NamedTuple):
  """What an avatar is made of: numpy, decimetres, the letters of core/types.py."""

  neutral: np.ndarray  # [V, 3] S_0 + F(Delta_0)
  displacements: np.ndarray  # [K, V, 3] S_i - S_0 + F(A_i Delta_i)
  static_albedo: np.ndarray  # [U, U, 3] sRGB values
  dynamic_albedo: np.ndarray  # [K, U, U, 3] A_i Delta_i^R


def make_avatar(template: FaceTemplate, person: PersonModel) -> Avatar:
  """Evaluates a person's part of Eq. 1 and 2.

  Args:
    template: that the person belongs to.
    person: without the leading dimension B.
  """
  face_model = FaceModel(template)
  batch = PersonModel(*(np.asarray(part, np.float32)[np.newaxis] for part in person))
  geometry = face_model.geometry(*face_model.vertex_offsets(batch))
  dynamic = batch.dynamic_albedo[0] * template.attention_masks[..., np.newaxis]
  return Avatar(
    geometry.neutral.numpy()[0],
    geometry.displacements.numpy()[0].transpose(1, 0, 2),
    batch.static_albedo[0],
    dynamic.transpose(2, 0, 1, 3),
  )


def avatar_glb(
  template: FaceTemplate,
  avatar: Avatar,
  motion: Motion | None = None,
  crop_camera: Camera | None = None,
  name: str = "face",
  normals: bool = True,
) -> bytes:
  """The `.glb` file of a person.

  Args:
    template: that the person belongs to.
    avatar: of `make_avatar`.
    motion: the clip that becomes the animation; None gives none.
    crop_camera: the system's; needed with a motion.
    name: of the mesh.
    normals: also stores how the normals change with each morph target; without them
      a viewer lights an expression as the neutral face, or computes its own.
  """
  writer = GltfWriter(GENERATOR)
  names = list(template.blendshape_names)
  mesh = writer.add(
    "meshes",
    {
      "name": name,
      "primitives": _primitives(writer, template, avatar, normals),
      "weights": [0.0] * len(names),
      "extras": {"targetNames": names},
    },
  )
  face = writer.add("nodes", {"name": name, "mesh": mesh})
  head = writer.add("nodes", {"name": "head", "children": [face]})
  roots = [head]
  if motion is not None:
    roots.append(_add_clip(writer, head, face, motion, crop_camera))
  writer.document |= {"scene": 0, "scenes": [{"name": name, "nodes": roots}]}
  writer.document["asset"]["extras"] = {
    "template": {"name": template.name, "hash": template.hash},
    "licence": template.licence,
  }
  return writer.to_bytes()


def add_morph_targets(
  writer: GltfWriter,
  neutral: np.ndarray,
  displacements: np.ndarray,
  triangles: np.ndarray,
  normals: bool = True,
) -> tuple[dict[str, int], list[dict[str, int]]]:
  """Stores a mesh's vertices and what its blendshapes add to them.

  Args:
    writer: gets the accessors.
    neutral: [V, 3] decimetres.
    displacements: [K, V, 3] decimetres.
    triangles: [T, 3], for the normals.
    normals: see `avatar_glb`.

  Returns:
    The `attributes` (POSITION, NORMAL) and `targets` of a primitive.
  """
  of = topology.VertexNormals(triangles, len(neutral))
  base = _unit(of(neutral).numpy())
  attributes = {
    "POSITION": writer.accessor(_metres(neutral), VERTEX_BUFFER, bounds=True),
    "NORMAL": writer.accessor(base, VERTEX_BUFFER),
  }
  targets = []
  for displacement in displacements:
    moved = np.abs(displacement).max(axis=1, keepdims=True) >= _TINY_DM
    kept = _metres(np.where(moved, displacement, 0))
    target = {"POSITION": writer.accessor(kept, VERTEX_BUFFER, True, sparse=True)}
    if normals:
      turned = of(neutral + displacement).numpy() - base
      turned[np.abs(turned).max(axis=1) < _TINY_NORMAL] = 0
      target["NORMAL"] = writer.accessor(turned, VERTEX_BUFFER, sparse=True)
    targets.append(target)
  return attributes, targets


def _primitives(
  writer: GltfWriter, template: FaceTemplate, avatar: Avatar, normals: bool
) -> list[dict]:
  """Skin, eyes and mouth; they share vertices and morph targets."""
  attributes, targets = add_morph_targets(
    writer, avatar.neutral, avatar.displacements, template.triangles, normals
  )
  skin_uv = writer.accessor(template.uv, VERTEX_BUFFER)
  skin = {
    "attributes": attributes | {"TEXCOORD_0": skin_uv},
    "indices": _indices(writer, template.triangles),
    "material": _skin(writer, avatar),
    "targets": targets,
  }
  primitives = [skin]
  strips = close_holes(template)
  for triangles, material in ((strips.mouth, _mouth), (strips.eyes, _eyes)):
    if not len(triangles):
      continue
    own = {}
    if material == _eyes:
      own["TEXCOORD_0"] = writer.accessor(strips.eye_uv, VERTEX_BUFFER)
    primitives.append(
      {
        "attributes": attributes | own,
        "indices": _indices(writer, triangles),
        "material": material(writer),
        "targets": targets,
      }
    )
  return primitives


class Strips(NamedTuple):
  """What closes a mesh at mouth and eyes, over its own vertices."""

  mouth: np.ndarray  # [E, 3]
  eyes: np.ndarray  # [E', 3]
  eye_uv: np.ndarray  # [V, 2] float32 in `eye_picture`, where a vertex is an eye's


def close_holes(template: FaceTemplate) -> Strips:
  """The strips across the rims, those of the mouth apart; empty of a closed mesh."""
  holes = hole_components(template)
  eye_uv = np.zeros_like(template.uv)
  for hole in holes[1:]:
    eye_uv[np.unique(hole)] = _planar_uv(template.vertices[np.unique(hole)])
  mouth, eyes = (
    np.concatenate([np.zeros([0, 3], np.int32), *part])
    for part in (holes[:1], holes[1:])
  )
  return Strips(mouth, eyes, eye_uv)


def hole_components(template: FaceTemplate) -> list[np.ndarray]:
  """The strips that close the mesh: the mouth's [E, 3] first, then the eyes'.

  The mouth is the lowest of them.
  """
  strips = template.hole_triangles
  if not len(strips):
    return []
  graph = topology.adjacency(strips, template.num_vertices)
  labels = connected_components(graph, directed=False)[1][strips[:, 0]]
  parts = [strips[labels == label] for label in np.unique(labels)]
  return sorted(parts, key=lambda part: template.vertices[part.ravel(), 1].mean())


def _planar_uv(points: np.ndarray) -> np.ndarray:
  """A rim [P, 3] seen from the front, its corners at u = 0 and 1, square texels."""
  low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
  place = (points[:, :2] - (low + high) / 2) / (high[0] - low[0])
  return (place * [1, -1] + 0.5).astype(np.float32)


def _skin(writer: GltfWriter, avatar: Avatar) -> int:
  albedo = writer.texture(png_bytes(to_pixels(avatar.static_albedo)), "static_albedo")
  atlas = pack_dynamic_albedo(avatar.dynamic_albedo)
  dynamic = writer.texture(png_bytes(atlas.pixels), "dynamic_albedo")
  material = _material("skin", _SKIN_ROUGHNESS)
  material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": albedo}
  # The convention is that of avatar_textures.py; readers find it here.
  material["extras"] = {
    "dynamicAlbedo": {
      "texture": dynamic,
      "columns": atlas.columns,
      "scale": atlas.scale,
      "formula": "sRGB albedo = static + sum_i weight_i * (2 * tile_i - 1) * scale",
    }
  }
  return writer.add("materials", material)


def _eyes(writer: GltfWriter) -> int:
  material = _material("eyes", 0.2)
  texture = writer.texture(png_bytes(eye_picture()), "eye")
  material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": texture}
  return writer.add("materials", material)


def _mouth(writer: GltfWriter) -> int:
  material = _material("mouth", 0.9)
  material["pbrMetallicRoughness"]["baseColorFactor"] = list(_MOUTH_COLOUR)
  return writer.add("materials", material)


def _material(name: str, roughness: float) -> dict:
  # The strips' winding differs between rims; a face is seen from outside only.
  return {
    "name": name,
    "doubleSided": name != "skin",
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": roughness},
  }


def _add_clip(
  writer: GltfWriter, head: int, face: int, motion: Motion, crop_camera: Camera
) -> int:
  """Adds the animation; returns the camera's node."""
  pose = source_pose(motion, crop_camera)
  centre = pose.translations.mean(axis=0)
  faces = {face: np.asarray(motion.tracking.expression)}
  add_animation(writer, motion.times, faces, head, pose, centre)
  return writer.add(
    "nodes",
    {
      "name": "camera",
      "camera": _camera(writer, pose.camera),
      "translation": (-centre * METRES_PER_DECIMETRE).tolist(),
    },
  )


def add_animation(
  writer: GltfWriter,
  times: np.ndarray,
  weights: Mapping[int, np.ndarray],
  head: int | None = None,
  pose: HeadPose | None = None,
  centre: np.ndarray | None = None,
) -> None:
  """Adds the animation "clip": weights of nodes, and the pose of another.

  Args:
    writer: gets it.
    times: [F] seconds, increasing; the first becomes 0.
    weights: node -> [F, K], of its mesh's morph targets.
    head: the node that turns and moves; None: none does.
    pose: of the head.
    centre: [3] decimetres, subtracted from the pose's translations.
  """
  seconds = (np.asarray(times) - times[0]).astype(np.float32)
  clock = writer.accessor(seconds, bounds=True)
  tracks = [
    (node, "weights", np.asarray(values, np.float32).reshape(-1))
    for node, values in weights.items()
  ]
  if head is not None:
    quaternions = _continuous(pose.rotations.as_quat())  # x y z w, as glTF's
    tracks.append((head, "rotation", quaternions.astype(np.float32)))
    tracks.append((head, "translation", _metres(pose.translations - centre)))
  samplers, channels = [], []
  for node, path, values in tracks:
    channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
    samplers.append(
      {"input": clock, "output": writer.accessor(values), "interpolation": "LINEAR"}
    )
  writer.add("animations", {"name": "clip", "samplers": samplers, "channels": channels})


def _camera(writer: GltfWriter, camera: Camera) -> int:
  yfov = 2 * np.arctan(camera.height / 2 / camera.focal_pixels)
  perspective = {
    "yfov": float(yfov),
    "aspectRatio": camera.width / camera.height,
    "znear": camera.near * METRES_PER_DECIMETRE,
    "zfar": 100.0,
  }
  return writer.add(
    "cameras", {"name": "source", "type": "perspective", "perspective": perspective}
  )


def _continuous(quaternions: np.ndarray) -> np.ndarray:
  """q and -q are one rotation; takes of each the one nearer to the frame before."""
  dots = (quaternions[1:] * quaternions[:-1]).sum(axis=1)
  signs = np.cumprod(np.concatenate([[1.0], np.where(dots < 0, -1.0, 1.0)]))
  return quaternions * signs[:, np.newaxis]


def _indices(writer: GltfWriter, triangles: np.ndarray) -> int:
  # 65535 restarts a strip in some programs and is never an index.
  dtype = np.uint16 if triangles.max() < 65535 else np.uint32
  return writer.accessor(triangles.ravel().astype(dtype), INDEX_BUFFER)


def _unit(normals: np.ndarray) -> np.ndarray:
  """A vertex in no triangle of the surface gets +z, since glTF wants unit lengths."""
  lost = np.linalg.norm(normals, axis=1) < 0.5
  return np.where(lost[:, np.newaxis], np.float32([0, 0, 1]), normals)


def _metres(decimetres: np.ndarray) -> np.ndarray:
  return (np.asarray(decimetres) * METRES_PER_DECIMETRE).astype(np.float32)
