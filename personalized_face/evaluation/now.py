"""NoW: writes what the challenge's own script measures.

Layout as published (Sanyal et al., CVPR 2019): <data_dir>/imagepathsvalidation.txt (or
another list) and the pictures in <data_dir>/final_release_version/iphone_pictures/
<subject>/<challenge>/IMG_0001.jpg. Written: <subject>/<challenge>/IMG_0001.obj, the
neutral mesh (without vertex colours, which the script refuses), and .npy with seven
landmarks [7, 3]: the outer and inner corner of the right eye, the inner and outer of
the left, the nose's base, the corners of the mouth (iBUG 36, 39, 42, 45, 33, 48, 54).
The script aligns with scale and measures scan to mesh; scans are given out on request.
"""

import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.scans import neutral_landmarks
from personalized_face.export.files import replacing
from personalized_face.export.obj import write_obj

LANDMARKS = (36, 39, 42, 45, 33, 48, 54)
_PICTURES = os.path.join("final_release_version", "iphone_pictures")


@gin.configurable(module="evaluation")
class NoW:
  """See the module docstring and `benchmark.Benchmark`; no figures of its own."""

  name = "now"
  title = "NoW"
  needs = ("neutral", "triangles", "mesh_landmarks")
  columns = {"median": "median mm", "mean": "mean mm", "sd": "SD"}
  higher_is_better = ()
  annotated_points = True
  protocol = (
    "Measured by the challenge's own script on the files written here (neutral mesh "
    "and seven landmarks); a picture without a face has none."
  )

  def __init__(self, data_dir: str, image_list: str = "imagepathsvalidation.txt"):
    """Reads the list.

    Args:
      data_dir: the challenge's folder.
      image_list: file in it with a line <subject>/<challenge>/<picture> each.

    Raises:
      UserError: the folder is not laid out so.
    """
    layout = f"{image_list} and {_PICTURES}/<subject>/<challenge>/<picture>.jpg"
    try:
      with open(os.path.join(data_dir, image_list), encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()]
    except OSError as error:
      raise layouts.wrong_layout(
        self.title, data_dir, f"has no {image_list}", layout
      ) from error
    self._samples = []
    for line in lines:
      path = os.path.join(data_dir, _PICTURES, line)
      if len(line.split("/")) != 3 or not os.path.isfile(path):
        raise layouts.wrong_layout(self.title, data_dir, f"has no {line}", layout)
      self._samples.append(
        Sample(
          os.path.splitext(line)[0],
          lambda path=path: [read_image(path)],
          line.split("/")[1],
          truth=path,
        )
      )

  def samples(self) -> Iterator[Sample]:
    """In the order of the list; the group is the challenge."""
    return iter(self._samples)

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """Nothing: the script does."""
    del sample, prediction
    return {}

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Nothing: the script does."""
    del rows
    return {}

  def truth_prediction(self, sample: Sample) -> Prediction:
    """Raises UserError: the scans are not public."""
    raise UserError(f"The scan of {sample.name} is not public.")


def write_now(folder: str, sample: Sample, prediction: Prediction) -> None:
  """Writes the .obj and .npy of one prediction.

  Args:
    folder: of a system.
    sample: its name is <subject>/<challenge>/<picture>.
    prediction: with the fields of NoW.needs; not found writes nothing.
  """
  if not prediction.found or any(getattr(prediction, f) is None for f in NoW.needs):
    return
  stem = os.path.join(folder, sample.name)
  points = neutral_landmarks(prediction)[list(LANDMARKS)]
  # Our OBJ files are in metres, from decimetres; the landmarks go with them.
  write_obj(f"{stem}.obj", prediction.neutral / 100, prediction.triangles)
  with replacing(f"{stem}.npy") as temporary:
    with open(temporary, "wb") as file:
      np.save(file, (points / 1000).astype(np.float32))
