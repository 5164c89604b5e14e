"""A Solver without networks: the face model fitted to each sample's own pictures.

    views --detector--> landmarks, parsing --PersonFit--> PersonModel, Tracking
                        (or --TrackingSolver--> the bare template and its Tracking)

What `pface_personalize` does for a person, for one picture at a time (two where a
sample has two views), so that "ours, personalised to each image" can stand in a table
without any training. The steps are gin's (fitting/personalize.gin), whose configuration
has to be in force when a solver is made and while it works.
"""

from collections.abc import Sequence

import numpy as np

from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.crop import to_crop
from personalized_face.data.detector import FaceDetector, detect_in_box, landmarks_68
from personalized_face.data.parsing import parse_mesh
from personalized_face.evaluation.predictors import Stopwatch, View
from personalized_face.fitting.ablation import FRAMES_FOR_EXPRESSIONS, identity_only
from personalized_face.fitting.fit import PersonFit, Schedule
from personalized_face.fitting.frames import Frames
from personalized_face.fitting.solve_tracking import TrackingSolver
from personalized_face.inference.track import bare_person
from personalized_face.systems.personalized_face import PersonalizedFace

# Round the square, as a share of its side, when the face in it is looked at again.
_MARGIN = 0.25


class FitSolver:
  """Fits person and motion to the views; traces once for each number of views."""

  def __init__(self, system: PersonalizedFace, detector: FaceDetector):
    """Fits nothing yet.

    Args:
      system: of `build_fitting_system`; for decode, renderer and losses.
      detector: gives the landmarks and the parsing that the fit goes by.
    """
    self._system, self._detector = system, detector
    self._schedule = Schedule()
    self._phases = self._schedule.configured()
    self._fits: dict[int, PersonFit] = {}

  def solve(
    self, views: Sequence[View], watch: Stopwatch
  ) -> tuple[PersonModel, Tracking] | None:
    """See Solver. An interrupt (Ctrl-C) ends the evaluation and not just this fit."""
    with watch("detect again"):
      frames = frames_of(views, self._detector)
    if frames is None:
      return None
    phases = self._phases
    if frames.count < FRAMES_FOR_EXPRESSIONS:
      phases = identity_only(phases)
    with watch("model"):
      fit = self._fits.get(frames.count)
      if fit is None:
        fit = self._fits[frames.count] = PersonFit(self._system, frames)
      else:
        fit.restart(frames)
      if not fit.run(self._schedule, phases):
        raise KeyboardInterrupt
      return fit.person(), fit.tracking.all()


class PriorFitSolver:
  """The bare template (ablation A): only its motion and light are fitted."""

  def __init__(self, system: PersonalizedFace, detector: FaceDetector):
    """See FitSolver."""
    self._system, self._detector = system, detector
    self._person = bare_person(system)
    self._solvers: dict[int, TrackingSolver] = {}

  def solve(
    self, views: Sequence[View], watch: Stopwatch
  ) -> tuple[PersonModel, Tracking] | None:
    """See Solver."""
    with watch("detect again"):
      frames = frames_of(views, self._detector)
    if frames is None:
      return None
    with watch("track"):
      solver = self._solvers.get(frames.count)
      if solver is None:
        solver = TrackingSolver(self._system, None, chunk=frames.count)
        self._solvers[frames.count] = solver
      return self._person, solver.solve(frames)


def frames_of(views: Sequence[View], detector: FaceDetector) -> Frames | None:
  """What the fit looks at, each view in a light of its own.

  Args:
    views: N of one person.
    detector: is asked round each view's square, then in its whole picture.

  Returns:
    N frames; None where the detector sees no face in one of them, as may happen in a
    clip, whose squares come from the frame before.
  """
  landmarks, parsing = [], []
  for picture, square, crop in views:
    points = detect_in_box(detector.detect, picture, square.box, _MARGIN)
    if points is None:
      points = detector.detect(picture)
    if points is None:
      return None
    size = len(crop)
    inside = to_crop(points[:, :2], square, size)
    landmarks.append(landmarks_68(inside))
    parsing.append(parse_mesh(inside, size, size))
  return Frames(
    images=np.stack([view.crop for view in views]),
    landmarks=np.stack(landmarks).astype(np.float32),
    parsing=np.stack(parsing),
    scenes=np.arange(len(views), dtype=np.int32),
  )
