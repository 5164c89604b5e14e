"""Photometric error on CelebA* (Table 1): 1000 pictures of CelebA, the renderer's mask.

Layout as published (Liu et al., ICCV 2015, the paper's [31]): img_align_celeba/
000001.jpg and list_eval_partition.txt. Which 1000 the paper took (those of FML [44]) is
not public: a list of names, or the first 1000 of the test partition.
"""

import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data.crop import Square, crop_image
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, values
from personalized_face.evaluation.predictions import Prediction
from personalized_face.metrics.pictures import photometric_255

_TEST = "2"  # in list_eval_partition.txt
_LAYOUT = "img_align_celeba/<six digits>.jpg and list_eval_partition.txt"


@gin.configurable(module="evaluation")
class CelebA:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "celeba"
  title = "CelebA*"
  needs = ("rendering", "mask", "box")
  columns = {"photometric": "photometric error 0-255", "mask": "mask, % of the crop"}
  higher_is_better = ()
  annotated_points = False

  def __init__(self, data_dir: str, names_file: str | None = None, count: int = 1000):
    """Lists the pictures.

    Args:
      data_dir: see the module docstring.
      names_file: a text file, a name such as 000001.jpg a line; None: the first of the
        test partition.
      count: at most so many.

    Raises:
      UserError: the folder is not laid out so.
    """

    def fail(problem: str) -> UserError:
      return layouts.wrong_layout(self.title, data_dir, problem, _LAYOUT)

    names = _names(data_dir, names_file, fail)[:count]
    if not names:
      raise fail("has no picture of the test partition")
    self._paths = [os.path.join(data_dir, "img_align_celeba", name) for name in names]
    for path in self._paths:
      if not os.path.isfile(path):
        raise fail(f"has no {os.path.basename(path)}")
    self.protocol = (
      f"{len(names)} pictures; per picture the mean over the system's own mask of the "
      "l2 norm of the RGB difference, 0-255 (up to 442), at the size of the rendering. "
      "A smaller mask is an easier one: its share stands beside. A picture without a "
      "face is in no mean."
    )

  def samples(self) -> Iterator[Sample]:
    """In the order of the list."""
    for path in self._paths:
      name = os.path.splitext(os.path.basename(path))[0]
      yield Sample(name, lambda path=path: [read_image(path)], truth=path)

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """photometric (0-255) and the share of the crop that is masked, %."""
    crop = self._crop(sample, prediction.box, len(prediction.mask))
    error = photometric_255(crop, prediction.rendering, prediction.mask)
    share = 100 * np.mean(np.asarray(prediction.mask) != 0)
    return {"photometric": float(error), "mask": float(share)}

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Means over the pictures."""
    return {key: mean(values(rows, key)) for key in self.columns}

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The picture itself, its largest upright square from the top left."""
    side = min(read_image(sample.truth).shape[:2])
    box = np.array([0.0, 0.0, side, side])
    crop = self._crop(sample, box, side)
    return Prediction(True, rendering=crop, mask=np.ones([side, side], bool), box=box)

  def _crop(self, sample: Sample, box: np.ndarray, size: int) -> np.ndarray:
    """[size, size, 3] in [0, 1]."""
    x0, y0, x1, _ = np.asarray(box, np.float64)
    return crop_image(read_image(sample.truth), Square(x0, y0, x1 - x0), size) / 255.0


def _names(folder: str, names_file: str | None, fail) -> list[str]:
  path = names_file or os.path.join(folder, "list_eval_partition.txt")
  try:
    with open(path, encoding="utf-8") as file:
      lines = [line.split() for line in file if line.strip()]
  except OSError as error:
    raise fail(f"has no {os.path.basename(path)}") from error
  if names_file:
    return [line[0] for line in lines]
  return [line[0] for line in lines if line[1:] == [_TEST]]
