"""The paper's Fig. 1: ModelNet and TrackNet, the face model, the renderer.

    images [B, N, H, W, 3] --ModelNet--> PersonModel   (what the person looks like)
                           --TrackNet--> Tracking      (what each frame does)
    PersonModel, Tracking  --Eq. 1, 2--> FaceMesh --pose, camera, light--> Rendering

Losses, metrics, pictures, inference and export all start from the `Outputs` of here.
"""

import gin
import keras
import numpy as np
import tensorflow as tf

from personalized_face.core import rotation
from personalized_face.core.errors import UserError
from personalized_face.core.seen_landmarks import seen_landmarks
from personalized_face.core.types import (
  FaceMesh,
  Outputs,
  PersonModel,
  Tensor,
  Tracking,
)
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.parameters import person_from_raw, tracking_from_raw
from personalized_face.networks.mixed_precision import networks_in
from personalized_face.networks.model_net import ModelNet
from personalized_face.networks.track_net import TrackNet
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.renderer import RendererLayer
from personalized_face.template.face_template import FaceTemplate

# Which corrections ModelNet makes: rows A (none) to C (all) of the paper's Table 1, and
# Fig. 3c (neutral: the identity's alone, Delta_0).
CORRECTIONS = ("none", "neutral", "all")


class PersonalizedFace(keras.Model):
  """Networks, face model and renderer for one template and one crop size.

  Attributes:
    template: the FaceTemplate everything is expressed in.
    camera: the Camera of the crops.
    model_net, track_net: the two networks; None where only `reconstruct` is needed.
    mean_albedo: [U, U, 3] variable R_0^t of Eq. 2, starting at the template's R_0; in
      units of `mean_albedo_scale` of linear RGB.
    face_model, renderer: Eq. 1 and 2; mesh to picture. No variables.
  """

  def __init__(
    self,
    template: FaceTemplate,
    camera: Camera,
    model_net: ModelNet | None,
    track_net: TrackNet | None,
    shape_corrections: str = "all",
    albedo_corrections: str = "all",
    rasterizer: str = "auto",
    jit_compile_renderer: bool = False,
    albedo_scale: float = 0.1,
    mean_albedo_scale: float = 1.0,
    antialias: bool = False,
    whole_head_contour: bool = False,
  ):
    super().__init__(name="personalized_face")
    for value in (shape_corrections, albedo_corrections):
      if value not in CORRECTIONS:
        raise ValueError(f"corrections are one of {CORRECTIONS}, not {value!r}")
    self.template = template
    self.camera = camera
    self.model_net = model_net
    self.track_net = track_net
    self.shape_corrections = shape_corrections
    self._albedo_scale = albedo_scale
    self._mean_albedo_scale = mean_albedo_scale
    self.albedo_corrections = albedo_corrections
    self.mean_albedo = self.add_weight(
      name="mean_albedo",
      shape=template.mean_albedo.shape,
      initializer=keras.initializers.Constant(0.0),
    )
    self.mean_albedo.assign(template.mean_albedo / mean_albedo_scale)
    self.face_model = FaceModel(template)
    self.renderer = RendererLayer(
      triangles=template.triangles,
      hole_triangles=template.hole_triangles,
      uv=template.uv,
      label_map=template.parsing_map,
      camera=camera,
      backend=rasterizer,
      jit_compile=jit_compile_renderer,
      antialias=antialias,
    )
    self._landmark_vertices = np.asarray(template.landmark_vertices)
    self._whole_head_contour = whole_head_contour

  @property
  def is_prior(self) -> bool:
    """Whether this is the bare 3DMM prior, row A of Table 1."""
    return self.shape_corrections == self.albedo_corrections == "none"

  @property
  def linear_mean_albedo(self) -> Tensor:
    """[U, U, 3] R_0^t in linear RGB, whatever the unit of its variable."""
    return self._mean_albedo_scale * self.mean_albedo

  def model_face(self, images: Tensor, training: bool = False) -> PersonModel:
    """ModelNet: N pictures of each of B persons to their corrections.

    Args:
      images: [B, N, H, W, 3] float32 in [0, 1]; any N >= 1.
      training: whether batch normalisation uses the batch's statistics.

    Raises:
      UserError: the system was built without networks.
    """
    if self.is_prior:
      return self.face_model.template_person(tf.shape(images)[0])
    _require_network(self.model_net)
    raw = self.model_net(images, training=training)
    person = person_from_raw(
      raw, self.linear_mean_albedo, albedo_scale=self._albedo_scale
    )
    # The switched-off corrections of an ablation are exact zeros.
    return person._replace(
      neutral_correction=_keep(person.neutral_correction, self.shape_corrections, 1),
      blendshape_corrections=_keep(
        person.blendshape_corrections, self.shape_corrections, 2
      ),
      static_albedo=person.static_albedo
      if self.albedo_corrections != "none"
      else tf.zeros_like(person.static_albedo) + self.template.mean_albedo,
      dynamic_albedo=_keep(person.dynamic_albedo, self.albedo_corrections, 2),
    )

  def track(self, images: Tensor, training: bool = False) -> Tracking:
    """TrackNet: [I, H, W, 3] float32 in [0, 1] to the Tracking [I, ...] of each.

    Raises:
      UserError: the system was built without networks.
    """
    _require_network(self.track_net)
    raw = self.track_net(images, training=training)
    return tracking_from_raw(raw, self.template.num_blendshapes)

  def camera_vertices(self, vertices: Tensor, tracking: Tracking) -> Tensor:
    """Head pose: S~_n = R_n S_n + t_n (Section 3.3), [B, N, V, 3] camera space."""
    return rotation.transform(vertices, tracking.rotation, tracking.translation)

  def project_landmarks(self, vertices_camera: Tensor) -> Tensor:
    """The 68 marked vertices on the picture, [B, N, V, 3] -> [B, N, L, 2] pixels."""
    marked = tf.gather(vertices_camera, self._landmark_vertices, axis=-2)
    return self.project_marked(marked)

  def project_marked(self, points_camera: Tensor) -> Tensor:
    """The same of the marked vertices alone, [..., L, 3] -> [..., L, 2] pixels."""
    if self._whole_head_contour:
      points_camera = seen_landmarks(points_camera, self.template.landmark_offsets)
    return project(points_camera, self.camera)

  def reconstruct(self, person: PersonModel, tracking: Tracking) -> Outputs:
    """Combines who it is with what it does: Eq. 1, Eq. 2, pose, camera and renderer.

    Args:
      person: leading dimension B.
      tracking: leading dimensions [B, N]. From another person's pictures, this is
        the paper's retargeting.
    """
    neutral_offsets, blendshape_offsets = self.face_model.vertex_offsets(person)
    albedo = self.face_model.albedo(person, tracking.expression)
    return self._render(person, tracking, neutral_offsets, blendshape_offsets, albedo)

  def reconstruct_prior(self, tracking: Tracking) -> Outputs:
    """`reconstruct` for the bare template with R_0^t, without sampling zero maps."""
    persons = tf.shape(tracking.expression)[0]
    frames = tf.shape(tracking.expression)[1]
    count, num = self.template.num_vertices, self.template.num_blendshapes
    albedo = tf.broadcast_to(
      self.linear_mean_albedo,
      tf.concat([[persons, frames], self.template.mean_albedo.shape], axis=0),
    )
    return self._render(
      self.face_model.template_person(persons),
      tracking,
      tf.zeros([persons, count, 3]),
      tf.zeros([persons, count, num, 3]),
      albedo,
    )

  def call(
    self,
    images: Tensor,
    training: bool = False,
    train_track_net: bool | None = None,
    train_model_net: bool | None = None,
    corrections: bool = True,
  ) -> Outputs:
    """Both networks on the same pictures: [B, N, H, W, 3] to a full reconstruction.

    Args:
      images: float32 in [0, 1].
      training: batch statistics in both networks, unless said apart for one of them
        (`train_track_net`, `train_model_net`: stage 2 holds TrackNet still).
      corrections: False leaves ModelNet out, and shows the template.
    """
    track_training = training if train_track_net is None else train_track_net
    tracking = self.track_groups(images, training=track_training)
    if self.is_prior or not corrections:
      return self.reconstruct_prior(tracking)
    model_training = training if train_model_net is None else train_model_net
    return self.reconstruct(self.model_face(images, model_training), tracking)

  def track_groups(self, images: Tensor, training: bool = False) -> Tracking:
    """`track` for pictures in groups: [B, N, H, W, 3] to a Tracking [B, N, ...]."""
    groups = tf.shape(images)[:2]
    flat = tf.reshape(images, [-1, *images.shape[2:]])
    tracking = self.track(flat, training=training)
    return Tracking(*(_unflatten(value, groups, images.shape) for value in tracking))

  def _render(
    self,
    person: PersonModel,
    tracking: Tracking,
    neutral_offsets: Tensor,
    blendshape_offsets: Tensor,
    albedo: Tensor,
  ) -> Outputs:
    geometry = self.face_model.geometry(neutral_offsets, blendshape_offsets)
    vertices = self.face_model.shape(geometry, tracking.expression)
    vertices_camera = self.camera_vertices(vertices, tracking)
    return Outputs(
      tracking=tracking,
      person=person,
      geometry=geometry,
      neutral_offsets=neutral_offsets,
      blendshape_offsets=blendshape_offsets,
      mesh=FaceMesh(vertices=vertices, albedo=albedo),
      landmarks=self.project_landmarks(vertices_camera),
      rendering=self.renderer(vertices_camera, albedo, tracking.light),
    )


