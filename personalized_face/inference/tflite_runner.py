"""Runs the TFLite files of export/tflite.py on a CPU.

    crops uint8 --TFLiteTrackNet--> Tracking --TFLiteGeometry--> vertices, landmarks

One picture a call, as the files are made for one; a client in another language does the
same by the names and shapes of their one signature.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.inference import tflite_file
from personalized_face.systems.personalized_face import PersonalizedFace

_MAKE = "make it again with `pface_export_tflite` from this run"


def open_track_net(
  system: PersonalizedFace, path: str | None, num_threads: int = 2
) -> "TFLiteTrackNet | None":
  """What a command's --tflite asks for; None where it names nothing.

  Raises:
    UserError: not such a file, or it does not fit the system.
  """
  if path is None:
    return None
  blendshapes, size = system.template.num_blendshapes, system.camera.height
  return TFLiteTrackNet(path, blendshapes, size, num_threads)


class TFLiteTrackNet:
  """`PersonalizedFace.track` by an interpreter, for crops as they are read."""

  def __init__(
    self, path: str, num_blendshapes: int, crop_size: int, num_threads: int = 2
  ):
    """Loads and checks a file.

    Args:
      path: track_int8.tflite or track_float16.tflite.
      num_blendshapes: K of the template that it has to fit.
      crop_size: S, pixels.
      num_threads: of the interpreter.

    Raises:
      UserError: not such a file, or of another template or crop size.
    """
    self._run = _signature(path, num_threads)
    _require(
      path,
      self._run,
      {"pixels": (1, crop_size, crop_size, 3)},
      {"expression": (1, num_blendshapes), "rotation": (1, 3), "light": (1, 9, 3)},
    )

  def __call__(self, crops: np.ndarray) -> Tracking:
    """Tracks pictures [I, S, S, 3] uint8 RGB; returns the Tracking [I, ...], numpy."""
    frames = [self._run(pixels=crop[np.newaxis]) for crop in crops]
    return Tracking(
      *(np.concatenate([frame[name] for frame in frames]) for name in Tracking._fields)
    )


class TFLiteGeometry:
  """One person's meshes: Eq. 1, the head's pose and the camera, by an interpreter."""

  def __init__(self, path: str, num_blendshapes: int, num_threads: int = 1):
    """Loads and checks geometry_int8.tflite or geometry_float16.tflite.

    Args:
      path: of the file.
      num_blendshapes: K of the template that it has to fit.
      num_threads: of the interpreter. The product takes 0.3 ms: on a busy machine
        waking a second thread for half of it costs more than all of it.

    Raises:
      UserError: not such a file, or of another template.
    """
    self._run = _signature(path, num_threads)
    _require(path, self._run, {"expression": (1, num_blendshapes)}, {})

  def __call__(self, tracking: Tracking) -> tuple[np.ndarray, np.ndarray]:
    """The mesh of one frame.

    Args:
      tracking: [1, ...] numpy.

    Returns:
      Vertices [1, V, 3], decimetres in camera space, and landmarks [1, L, 2], pixels
      of the crop.
    """
    found = self._run(
      expression=tracking.expression,
      rotation=tracking.rotation,
      translation=tracking.translation,
    )
    return found["vertices"], found["landmarks"]


def _signature(path: str, num_threads: int):
  """The file's one signature, which keeps its interpreter alive."""
  unreadable = UserError(f"{path} is no readable TFLite file; {_MAKE}.")
  if not tflite_file.is_sound(path):
    raise unreadable
  try:
    interpreter = tf.lite.Interpreter(model_path=path, num_threads=num_threads)
    return interpreter.get_signature_runner()
  except (ValueError, RuntimeError, OSError) as error:
    raise unreadable from error


def _require(path: str, run, inputs: dict, outputs: dict) -> None:
  """Checks shapes of the named tensors."""
  for want, found in (
    (inputs, run.get_input_details()),
    (outputs, run.get_output_details()),
  ):
    for name, shape in want.items():
      given = tuple(found[name]["shape"].tolist()) if name in found else None
      if given != shape:
        raise UserError(
          f"{path} does not fit this run: {name} is {given}, not {shape}; {_MAKE}."
        )
