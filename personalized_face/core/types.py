"""The containers that travel through the system, and the glossary of dimensions.

Dimensions, by letter, wherever a shape is written down:

  B  persons in a batch            K  expression blendshapes (56 by default)
  N  frames of one person          L  landmarks (68)
  V  vertices of the template      P  classes of a parsing map (8)
  T  triangles of the template     U  side of a UV map, texels (128)
  H, W  image rows and columns     I  images, the flattened B * N

Conventions (DESIGN section 3): images are float32 RGB in [0, 1], row 0 at the top,
pixel centres at .5; mesh space is right-handed, x to the person's left, y up, z out of
the face, in decimetres; triangles are counter-clockwise seen from outside; the camera
sits at the origin and looks down -z; UV (0, 0) is the top-left texel corner.
"""

from typing import Any, NamedTuple

# A tf.Tensor inside a graph, a numpy array at the file edges.
Tensor = Any

# Classes of a parsing map, in the order of the paper's list (Section 3.4, [29]);
# "background" is everything that is not face: hair, neck, ears, clothes, the room.
PARSING_CLASSES = (
  "background",
  "skin",
  "brows",
  "eyes",
  "nose",
  "upper_lip",
  "inner_mouth",
  "lower_lip",
)
NUM_PARSING_CLASSES = len(PARSING_CLASSES)  # P
NUM_LANDMARKS = 68  # L, iBUG order
NUM_CONTOUR = 17  # of them, the first: the jaw, which detectors place freely
NUM_LIGHT_COEFFICIENTS = 9  # spherical harmonics of orders 0 to 2, per channel


class Known(NamedTuple):
  """What is true of frames and persons, of people who were rendered."""

  expression: Tensor  # [B, N, K] w_1..w_K
  rotation: Tensor  # [B, N, 3, 3] of the head, in the crop's camera
  light: Tensor  # [B, N, 9, 3] spherical harmonics, the same
  neutral_correction: Tensor  # [B, M, M, 3] decimetres; M texels of the UV layout
  static_albedo: Tensor  # [B, M, M, 3] linear RGB


class Batch(NamedTuple):
  """N frames of each of B persons, with what the losses compare them to."""

  images: Tensor  # [B, N, H, W, 3] float32 RGB in [0, 1]
  landmarks: Tensor  # [B, N, L, 2] float32, pixels of the crop (x right, y down)
  parsing: Tensor  # [B, N, H, W] int32, index into PARSING_CLASSES
  truth: "Known | tuple[()]" = ()  # () where nobody knows it


class Tracking(NamedTuple):
  """Per-frame motion p_n = (w_n, R_n, t_n, gamma_n), Section 3.3 of the paper.

  `...` is [B, N] in training, [F] for the frames of one video.
  """

  expression: Tensor  # [..., K] w_1..w_K in [0, 1]; w_0 = 1 - sum is implied
  rotation: Tensor  # [..., 3] Euler angles (pitch, yaw, roll), radians
  translation: Tensor  # [..., 3] decimetres, camera space (z about -10)
  light: Tensor  # [..., 9, 3] spherical-harmonics coefficients, camera space


class PersonModel(NamedTuple):
  """What is learned about one person: the corrections of Eq. 1 and Eq. 2.

  The blendshape maps are stored before the attention masks A_i; face_model applies
  them. Leading dimension B in a graph, absent in a `person.npz`.
  """

  neutral_correction: Tensor  # [B, U, U, 3] Delta_0^S, decimetres
  blendshape_corrections: Tensor  # [B, U, U, K, 3] Delta_i^S, decimetres
  static_albedo: Tensor  # [B, U, U, 3] R_0^t + Delta_0^R, linear RGB
  dynamic_albedo: Tensor  # [B, U, U, K, 3] Delta_i^R, linear RGB


class PersonGeometry(NamedTuple):
  """A PersonModel's shape part sampled at the vertices, F() already applied."""

  neutral: Tensor  # [B, V, 3] S_0 + F(Delta_0^S), decimetres, model space
  displacements: Tensor  # [B, V, K, 3] S_i - S_0 + F(A_i Delta_i^S)


class PersonAlbedo(NamedTuple):
  """A PersonModel's albedo part with its attention masks applied."""

  static: Tensor  # [B, U, U, 3] R_0^t + Delta_0^R, linear RGB
  dynamic: Tensor  # [B, U * U, K, 3] A_i Delta_i^R


class FaceMesh(NamedTuple):
  """One textured face per frame, in model space (before the head's pose)."""

  vertices: Tensor  # [B, N, V, 3] S of Eq. 1, decimetres
  albedo: Tensor  # [B, N, U, U, 3] R of Eq. 2, linear RGB


class Framebuffer(NamedTuple):
  """What a rasterizer says of each pixel."""

  triangle_ids: Tensor  # [I, H, W] int32, -1 = nothing
  barycentrics: Tensor  # [I, H, W, 3] perspective-correct, sum 1; 0 where no triangle


class Rendering(NamedTuple):
  """A rendered face. All float32 except where said; mask excludes eyes and mouth."""

  image: Tensor  # [B, N, H, W, 3] albedo * shading, 0 off the mesh; not clamped
  mask: Tensor  # [B, N, H, W] 1 on the face surface M_n, else 0
  albedo: Tensor  # [B, N, H, W, 3] unlit
  shading: Tensor  # [B, N, H, W, 3] irradiance; what the lighting column shows
  normals: Tensor  # [B, N, H, W, 3] camera space, unit length
  parsing: Tensor  # [B, N, H, W, P] class probabilities, background off the mesh


class Outputs(NamedTuple):
  """Everything that the losses, the metrics and the pictures need of one step."""

  tracking: Tracking
  person: PersonModel
  geometry: PersonGeometry
  neutral_offsets: Tensor  # [B, V, 3] F(Delta_0^S)
  blendshape_offsets: Tensor  # [B, V, K, 3] F(A_i Delta_i^S)
  mesh: FaceMesh
  landmarks: Tensor  # [B, N, L, 2] projected, pixels of the crop
  rendering: Rendering
