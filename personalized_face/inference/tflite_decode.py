"""Eq. 1, the head's pose and the camera for one person, as TFLite computes them.

export/tflite.py writes it to a file for the whole mesh. `LandmarkDecoder` is made on
the spot, of the 68 marked vertices alone, for whoever tracks with an interpreter.
"""

import numpy as np
import tensorflow as tf

from personalized_face import native_logs
from personalized_face.core.types import PersonGeometry, Tensor, Tracking
from personalized_face.inference.person_decode import decode_function
from personalized_face.systems.personalized_face import PersonalizedFace


def decode_inputs(num_blendshapes: int) -> dict[str, tf.TensorSpec]:
  """What `person_decode.decode_function` makes takes, of one frame."""
  sizes = {"expression": num_blendshapes, "rotation": 3, "translation": 3}
  return {name: tf.TensorSpec([1, n], tf.float32, name) for name, n in sizes.items()}


class LandmarkDecoder:
  """The landmarks of one person's frames by an interpreter, in float32.

  After a call of TensorFlow its threads go on looking for work for a while, where an
  interpreter's would have some: on two cores a frame of track_int8.tflite with its
  landmarks took 9 to 10 ms by TensorFlow and 6.4 to 6.8 ms by this, the network alone
  6.9 to 7.3 ms in the same runs.
  """

  def __init__(self, system: PersonalizedFace, marked: PersonGeometry):
    """Converts, in about a second.

    Args:
      system: for the head's pose and the camera.
      marked: of the person, B = 1, the marked vertices alone, [1, L, ...].
    """
    decode = decode_function(system, marked)

    def landmarks(expression: Tensor, rotation: Tensor, translation: Tensor) -> dict:
      points = decode(expression, rotation, translation)
      return {"landmarks": system.project_marked(points)}

    traced = tf.function(landmarks, autograph=False).get_concrete_function(
      **decode_inputs(marked.displacements.shape[2])
    )
    with native_logs.silenced():
      # Without a module the file would have no signature.
      converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
      data = converter.convert()
      interpreter = tf.lite.Interpreter(model_content=data, num_threads=1)
    self._run = interpreter.get_signature_runner()

  def __call__(self, tracking: Tracking) -> np.ndarray:
    """[I, L, 2] pixels of the crops, for a Tracking [I, ...] of numpy arrays."""
    named = (tracking.expression, tracking.rotation, tracking.translation)
    frames = [
      self._run(expression=w[None], rotation=r[None], translation=t[None])
      for w, r, t in zip(*named, strict=True)
    ]
    return np.concatenate([frame["landmarks"] for frame in frames])
