"""TrackNet and one person's geometry as TFLite files, for phones and small CPUs.

    <output_dir>/track_float16.tflite     pixels -> expression, rotation, translation,
                 track_int8.tflite                  light
                 geometry_float16.tflite  expression, rotation, translation
                 geometry_int8.tflite               -> vertices, landmarks
                 tflite.json              names, shapes, types, units

Each file has one signature, one picture a call and only TFLite's own operations. The
pixels are uint8 as a decoder gives them; what scales them is in the file. float16
halves the file, its arithmetic is float32. int8 quantises the convolutions of TrackNet,
weights and activations (Jacob et al., CVPR 2018), with ranges calibrated on crops of
records: inside, the picture is int8 at a scale of 1/255. Pooling, the fully connected
layers and the parameters stay float32: one scale for all raw outputs rounded a head's
distance to 4 mm, and cost 0.8 points of NME. geometry_int8 holds its displacements, and
rounds w, in 8 bits.
"""

import itertools
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tensor
from personalized_face.data import records
from personalized_face.data.record_format import decode_image
from personalized_face.export.files import write_bytes, write_json
from personalized_face.inference import tflite_file
from personalized_face.inference.person_decode import decode_function
from personalized_face.inference.tflite_decode import decode_inputs
from personalized_face.inference.track import person_geometry
from personalized_face.systems.personalized_face import PersonalizedFace

KINDS = ("float16", "int8")
CALIBRATION_FRAMES = 100

_TENSORS = {
  "pixels": "uint8 RGB, a square crop, row 0 at the top",
  "expression": "float32 w_1..w_K in [0, 1]",
  "rotation": "float32 Euler angles pitch, yaw, roll, radians",
  "translation": "float32 decimetres, camera space: x right, y up, looking down -z",
  "light": "float32 spherical-harmonics coefficients, camera space",
  "vertices": "float32 decimetres, camera space",
  "landmarks": "float32 pixels of the crop, x right, y down",
}


def export_tflite(
  system: PersonalizedFace,
  records_dir: str,
  output_dir: str,
  person: PersonModel | None = None,
) -> list[str]:
  """Writes the files above.

  Args:
    system: with trained networks.
    records_dir: of `prepare`; training frames of it calibrate int8.
    output_dir: made if missing.
    person: without the leading dimension B; None leaves the geometry files out.

  Returns:
    The paths written.

  Raises:
    UserError: no records there, crops of another size, or nothing can be written.
  """
  crops, _ = spread_frames(
    records_dir, "train", system.camera.height, CALIBRATION_FRAMES
  )
  files = {
    "track_float16": track_model(system),
    "track_int8": track_model(system, crops),
  }
  if person is not None:
    for kind in KINDS:
      files[f"geometry_{kind}"] = geometry_model(system, person, kind)
  paths = []
  for name, data in files.items():
    paths.append(os.path.join(output_dir, f"{name}.tflite"))
    write_bytes(paths[-1], data)
  described = {name: _describe(data) for name, data in files.items()}
  paths.append(os.path.join(output_dir, tflite_file.DESCRIPTION))
  write_json(paths[-1], {"tensors": _TENSORS, "files": described})
  return paths


