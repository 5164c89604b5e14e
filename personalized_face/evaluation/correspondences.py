"""BU-3DFE and FaceWarehouse: distances to corresponding points (Tables 1 and 2a).

    prediction's vertices --align--> the scan's frame; per vertex the distance to its
    corresponding point; RMSE over the vertices in mm; mean and SD over the scans

The paper prints neither its alignment nor its region: here a rigid fit (or a
similarity, `with_scale`) over all vertices that have a correspondence, which is also
the region. Both are told with the table. Correspondences are files of `pface_register`;
a prediction of another topology needs some of its own, in the same folder.

FaceWarehouse (Cao et al., TVCG 2014): Tester_<i>/TrainingPose/pose_<j>.obj and .png,
all of 11,510 vertices. BU-3DFE (Yin et al., FGR 2006): F0001/F0001_AN01WH_F3D.wrl, both
views of a scan as input (N = 2); the files of the views are `views`.
"""

import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, spread, values
from personalized_face.evaluation.meshes import read_mesh
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.registration import (
  Correspondence,
  load_correspondence,
)
from personalized_face.metrics.alignment import align
from personalized_face.metrics.surface_distance import vertex_rmse

# What a face's correspondences can measure across, mm: guards the unit.
_PLAUSIBLE_EXTENT_MM = (100.0, 400.0)


