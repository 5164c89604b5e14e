"""Any folder of scans: the distance from the scan to the predicted mesh.

  <data_dir>/<name>/scan.obj or scan.ply
  <data_dir>/<name>/landmarks.txt   "index x y z" lines: iBUG numbers, at least three
  <data_dir>/<name>/*.jpg, *.png    pictures of the same face; each is one sample

Protocol: a fit to the landmarks, refined by ICP of the scan's points to the mesh; then
the distance from each scan point within `radius_mm` of the nose tip (iBUG 30; without
it, of the middle of the landmarks) to the nearest place on the mesh. Scan to mesh, so a
system cannot gain by predicting less surface. Whether the size may change is
`with_scale`: the size of a face cannot be seen in one picture, but a system may know
the usual one.
"""

import functools
import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.core.errors import UserError
from personalized_face.data.video import read_image
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, spread, values
from personalized_face.evaluation.meshes import Mesh, read_landmarks, read_mesh
from personalized_face.evaluation.predictions import Prediction
from personalized_face.metrics.alignment import Similarity, align, icp
from personalized_face.metrics.surface_distance import MeshDistance

_NOSE_TIP = 30
_LAYOUT = "<name>/scan.obj or .ply, <name>/landmarks.txt and pictures in <name>"


@gin.configurable(module="evaluation")
class Scans:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "scans"
  title = "Scans"
  needs = ("vertices", "triangles", "mesh_landmarks")
  columns = {
    "mean": "scan to mesh mm mean",
    "median": "median",
    "rmse": "RMSE",
    "sd": "SD of the scans' means",
    "scale": "scale",
  }
  higher_is_better = ()
  annotated_points = True

  def __init__(
    self,
    data_dir: str,
    with_scale: bool = False,
    radius_mm: float = 95.0,
    keep: float = 1.0,
    use_neutral: bool = False,
    millimetres_per_unit: float = 1.0,
  ):
    """Lists the scans.

    Args:
      data_dir: see the module docstring.
      with_scale: whether the alignment may change the size.
      radius_mm: the region, round the nose tip.
      keep: share of the scan's points that ICP goes by, the nearer ones.
      use_neutral: compares the prediction's `neutral` and not the face as it is.
      millimetres_per_unit: of the scans and their landmarks.

    Raises:
      UserError: the folder is not laid out so.
    """
    self._with_scale, self._radius, self._keep = with_scale, radius_mm, keep
    self._neutral, self._unit = use_neutral, millimetres_per_unit
    self._samples = []
    paths = layouts.files_matching(
      data_dir, r"([^/]+)/scan\.(obj|ply)", functools.partial(self._fail, data_dir)
    )
    for path, match in paths:
      folder = os.path.dirname(path)
      if not os.path.isfile(os.path.join(folder, "landmarks.txt")):
        raise self._fail(data_dir, f"has no {match[1]}/landmarks.txt")
      pictures = sorted(
        name
        for name in os.listdir(folder)
        if name.lower().endswith(layouts.IMAGE_EXTENSIONS)
      )
      if not pictures:
        raise self._fail(data_dir, f"has no picture in {match[1]}")
      for name in pictures:
        picture = os.path.join(folder, name)
        self._samples.append(
          Sample(
            f"{match[1]}/{os.path.splitext(name)[0]}",
            lambda picture=picture: [read_image(picture)],
            match[1],
            truth=path,
          )
        )
    fit = "similarity (scale too)" if with_scale else "rigid fit"
    self.protocol = (
      f"Distance from the scan's points within {radius_mm:g} mm of the nose tip to the "
      f"{'neutral ' if use_neutral else ''}mesh, after a {fit} to the landmarks and "
      f"ICP of the nearer {100 * keep:g} % of them; a picture without a face is in no "
      "mean."
    )

  def samples(self) -> Iterator[Sample]:
    """Scan by scan; the group is the scan."""
    return iter(self._samples)

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """Mean, median and RMSE over the scan's points, mm; the scale of the fit."""
    distances, fit, _ = self.distances(sample, prediction)
    return {
      "mean_mm": float(distances.mean()),
      "median_mm": float(np.median(distances)),
      "rmse_mm": float(np.sqrt(np.mean(distances**2))),
      "scale": fit.scale,
    }

  def distances(
    self, sample: Sample, prediction: Prediction
  ) -> tuple[np.ndarray, Similarity, np.ndarray]:
    """From the scan to the prediction.

    Returns:
      The distances [P] mm, what brings the prediction into the scan's frame, and the
      scan's points [P, 3] mm that were used.

    Raises:
      ValueError: fewer than three landmarks in common, or no neutral mesh.
    """
    scan, marks = self._scan(sample.truth)
    vertices, predicted = self._mesh(prediction)
    common = [i for i in marks if np.isfinite(predicted[i]).all()]
    to_scan = align(
      predicted[common], np.array([marks[i] for i in common]), self._with_scale
    )
    near = np.linalg.norm(scan.vertices - _centre(marks), axis=-1) < self._radius
    points = scan.vertices[near]
    if not len(points):
      raise ValueError(f"no point of the scan is within {self._radius} mm of the nose")
    mesh = MeshDistance(to_scan(vertices), prediction.triangles)
    to_mesh = icp(points, mesh, with_scale=self._with_scale, keep=self._keep)
    # The way back moves the mesh and leaves the scan its size and its millimetres.
    fit = to_mesh.inverse().after(to_scan)
    distances, _ = MeshDistance(fit(vertices), prediction.triangles)(points)
    return distances, fit, points

  def vertex_errors(self, sample: Sample, prediction: Prediction) -> np.ndarray:
    """[V] mm from each vertex to the scan, NaN outside of the region: Fig. 7b."""
    scan, marks = self._scan(sample.truth)
    _, fit, _ = self.distances(sample, prediction)
    surface = MeshDistance(scan.vertices, scan.triangles)
    distances, places = surface(fit(self._mesh(prediction)[0]))
    near = np.linalg.norm(places - _centre(marks), axis=-1) < self._radius
    return np.where(near, distances, np.nan)

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Means over the pictures."""
    return {
      "mean": mean(values(rows, "mean_mm")),
      "median": mean(values(rows, "median_mm")),
      "rmse": mean(values(rows, "rmse_mm")),
      "sd": spread(values(rows, "mean_mm")),
      "scale": mean(values(rows, "scale")),
    }

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The scan itself."""
    scan, marks = self._scan(sample.truth)
    points = np.full([68, 3], np.nan)
    for index, place in marks.items():
      points[index] = place
    return Prediction(
      True,
      vertices=scan.vertices,
      triangles=scan.triangles,
      mesh_landmarks=points,
      neutral=scan.vertices,
    )

  def _scan(self, path: str) -> tuple[Mesh, dict[int, np.ndarray]]:
    """Millimetres."""
    mesh = read_mesh(path)
    marks = read_landmarks(os.path.join(os.path.dirname(path), "landmarks.txt"))
    marks = {index: self._unit * place for index, place in marks.items()}
    return mesh._replace(vertices=self._unit * mesh.vertices), marks

  def _mesh(self, prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """The vertices to compare, and their 68 landmarks."""
    if not self._neutral:
      return prediction.vertices, np.asarray(prediction.mesh_landmarks, np.float64)
    if prediction.neutral is None:
      raise ValueError("the prediction has no neutral mesh")
    return prediction.neutral, neutral_landmarks(prediction)

  def _fail(self, folder: str, problem: str) -> UserError:
    return layouts.wrong_layout("a folder of scans", folder, problem, _LAYOUT)


def _centre(marks: dict[int, np.ndarray]) -> np.ndarray:
  """The nose tip, or the middle of the landmarks."""
  return marks.get(_NOSE_TIP, np.mean(list(marks.values()), axis=0))


def neutral_landmarks(prediction: Prediction) -> np.ndarray:
  """[68, 3] the marked points on `neutral`: those of the nearest vertices; NaN kept."""
  marks = np.asarray(prediction.mesh_landmarks, np.float64)
  result = np.full_like(marks, np.nan)
  for i in np.flatnonzero(np.isfinite(marks).all(axis=-1)):
    nearest = np.linalg.norm(prediction.vertices - marks[i], axis=-1).argmin()
    result[i] = prediction.neutral[nearest]
  return result
