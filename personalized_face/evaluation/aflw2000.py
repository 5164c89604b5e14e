"""AFLW2000-3D: 68 landmarks of 2000 stills over the whole range of yaw (Table 2b).

Layout as published (Zhu et al., CVPR 2016, the paper's [58]): image00002.jpg beside
image00002.mat with pt3d_68 [3, 68] and Pose_Para [1, 7]. Protocol as 3DDFA's and
SynergyNet's evaluations: bins |yaw| <= 30, <= 60, > 60 degrees; the error of an image
is the mean 2D distance over the square root of the area of the reference's box; the
mean that is reported is that of the three bins' means. The plain mean stands beside it,
since two thirds of the images are in the first bin.

The re-annotated points are those of Bulat and Tzimiropoulos (ICCV 2017), distributed as
an array over all images and a list of their names.
"""

import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, values
from personalized_face.evaluation.predictions import Prediction
from personalized_face.metrics.landmarks import nme_percent

BINS = ("0-30", "30-60", "60-90")
_LAYOUT = "<name>.jpg and <name>.mat side by side"


@gin.configurable(module="evaluation")
class AFLW2000:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "aflw2000"
  title = "AFLW2000-3D"
  needs = ("landmarks",)
  higher_is_better = ()
  annotated_points = True
  columns = {
    "0-30": "NME % 0-30",
    "30-60": "NME % 30-60",
    "60-90": "NME % 60-90",
    "mean_of_bins": "mean of bins",
    "plain_mean": "plain mean",
  }

  def __init__(
    self,
    data_dir: str,
    reannotated_points: str | None = None,
    reannotated_names: str | None = None,
    index_base: float = 1.0,
  ):
    """Lists the images.

    Args:
      data_dir: the folder of the images.
      reannotated_points: .npy [I, 2 or 3, 68]; None: the original pt3d_68.
      reannotated_names: a text file with the I names of its images, a line each.
      index_base: coordinate of the first pixel's centre in the annotations: 1, they
        were written by Matlab. Systems are often compared at 0.5 (no shift).

    Raises:
      UserError: the folder is not laid out so.
    """
    self._index_base = index_base
    fail = self._fail(data_dir)
    self._paths = [
      path for path, _ in layouts.files_matching(data_dir, r"[^/]+\.jpg", fail)
    ]
    for path in self._paths:
      if not os.path.isfile(_mat(path)):
        raise fail(f"has no {os.path.basename(_mat(path))}")
    self._reannotated = None
    if reannotated_points is not None:
      self._reannotated = _read_reannotated(reannotated_points, reannotated_names)
    points = "original" if self._reannotated is None else "re-annotated"
    self.protocol = (
      f"NME of 68 points ({points}) in % of sqrt(width x height) of the reference's "
      f"box; index base {index_base:g}; an image without a face is in no mean."
    )

  def samples(self) -> Iterator[Sample]:
    """In the order of the names."""
    for path in self._paths:
      data = layouts.read_mat(
        _mat(path), {"pt3d_68": (3, NUM_LANDMARKS), "Pose_Para": (1, 7)}
      )
      name = os.path.splitext(os.path.basename(path))[0]
      points = data["pt3d_68"][:2].T
      if self._reannotated is not None:
        if name not in self._reannotated:
          raise UserError(f"The re-annotated points have none for {name}.")
        points = self._reannotated[name]
      yaw = abs(np.degrees(data["Pose_Para"][0, 1]))
      group = BINS[int(yaw > 30) + int(yaw > 60)]
      truth = points + (0.5 - self._index_base)
      yield Sample(name, lambda path=path: [read_image(path)], group, truth=truth)

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """nme_percent."""
    return {"nme_percent": float(nme_percent(prediction.landmarks, sample.truth))}

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """A bin without an image makes the mean of bins undefined, not smaller."""
    bins = {group: mean(values(rows, "nme_percent", group)) for group in BINS}
    return {
      **bins,
      "mean_of_bins": float(np.mean(list(bins.values()))),
      "plain_mean": mean(values(rows, "nme_percent")),
    }

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The reference points."""
    return Prediction(found=True, landmarks=sample.truth)

  def _fail(self, folder: str):
    return lambda problem: layouts.wrong_layout(self.title, folder, problem, _LAYOUT)


def _mat(path: str) -> str:
  return os.path.splitext(path)[0] + ".mat"


def _read_reannotated(points: str, names: str | None) -> dict[str, np.ndarray]:
  """{image: [68, 2]}."""
  if names is None:
    raise UserError("Re-annotated points need reannotated_names, the list of images.")
  try:
    # Mapped, not read: a header may promise any size, the file has to have it.
    array = np.load(points, mmap_mode="r", allow_pickle=False)
    with open(names, encoding="utf-8") as file:
      lines = [line.strip() for line in file if line.strip()]
  # numpy raises a dozen kinds for damaged headers; nothing but reading is here.
  except Exception as error:
    raise UserError(f"The re-annotated points cannot be read ({error}).") from error
  if not isinstance(array, np.ndarray):
    raise UserError(f"{points} is no .npy file of one array; save the points as one.")
  if array.ndim != 3 or array.shape[1] not in (2, 3) or array.shape[2] != NUM_LANDMARKS:
    raise UserError(f"{points} is {array.shape}, not [images, 2 or 3, 68].")
  if len(lines) != len(array):
    raise UserError(f"{names} has {len(lines)} names for {len(array)} images.")
  if array.dtype.kind not in "fiu" or not np.isfinite(array[:, :2]).all():
    raise UserError(f"{points} has points that are not finite numbers; mend them.")
  pixels = np.array(array[:, :2], np.float64).transpose(0, 2, 1)
  stems = [os.path.splitext(os.path.basename(line))[0] for line in lines]
  return dict(zip(stems, pixels, strict=True))