def spread_frames(
  records_dir: str, split: str, size: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Crops of a split and their landmarks, spread over all its records.

  Args:
    records_dir: of `prepare`.
    split: "train" or "test".
    size: S that the crops must have, pixels.
    count: at most so many.

  Returns:
    Crops [F, S, S, 3] uint8 and landmarks [F, 68, 2], pixels of the crop.

  Raises:
    UserError: no records there, an empty split, or crops of another size.
  """
  info = records.read_info(records_dir)
  found = info["preparation"]["size"]
  if found != size:
    raise UserError(
      f"{records_dir} has crops of {found} pixels and the run takes {size}; name "
      "records that were prepared as the run's own."
    )
  frames = (
    pair
    for clip in records.read_clips(records_dir, split)
    for pair in zip(clip.images, clip.landmarks, strict=True)
  )
  step = max(-(-info["splits"][split]["frames"] // count), 1)
  images, landmarks = zip(*itertools.islice(frames, step // 2, None, step), strict=True)
  return np.stack([decode_image(image) for image in images]), np.stack(landmarks)


def track_model(system: PersonalizedFace, crops: np.ndarray | None = None) -> bytes:
  """TrackNet as a TFLite file.

  Args:
    system: with trained networks.
    crops: [F, S, S, 3] uint8 to calibrate int8 with; None makes a float16 file.
  """
  side = system.camera.height

  def track(pixels: Tensor) -> dict[str, Tensor]:
    images = tf.cast(pixels, tf.float32) / 255.0
    return system.track(images)._asdict()

  pixels = tf.TensorSpec([1, side, side, 3], tf.uint8, "pixels")
  weights = [weight.value for weight in system.track_net.variables]
  converter = _converter(track, weights, pixels=pixels)
  if crops is None:
    return _halved(converter)
  # Black and white are seen, whatever the crops show: the scale is then 1/255.
  ends = np.stack([np.full([side, side, 3], end, np.uint8) for end in (0, 255)])

  def examples() -> Iterator[list[np.ndarray]]:
    for crop in [*crops, *ends]:
      yield [crop[np.newaxis]]

  return _quantised(converter, examples, system.track_net.encoder.name)


def geometry_model(system: PersonalizedFace, person: PersonModel, kind: str) -> bytes:
  """Eq. 1 for one person, the head's pose and the camera as a TFLite file.

  Args:
    system: face model and camera; its networks are not used.
    person: without the leading dimension B.
    kind: one of KINDS.
  """
  decode = decode_function(system, person_geometry(system, person))
  marked = np.asarray(system.template.landmark_vertices)

  def mesh(expression: Tensor, rotation: Tensor, translation: Tensor) -> dict:
    vertices = decode(expression, rotation, translation)
    points = system.project_marked(tf.gather(vertices, marked, axis=1))
    return {"vertices": vertices, "landmarks": points}

  converter = _converter(mesh, [], **decode_inputs(system.template.num_blendshapes))
  return _halved(converter) if kind == "float16" else converter.convert()


def _converter(
  function: Callable, weights: list[tf.Variable], **inputs: tf.TensorSpec
) -> tf.lite.TFLiteConverter:
  """A converter of a function that uses variables of Keras.

  The module owns the plain variables: of Keras 3's own the converter would make
  operations that read what is not there.
  """
  module = tf.Module()
  module.weights = weights
  traced = tf.function(function, autograph=False).get_concrete_function(**inputs)
  converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], module)
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  return converter


def _halved(converter: tf.lite.TFLiteConverter) -> bytes:
  converter.target_spec.supported_types = [tf.float16]
  return converter.convert()


def _quantised(
  converter: tf.lite.TFLiteConverter, examples: Callable, encoder: str
) -> bytes:
  """int8 where a tensor's name has the encoder's in it, float32 elsewhere."""
  converter.representative_dataset = examples
  debug = tf.lite.experimental
  # The one public way to leave some layers alone; nothing is debugged.
  quantiser = debug.QuantizationDebugger(converter=converter, debug_dataset=examples)
  details = tf.lite.Interpreter(model_content=quantiser.calibrated_model)
  names = {detail["name"] for detail in details.get_tensor_details()}
  quantiser.options = debug.QuantizationDebugOptions(
    denylisted_nodes=[name for name in names if encoder not in name],
    denylisted_ops=["SPLIT_V"],  # its several outputs have no one name
  )
  return quantiser.get_nondebug_quantized_model()


def _describe(data: bytes) -> dict:
  """Size, checksum, and name, type and shape of every input and output."""
  run = tf.lite.Interpreter(model_content=data).get_signature_runner()
  sides = {"inputs": run.get_input_details(), "outputs": run.get_output_details()}
  whole = {"bytes": len(data), tflite_file.CHECKSUM: tflite_file.checksum(data)}
  return whole | {
    side: {
      name: {"type": np.dtype(found["dtype"]).name, "shape": found["shape"].tolist()}
      for name, found in sorted(details.items())
    }
    for side, details in sides.items()
  }
