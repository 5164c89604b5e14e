"""The system as a SavedModel that any TensorFlow process or model server loads.

    <output_dir>/<version>/saved_model.pb, variables/
                           assets.extra/meta.json      names, units, template, camera
                                        topology.npz   triangles, uv, landmark vertices
                                        config.gin     the run's configuration

Seven signatures, all batch dimensions free (B persons, N pictures of each, I pictures);
`serving_default` is `reconstruct`:

    model_face   images -> neutral, blendshapes, static_albedo, dynamic_albedo
    track        images -> expression, rotation, translation, light
    reconstruct  images -> vertices, picture, mask, landmarks
    retarget     all outputs of model_face and track, with leading [B] and [B, N]
                 -> vertices, picture, mask, landmarks

    model_face_bytes, track_bytes, reconstruct_bytes
                 the same with `image_bytes`, encoded JPEG or PNG crops as strings of
                 the images' leading dimensions; REST sends them as {"b64": ...}

Only stock TensorFlow operations and no `jit_compile`, which model servers refuse
(tensorflow/serving#1858), so the renderer is always the `xla` backend. Every person of
a batch is computed as if alone: ModelNet averages over N only, and batch normalisation
runs on its stored statistics.
"""

import os
import shutil

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonGeometry, Tensor, Tracking
from personalized_face.export.files import write_json, write_text
from personalized_face.export.serving_files import write_serving_files
from personalized_face.rendering.renderer import RendererLayer
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.checkpoints import CONFIG_FILE, load_system

# What the tensors mean, for whoever holds only the export.
DESCRIPTIONS = {
  "images": "RGB in [0, 1], square crops, row 0 at the top",
  "image_bytes": "encoded JPEG or PNG crops, square; resized where they must be",
  "neutral": "S_0 + F(Delta_0), [B, V, 3] decimetres, model space",
  "blendshapes": "displacements S_i - S_0 + F(A_i Delta_i), [B, K, V, 3] decimetres",
  "static_albedo": "R_0^t + Delta_0^R, [B, U, U, 3] RGB, row 0 at the top of uv",
  "dynamic_albedo": "A_i Delta_i^R, [B, K, U, U, 3] RGB",
  "expression": "w_1..w_K in [0, 1]; a shape is neutral + sum of w_i blendshapes_i",
  "rotation": "Euler angles pitch, yaw, roll, radians; R_z(roll) R_y(yaw) R_x(pitch)",
  "translation": "decimetres, camera space: x right, y up, looking down -z",
  "light": "spherical-harmonics coefficients [9, 3], camera space",
  "vertices": "[B, N, V, 3] decimetres, model space, before the head's pose",
  "picture": "[B, N, H, W, 3] albedo times shading, 0 off the face; not clamped",
  "mask": "[B, N, H, W] 1 on the face; eyes and mouth are not part of it",
  "landmarks": "[B, N, 68, 2] pixels of the crop, x right, y down",
}


