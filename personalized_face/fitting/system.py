"""The system of training without its networks: decode and renderer for a fit."""

import gin

from personalized_face import native_logs
from personalized_face.rendering.camera import Camera
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.template.face_template import FaceTemplate


@gin.configurable(module="fitting")
def build_fitting_system(
  template: FaceTemplate,
  image_size: int = 224,
  focal_pixels_224: float = 1015.0,
  rasterizer: str = "auto",
  jit_compile_renderer: bool = False,
  whole_head_contour: bool = True,
) -> PersonalizedFace:
  """Builds a PersonalizedFace that reconstructs but can predict nothing.

  Args:
    template: the face prior.
    image_size: side of the square crops, pixels.
    focal_pixels_224: focal length for a 224 px crop, scaled.
    rasterizer: backend, see rendering/rasterize.py.
    jit_compile_renderer: see RendererLayer.
    whole_head_contour: whether landmarks are compared where the detector sees them on
      pictures of whole heads (core/seen_landmarks.py), the jaw's contour above all, not
      at their vertices.
  """
  native_logs.start_xla()
  system = PersonalizedFace(
    template,
    Camera.for_crop(image_size, focal_pixels_224),
    model_net=None,
    track_net=None,
    rasterizer=rasterizer,
    jit_compile_renderer=jit_compile_renderer,
    whole_head_contour=whole_head_contour,
  )
  system.built = True
  return system