def _require_network(network: keras.Model | None) -> None:
  if network is None:
    raise UserError(
      "Pictures need the networks of a trained run, but this is a template alone; give "
      "a run with --run_dir, or have `pface_personalize` track the clip and give its "
      "motion.npz and person.npz."
    )


def _keep(corrections: Tensor, setting: str, level: int) -> Tensor:
  """The corrections if the setting reaches their level (1 identity, 2 expression)."""
  if CORRECTIONS.index(setting) >= level:
    return corrections
  return tf.zeros_like(corrections)


def _unflatten(value: Tensor, groups: Tensor, static_shape: tf.TensorShape) -> Tensor:
  """[B * N, ...] -> [B, N, ...], static where B and N are."""
  value_shape = value.shape[1:]
  value = tf.reshape(value, tf.concat([groups, value_shape], axis=0))
  return tf.ensure_shape(value, [*static_shape[:2], *value_shape])


@gin.configurable(module="systems")
def build_system(
  template: FaceTemplate,
  image_size: int = 224,
  focal_pixels_224: float = 1015.0,
  model_net_width: float = 1.0,
  track_net_width: float = 1.0,
  track_net_hidden: int = 256,
  shape_corrections: str = "all",
  albedo_corrections: str = "all",
  rasterizer: str = "auto",
  jit_compile_renderer: bool = False,
  albedo_scale: float = 0.1,
  mean_albedo_scale: float = 1.0,
  antialias: bool = False,
  precision: str = "float32",
  whole_head_contour: bool = False,
) -> PersonalizedFace:
  """Builds the system and all its variables.

  Args:
    template: the face prior; its blendshapes and UV size give the networks theirs.
    image_size: side of the square crops, pixels.
    focal_pixels_224: focal length for a 224 px crop (Deng et al. 2019), scaled.
    model_net_width, track_net_width: multiply the channels; 1 is the paper. At least
      0.25 for crops of more than 112 pixels.
    track_net_hidden: the fully connected layer, which the paper leaves open.
    shape_corrections, albedo_corrections: one of CORRECTIONS.
    rasterizer: backend, see rendering/rasterize.py.
    jit_compile_renderer: see RendererLayer; exports never contain it.
    albedo_scale: linear RGB per raw unit of ModelNet's albedo heads.
    mean_albedo_scale: linear RGB per unit of the variable R_0^t. Adam moves a texel by
      about the learning rate times this in a step.
    antialias: outlines with a gradient, see RendererLayer; the paper's have none.
    precision: of the networks' arithmetic: "float32", or on a GPU "mixed_bfloat16" or
      "mixed_float16" (with a Stage.loss_scale). Weights and outputs stay float32.
    whole_head_contour: whether landmarks are compared where the detector sees them on
      pictures of whole heads (core/seen_landmarks.py), the jaw's contour above all, not
      at their vertices, as in the paper.

  Raises:
    UserError: networks so narrow that TensorFlow crashes on them.
  """
  # TensorFlow 2.19's oneDNN convolutions corrupt memory on a CPU at 8 channels and 224
  # pixels (no crash with TF_ENABLE_ONEDNN_OPTS=0, nor at 16 channels).
  if min(model_net_width, track_net_width) < 0.25 and image_size > 112:
    raise UserError(
      "Networks narrower than 0.25 crash TensorFlow at crops of more than 112 pixels; "
      "set build_system.model_net_width and track_net_width to at least 0.25."
    )
  count, uv_size = template.num_blendshapes, template.uv_size
  with networks_in(precision):
    model_net = ModelNet(count, width=model_net_width, uv_size=uv_size)
    track_net = TrackNet(count, width=track_net_width, hidden=track_net_hidden)
  system = PersonalizedFace(
    template,
    Camera.for_crop(image_size, focal_pixels_224),
    model_net,
    track_net,
    shape_corrections=shape_corrections,
    albedo_corrections=albedo_corrections,
    rasterizer=rasterizer,
    jit_compile_renderer=jit_compile_renderer,
    albedo_scale=albedo_scale,
    mean_albedo_scale=mean_albedo_scale,
    antialias=antialias,
    whole_head_contour=whole_head_contour,
  )
  blank = tf.zeros([1, 1, image_size, image_size, 3])
  system.model_net(blank)
  system.track_net(blank[0])
  system.built = True
  return system