class ServedFace(tf.Module):
  """The four signatures over one system."""

  def __init__(self, system: PersonalizedFace):
    super().__init__(name="personalized_face")
    # Keras 3 exports each of its variables as a copy that signatures do not read: a
    # session (C, saved_model_cli, a model server) then finds them empty, although
    # tf.saved_model.load does not. So the module owns the plain variables, and the
    # system, in a function, is not seen by the export.
    self._weights = [weight.value for weight in system.variables]
    self._held = lambda: system
    template = system.template
    self._renderer = RendererLayer(
      template.triangles,
      template.hole_triangles,
      template.uv,
      np.ones([1, 1, 1], np.float32),  # nothing of the export reads a parsing map
      system.camera,
      backend="xla",
      jit_compile=False,
    )
    # A variable is stored once, a constant in each signature's graph.
    self._masks = tf.Variable(template.attention_masks, trainable=False, name="masks")

  @property
  def _system(self) -> PersonalizedFace:
    return self._held()

  def model_face(self, images: Tensor) -> dict[str, Tensor]:
    """[B, N, S, S, 3] -> the tensors of each of B persons."""
    person = self._system.model_face(images)
    offsets = self._system.face_model.vertex_offsets(person)
    geometry = self._system.face_model.geometry(*offsets)
    # Masked here (Eq. 2), so that a client needs no attention masks.
    dynamic = person.dynamic_albedo * self._masks[..., tf.newaxis]
    return {
      "neutral": geometry.neutral,
      "blendshapes": tf.transpose(geometry.displacements, [0, 2, 1, 3]),
      "static_albedo": person.static_albedo,
      "dynamic_albedo": tf.transpose(dynamic, [0, 3, 1, 2, 4]),
    }

  def track(self, images: Tensor) -> dict[str, Tensor]:
    """[I, S, S, 3] -> the motion of each picture."""
    return self._system.track(images)._asdict()

  def reconstruct(self, images: Tensor) -> dict[str, Tensor]:
    """[B, N, S, S, 3] -> the faces of B persons in N pictures each."""
    tracking = self._system.track_groups(images)
    return self.retarget(**self.model_face(images), **tracking._asdict())

  def retarget(
    self,
    neutral: Tensor,
    blendshapes: Tensor,
    static_albedo: Tensor,
    dynamic_albedo: Tensor,
    expression: Tensor,
    rotation: Tensor,
    translation: Tensor,
    light: Tensor,
  ) -> dict[str, Tensor]:
    """B persons moved by N frames each, their own or another's (Section 3.3)."""
    tracking = Tracking(expression, rotation, translation, light)
    geometry = PersonGeometry(neutral, tf.transpose(blendshapes, [0, 2, 1, 3]))
    vertices = self._system.face_model.shape(geometry, expression)  # Eq. 1
    changes = tf.einsum("bnk,bkuvc->bnuvc", expression, dynamic_albedo)
    albedo = static_albedo[:, tf.newaxis] + changes  # Eq. 2
    vertices_camera = self._system.camera_vertices(vertices, tracking)
    rendering = self._renderer(vertices_camera, albedo, light)
    return {
      "vertices": vertices,
      "picture": rendering.image,
      "mask": rendering.mask,
      "landmarks": self._system.project_landmarks(vertices_camera),
    }

  def decode(self, image_bytes: Tensor) -> Tensor:
    """Strings [...] of encoded crops -> images [..., S, S, 3]."""
    side = self._system.camera.height

    def one(encoded: Tensor) -> Tensor:
      picture = tf.io.decode_image(encoded, channels=3, expand_animations=False)
      picture = tf.image.convert_image_dtype(picture, tf.float32)
      # A crop of the right size comes out as it is, bit for bit.
      picture = tf.image.resize(picture, [side, side], antialias=True)
      return tf.ensure_shape(picture, [side, side, 3])

    flat = tf.reshape(image_bytes, [-1])
    images = tf.map_fn(one, flat, fn_output_signature=tf.float32)
    shape = tf.concat([tf.shape(image_bytes), [side, side, 3]], axis=0)
    return tf.reshape(images, shape)

  def model_face_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
    """[B, N] strings -> as `model_face`."""
    return self.model_face(self._grouped(image_bytes))

  def track_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
    """[I] strings -> as `track`."""
    side = self._system.camera.height
    return self.track(tf.ensure_shape(self.decode(image_bytes), [None, side, side, 3]))

  def reconstruct_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
    """[B, N] strings -> as `reconstruct`."""
    return self.reconstruct(self._grouped(image_bytes))

  def _grouped(self, image_bytes: Tensor) -> Tensor:
    side = self._system.camera.height
    return tf.ensure_shape(self.decode(image_bytes), [None, None, side, side, 3])

  def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """The traced signatures under the names they are served by."""
    side, template = self._system.camera.height, self._system.template
    vertices, shapes = template.num_vertices, template.num_blendshapes
    uv_side = template.uv_size

    def spec(name: str, *shape: int | None) -> tf.TensorSpec:
      return tf.TensorSpec(shape, tf.float32, name)

    def encoded(rank: int) -> tf.TensorSpec:
      return tf.TensorSpec([None] * rank, tf.string, "image_bytes")

    groups = spec("images", None, None, side, side, 3)
    person = {
      "neutral": spec("neutral", None, vertices, 3),
      "blendshapes": spec("blendshapes", None, shapes, vertices, 3),
      "static_albedo": spec("static_albedo", None, uv_side, uv_side, 3),
      "dynamic_albedo": spec("dynamic_albedo", None, shapes, uv_side, uv_side, 3),
    }
    motion = {
      "expression": spec("expression", None, None, shapes),
      "rotation": spec("rotation", None, None, 3),
      "translation": spec("translation", None, None, 3),
      "light": spec("light", None, None, 9, 3),
    }
    traced = {
      "model_face": _traced(self.model_face, images=groups),
      "track": _traced(self.track, images=spec("images", None, side, side, 3)),
      "reconstruct": _traced(self.reconstruct, images=groups),
      "retarget": _traced(self.retarget, **person, **motion),
      "model_face_bytes": _traced(self.model_face_bytes, image_bytes=encoded(2)),
      "track_bytes": _traced(self.track_bytes, image_bytes=encoded(1)),
      "reconstruct_bytes": _traced(self.reconstruct_bytes, image_bytes=encoded(2)),
    }
    return traced | {"serving_default": traced["reconstruct"]}