class _Correspondences:
  """What both data sets share: scoring and the table."""

  needs = ("vertices",)
  columns = {"mean": "RMSE mm mean", "sd": "SD"}
  higher_is_better = ()
  annotated_points = False

  def __init__(self, folder: str, with_scale: bool, millimetres_per_unit: float):
    if not os.path.isdir(folder):
      raise UserError(
        f"There is no folder of correspondences {folder}; make them with "
        "`pface_register`."
      )
    self._folder, self._with_scale = folder, with_scale
    self._unit = millimetres_per_unit
    fit = "similarity (scale too)" if with_scale else "rigid fit"
    self.protocol = (
      f"RMSE over the vertices that have a correspondence, after a {fit} over the same "
      f"vertices; 1 unit of the files = {millimetres_per_unit:g} mm; a sample "
      "without a face is in no mean."
    )

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """rmse_mm."""
    reference, valid = self.reference(sample, len(prediction.vertices))
    fit = align(prediction.vertices[valid], reference[valid], self._with_scale)
    return {"rmse_mm": vertex_rmse(fit(prediction.vertices), reference, valid)}

  def vertex_errors(self, sample: Sample, prediction: Prediction) -> np.ndarray:
    """[V] mm, NaN without a correspondence: Fig. 7b's colours."""
    reference, valid = self.reference(sample, len(prediction.vertices))
    fit = align(prediction.vertices[valid], reference[valid], self._with_scale)
    errors = np.linalg.norm(fit(prediction.vertices) - reference, axis=-1)
    return np.where(valid, errors, np.nan)

  def reference(self, sample: Sample, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Corresponding points [V, 3] mm and which count [V], for meshes of V vertices.

    Raises:
      ValueError: no correspondences for that many vertices.
      UserError: the unit makes no face of it.
    """
    match = self._correspondence(sample, count)
    points = self._unit * match.points(read_mesh(sample.truth).vertices)
    extent = np.ptp(points[match.valid], axis=0).max() if match.valid.any() else 0.0
    low, high = _PLAUSIBLE_EXTENT_MM
    if not low < extent < high:
      raise UserError(
        f"{sample.truth} is {extent:.3g} mm across, which is no face; set "
        f"{type(self).__name__}.millimetres_per_unit."
      )
    return points, match.valid

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The corresponding points themselves, for the first topology there is."""
    counts = sorted(self._available(sample))
    return Prediction(found=True, vertices=self.reference(sample, counts[0])[0])

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Over the scans."""
    errors = values(rows, "rmse_mm")
    return {"mean": mean(errors), "sd": spread(errors)}

  def _correspondence(self, sample: Sample, count: int) -> Correspondence:
    there = self._available(sample)
    if count not in there:
      raise ValueError(f"no correspondences for {count} vertices, only {sorted(there)}")
    return there[count]

  def _available(self, sample: Sample) -> dict[int, Correspondence]:
    raise NotImplementedError


@gin.configurable(module="evaluation")
class FaceWarehouse(_Correspondences):
  """See the module docstring and `benchmark.Benchmark`."""

  name = "facewarehouse"
  title = "FaceWarehouse"

  def __init__(
    self,
    data_dir: str,
    correspondence_dir: str = gin.REQUIRED,
    testers: Sequence[int] | None = None,
    poses: Sequence[int] = tuple(range(20)),
    with_scale: bool = False,
    millimetres_per_unit: float = 100.0,
  ):
    """Lists the poses.

    Args:
      data_dir: the folder of the Tester_<i>.
      correspondence_dir: .npz files for the one topology, one for each predicted one.
      testers: None: all there are.
      poses: of the 20 training poses; 0 is neutral.
      with_scale: whether the alignment may change the size.
      millimetres_per_unit: of the OBJ files.

    Raises:
      UserError: the folder is not laid out so.
    """
    super().__init__(correspondence_dir, with_scale, millimetres_per_unit)
    layout = "Tester_<i>/TrainingPose/pose_<j>.obj and .png"

    def fail(problem: str) -> UserError:
      return layouts.wrong_layout(self.title, data_dir, problem, layout)

    self._samples = []
    pattern = r"Tester_(\d+)/TrainingPose/pose_(\d+)\.obj"
    for path, match in layouts.files_matching(data_dir, pattern, fail):
      if int(match[2]) in poses and (testers is None or int(match[1]) in testers):
        picture = os.path.splitext(path)[0] + ".png"
        if not os.path.isfile(picture):
          raise fail(f"has no {os.path.relpath(picture, data_dir)}")
        name = f"Tester_{match[1]}/pose_{match[2]}"
        self._samples.append(
          Sample(name, lambda picture=picture: [read_image(picture)], truth=path)
        )
    files = [name for name in os.listdir(self._folder) if name.endswith(".npz")]
    loaded = [load_correspondence(os.path.join(self._folder, name)) for name in files]
    if not loaded:
      raise UserError(f"{self._folder} has no correspondences; see `pface_register`.")
    self._loaded = {len(item.valid): item for item in loaded}

  def samples(self) -> Iterator[Sample]:
    """Tester by tester."""
    return iter(self._samples)

  def _available(self, sample: Sample) -> dict[int, Correspondence]:
    return self._loaded


@gin.configurable(module="evaluation")
class BU3DFE(_Correspondences):
  """See the module docstring and `benchmark.Benchmark`."""

  name = "bu3dfe"
  title = "BU-3DFE"

  def __init__(
    self,
    data_dir: str,
    correspondence_dir: str = gin.REQUIRED,
    views: Sequence[str] = ("_RAW.bmp#left", "_RAW.bmp#right"),
    with_scale: bool = False,
    millimetres_per_unit: float = 1.0,
  ):
    """Lists the scans.

    Args:
      data_dir: the folder of the subjects.
      correspondence_dir: for each scan <scan>.npz, or <scan>/*.npz for several
        topologies; <scan> is F0001_AN01WH.
      views: endings of the pictures of a scan, after <scan>; "#left" and "#right" take
        one half of a picture that shows both views side by side. They could not be
        checked against the data set, which is given out on request only.
      with_scale: whether the alignment may change the size.
      millimetres_per_unit: of the .wrl files.

    Raises:
      UserError: the folder is not laid out so.
    """
    super().__init__(correspondence_dir, with_scale, millimetres_per_unit)
    layout = f"<subject>/<scan>_F3D.wrl with {', '.join(views)} (BU3DFE.views)"

    def fail(problem: str) -> UserError:
      return layouts.wrong_layout(self.title, data_dir, problem, layout)

    self._samples = []
    pattern = r"([FM]\d{4})/(\1_[A-Z]{2}\d\d[A-Z]{2})_F3D\.wrl"
    for path, match in layouts.files_matching(data_dir, pattern, fail):
      stem = path.removesuffix("_F3D.wrl")
      pictures = [stem + view for view in views]
      for picture in pictures:
        if not os.path.isfile(picture.partition("#")[0]):
          raise fail(f"has no {os.path.relpath(picture, data_dir)}")
      self._samples.append(
        Sample(
          match[2],
          lambda pictures=pictures: [_read_view(picture) for picture in pictures],
          match[2][6:8],
          truth=path,
        )
      )

  def samples(self) -> Iterator[Sample]:
    """Scan by scan; the group is the expression, such as HA."""
    return iter(self._samples)

  def _available(self, sample: Sample) -> dict[int, Correspondence]:
    folder = os.path.join(self._folder, sample.name)
    paths = [f"{folder}.npz"]
    if os.path.isdir(folder):
      paths = [os.path.join(folder, n) for n in os.listdir(folder)]
    loaded = [load_correspondence(path) for path in paths]
    return {len(item.valid): item for item in loaded}


def _read_view(path: str) -> np.ndarray:
  path, _, half = path.partition("#")
  picture = read_image(path)
  middle = picture.shape[1] // 2
  return {"": picture, "left": picture[:, :middle], "right": picture[:, middle:]}[half]
