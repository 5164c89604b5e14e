"""300VW: 68 landmarks through 64 test videos in three scenarios (Table 2c).

Layout as published (Shen et al., ICCVW 2015, the paper's [42]):
<root>/<three digits>/vid.avi and <root>/<three digits>/annot/000001.pts, a file for
each frame, numbered from 1, points 1-based. Figures: the area under the cumulative
error curve up to a threshold, divided by it, and the share of frames beyond it. A frame
without a face counts as a failure. The face is found in the first frame, then the box
comes from the frame before; reconstruction is per frame (Section 5.4).

The challenge divides by the distance of the outer eye corners and draws its curves up
to 0.08. Other papers divide by a size of the face, which is a smaller error; Table 2c
does not say. Hence `normaliser`: compare only figures of one kind.
"""

import os
from collections.abc import Iterator, Sequence

import gin
import numpy as np

from personalized_face.data.video import frame_count, read_frames
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, values
from personalized_face.evaluation.predictions import Prediction
from personalized_face.metrics.landmarks import (
  NORMALISERS,
  area_under_curve,
  cumulative_errors,
  normalised_errors,
)

# The test videos of the challenge, as its scenarios list them.
SCENARIOS = {
  "scenario 1": (  # well lit, various poses
    *(114, 124, 125, 126, 150, 158, 401, 402, 505, 506, 507, 508, 509, 510, 511, 514),
    *(515, 518, 519, 520, 521, 522, 524, 525, 537, 538, 540, 541, 546, 547, 548),
  ),
  "scenario 2": (  # unconstrained light
    *(203, 208, 211, 212, 213, 214, 218, 224, 403, 404, 405, 406, 407, 408, 409, 412),
    *(550, 551, 553),
  ),
  "scenario 3": (  # everything: occlusion, make-up, extreme expressions
    *(410, 411, 516, 517, 526, 528, 529, 530, 531, 533, 557, 558, 559, 562),
  ),
}
_LAYOUT = "<three digits>/vid.avi and <three digits>/annot/<six digits>.pts"


@gin.configurable(module="evaluation")
class Videos300VW:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "300vw"
  title = "300VW"
  needs = ("landmarks",)
  columns = {
    **{f"{s} auc": f"AUC {s}" for s in SCENARIOS},
    **{f"{s} failure": f"failure % {s}" for s in SCENARIOS},
    "auc": "AUC all",
    "failure": "failure % all",
  }
  higher_is_better = tuple(key for key in columns if key.endswith("auc"))
  annotated_points = True

  def __init__(
    self,
    data_dir: str,
    normaliser: str = "outer_eye_corners",
    threshold: float = 0.08,
    index_base: float = 1.0,
    all_videos: bool = False,
  ):
    """Lists the videos.

    Args:
      data_dir: the folder of the numbered folders.
      normaliser: one of metrics.landmarks.NORMALISERS.
      threshold: of the normalised error: the curve ends there, beyond it is failure.
      index_base: coordinate of the first pixel's centre in the .pts files.
      all_videos: also those outside of the three scenarios (the training videos).

    Raises:
      UserError: the folder is not laid out so.
    """
    if normaliser not in NORMALISERS:
      raise ValueError(f"normaliser is one of {NORMALISERS}, not {normaliser!r}")
    self.normaliser, self.threshold = normaliser, threshold
    self._index_base, self._folder = index_base, data_dir
    scenario_of = {f"{v:03d}": s for s, videos in SCENARIOS.items() for v in videos}
    self._videos = {}
    for path, match in layouts.files_matching(
      data_dir, r"(\d{3})/vid\.avi", self._fail
    ):
      if match[1] in scenario_of or all_videos:
        self._videos[match[1]] = (path, scenario_of.get(match[1], "training"))
    if not self._videos:
      raise self._fail("has none of the test videos, only training ones")
    for number, (path, _) in self._videos.items():
      if not os.path.isdir(os.path.join(os.path.dirname(path), "annot")):
        raise self._fail(f"has no {number}/annot")
    self.protocol = (
      f"Mean point-to-point error of 68 points over {normaliser.replace('_', ' ')}; "
      f"AUC up to {threshold:g}, failure beyond it; a frame without a face is a "
      f"failure; index base {index_base:g}."
    )

  def samples(self) -> Iterator[Sample]:
    """The annotated frames, video by video."""
    for number, (path, scenario) in self._videos.items():
      annotations = os.path.join(os.path.dirname(path), "annot")
      names = {n for n in os.listdir(annotations) if n.endswith(".pts")}
      total = frame_count(path, None)
      for i, frame in enumerate(read_frames(path, None), start=1):
        if (name := f"{i:06d}.pts") not in names:
          continue
        names.remove(name)
        truth = layouts.read_pts(os.path.join(annotations, name), self._index_base)
        yield Sample(
          f"{number}/{i:06d}",
          lambda image=frame.image: [image],
          scenario,
          clip=number,
          truth=truth,
        )
      if names:
        raise self._fail(
          f"annotates {min(names)} in {number}, which has {total} frames"
        )

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """The normalised error, a share of the face (not percent)."""
    error = normalised_errors(prediction.landmarks, sample.truth, self.normaliser)
    return {"error": float(error)}

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """AUC and failures, a scenario each and all frames."""
    result = {}
    for key, group in (*((f"{s} ", s) for s in SCENARIOS), ("", None)):
      errors = values(rows, "error", group)
      empty = not errors.size
      result[f"{key}auc"] = (
        np.nan if empty else area_under_curve(errors, self.threshold)
      )
      inside = np.nan if empty else cumulative_errors(errors, [self.threshold])[0]
      result[f"{key}failure"] = float(100 * (1 - inside))
    return result

  def truth_prediction(self, sample: Sample) -> Prediction:
    """The annotated points."""
    return Prediction(found=True, landmarks=sample.truth)

  def _fail(self, problem: str):
    return layouts.wrong_layout(self.title, self._folder, problem, _LAYOUT)