def export(
  system: PersonalizedFace, output_dir: str, version: int = 1, config: str = ""
) -> str:
  """Writes `<output_dir>/<version>`, complete or not at all.

  Args:
    system: with trained networks.
    output_dir: the model's folder, which a server watches.
    version: a positive integer that is not there yet.
    config: the run's operative gin configuration, kept with the export.

  Returns:
    The path written.

  Raises:
    UserError: the version is there already or not positive, or the folder cannot be
      written.
  """
  if version < 1:
    raise UserError(f"Version {version} is not a positive integer; give --version=1.")
  path = os.path.join(output_dir, str(version))
  if os.path.exists(path):
    raise UserError(
      f"{path} exists already and is not overwritten; give another --version, or "
      "remove it first."
    )
  # Not an integer, so a server that watches the folder ignores it.
  temporary = os.path.join(output_dir, f"unfinished-{version}-{os.getpid()}")
  try:
    os.makedirs(output_dir, exist_ok=True)  # fails here, not after the tracing
    served = ServedFace(system)
    tf.saved_model.save(served, temporary, signatures=served.signatures())
    _write_extras(system, os.path.join(temporary, "assets.extra"), config)
    write_serving_files(output_dir)
    os.rename(temporary, path)
  except (OSError, tf.errors.OpError) as error:
    reason = getattr(error, "strerror", None) or getattr(error, "message", error)
    raise UserError(
      f"{path} cannot be written ({reason}); check the folder and the space on the "
      "disk."
    ) from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
  return path


def export_run(run_dir: str, output_dir: str, version: int = 1) -> str:
  """`export` of a run folder's newest stage, with its configuration.

  Raises:
    UserError: as `load_system` and `export`.
  """
  system = load_system(run_dir)
  with open(os.path.join(run_dir, CONFIG_FILE), encoding="utf-8") as file:
    return export(system, output_dir, version, config=file.read())


def _traced(method, **specs: tf.TensorSpec):
  return tf.function(method, autograph=False).get_concrete_function(**specs)


def _write_extras(system: PersonalizedFace, folder: str, config: str) -> None:
  template = system.template
  os.makedirs(folder, exist_ok=True)
  meta = {
    "template": {
      "name": template.name,
      "hash": template.hash,
      "source": template.source,
      "licence": template.licence,
    },
    "blendshape_names": list(template.blendshape_names),
    "camera": system.camera._asdict(),
    "serving_default": "reconstruct",
    "tensors": DESCRIPTIONS,
  }
  write_json(os.path.join(folder, "meta.json"), meta)
  write_text(os.path.join(folder, "config.gin"), config)
  np.savez_compressed(
    os.path.join(folder, "topology.npz"),
    triangles=template.triangles,
    uv=template.uv,
    landmark_vertices=template.landmark_vertices,
  )
