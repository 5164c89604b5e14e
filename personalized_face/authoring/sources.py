"""What a template can be built from: ours, ICT-FaceKit, anybody's blendshapes."""

from collections.abc import Sequence

from personalized_face.authoring import ict_facekit
from personalized_face.authoring.cache import DEFAULT, load_template
from personalized_face.core.errors import UserError
from personalized_face.data.detector import MediaPipeDetector
from personalized_face.template.face_template import FaceTemplate

ICT_FACEKIT = "ict_facekit"
SOURCES = (DEFAULT, ICT_FACEKIT)


def build(
  source: str,
  input_dir: str | None = None,
  region: str = "narrow_face",
  identity_weights: Sequence[float] = (),
) -> FaceTemplate:
  """Builds a template.

  Args:
    source: one of SOURCES.
    input_dir: the folder that it is read from; none for the default.
    region: of ICT-FaceKit, see `ict_facekit.REGIONS`.
    identity_weights: of ICT-FaceKit's identity modes.

  Raises:
    UserError: what is in the folder cannot be used, or none was given.
  """
  if source == DEFAULT:
    if input_dir:
      raise UserError("The default template reads no folder; leave --input_dir out.")
    return load_template(DEFAULT)
  if not input_dir:
    raise UserError(f"--source={source} needs the folder to read; give --input_dir.")
  detector = MediaPipeDetector()
  try:
    return ict_facekit.build_ict_template(
      input_dir, detector.detect, region, identity_weights
    )
  finally:
    detector.close()
