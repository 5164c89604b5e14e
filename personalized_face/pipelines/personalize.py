"""A person's own frames to their face model: read, fit, measure, write.

videos, photos -> Frames -> PersonFit -> TrackingSolver for the rest = FittedPerson
                                                        FittedPerson -> run folder
"""

import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import gin
import numpy as np
from absl import logging

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.clip import Preparation
from personalized_face.data.detector import FaceDetector, MediaPipeDetector
from personalized_face.export.avatar_folder import write_avatar_folder
from personalized_face.export.files import write_json
from personalized_face.export.run_folder import make_folder, write_run_folder
from personalized_face.face_model.files import save_person
from personalized_face.fitting.ablation import (
  ABLATIONS,
  FRAMES_FOR_EXPRESSIONS,
  ablated,
  identity_only,
)
from personalized_face.fitting.fit import PersonFit, Schedule
from personalized_face.fitting.frames import Frames, spread_in_pose_and_expression
from personalized_face.fitting.solve_tracking import (
  TrackingSolver,
  between,
  is_near,
)
from personalized_face.fitting.system import build_fitting_system
from personalized_face.fitting.unseen import unseen, without_unseen
from personalized_face.inference.reconstruct import Reconstruction, TrackedSource
from personalized_face.inference.smoothing import smooth_tracking
from personalized_face.inference.track import bare_person
from personalized_face.pipelines.distillation import (
  Distillation,
  distill,
  require_run,
)
from personalized_face.pipelines.expected_expression import expected_expression
from personalized_face.pipelines.fit_preview import FitPreview
from personalized_face.pipelines.known_truth import (
  KnownTruth,
  expression_figures,
  known_truth,
  shape_figures,
)
from personalized_face.pipelines.motion_figures import motion_figures
from personalized_face.pipelines.person_figures import person_figures
from personalized_face.pipelines.person_frames import Source, read_person
from personalized_face.pipelines.starter import run_folder
from personalized_face.progress import tqdm
from personalized_face.rendering.camera import Camera
from personalized_face.systems.personalized_face import PersonalizedFace

CONFIGURATION = "fitting/personalize.gin"
HOLDOUTS = ("odd", "last_third")
MAX_FRAMES = 96  # that are fitted
TRACKER = "tracker"  # folder of the fine-tuned run
PREVIEW = "preview.png"  # while it fits
_MEASURED_STEP = 8  # without a hold-out, a tracker is measured on every so many frames


class FittedPerson(NamedTuple):
  """A person, the motion of all F frames, and what they were found in."""

  system: PersonalizedFace  # its networks are not trained
  person: PersonModel  # numpy, without B
  tracking: Tracking  # numpy, leading dimension F
  frames: Frames
  sources: list[Source]
  fps: float  # that videos were read with
  chosen: np.ndarray  # indices of the frames that the fit looked at
  held_out: np.ndarray  # of those that it must not look at

  def reconstructions(self, smoothing: float = 0.0) -> Iterator[Reconstruction]:
    """One for each source, in their order.

    Args:
      smoothing: strength of inference/smoothing.py on the motion of videos.
    """
    for source in self.sources:
      tracked = source.tracked(self.tracking, self.fps)
      if source.is_video:
        tracked = _smoothed(tracked, smoothing, self.system.camera)
      yield Reconstruction(self.person, tracked)


@gin.configurable(module="pipelines")
def personalize(
  inputs: Sequence[str],
  output_dir: str,
  template_name: str = "default",
  evaluate: bool = False,
  holdout: str = "odd",
  ablation: str = "final",
  blendshape_objs: bool = False,
  frame_objs: bool = False,
  smoothing: float = 0.0,
  detector: FaceDetector | None = None,
  max_frames: int = MAX_FRAMES,
  avatar: bool = False,
  distill_run: str | None = None,
) -> dict[str, float]:
  """Fits a person and writes the run folder of export/run_folder.py.

  Args:
    inputs: videos, images and folders of images of one person.
    output_dir: made if missing. Of several sources each has its own folder in it.
    template_name: "default" or a path.
    evaluate: holds frames out of the fit and writes metrics.json.
    holdout: which ones, one of HOLDOUTS.
    ablation: one of fitting.ablation.ABLATIONS.
    blendshape_objs, frame_objs: see the run folder.
    smoothing: strength of inference/smoothing.py on what is written; the figures, but
      for smoothed_jitter_pixels, are of the motion as it was solved.
    detector: None takes MediaPipe's.
    max_frames: that are fitted; of the others only the motion is solved.
    avatar: also writes the files of export/avatar_folder.py.
    distill_run: a run of pface_train, or packed weights, whose TrackNet then learns the
      fitted motion; it goes to <output_dir>/tracker, a run of its own. See
      distillation.py.

  Returns:
    What metrics.json holds: the figures of person_figures and motion_figures; those of
    known_truth where a synthetic clip has its truth beside it; frames_fit,
    frames_held_out, and the minutes from the first frame read to the last file written,
    by the clock and of all cores together; without `evaluate` counts and minutes alone.
    With a `distill_run` tracker_nme_percent, tracker_before_nme_percent: the median of
    TrackNet alone on frames held out, after and before; distill_minutes.

  Raises:
    UserError: nothing to read, no face, too few frames to hold any out.
  """
  start, cpu_start = time.monotonic(), time.process_time()
  make_folder(output_dir)
  if distill_run:
    distill_run = run_folder(distill_run)
    require_run(distill_run, load_template(template_name))
  preview = os.path.join(output_dir, PREVIEW)
  fitted = fit_person(
    inputs, template_name, evaluate, holdout, ablation, detector, max_frames, preview
  )
  write_person(fitted, output_dir, blendshape_objs, frame_objs, smoothing, avatar)
  figures = {
    "minutes": round((time.monotonic() - start) / 60, 2),
    "cpu_minutes": round((time.process_time() - cpu_start) / 60, 2),
    "frames_fit": len(fitted.chosen),
    "frames_held_out": len(fitted.held_out),
  }
  if evaluate:
    figures |= _measure(fitted, smoothing)
  settings = Distillation() if distill_run else None
  config.save_operative(os.path.join(output_dir, "config.gin"))
  if settings:  # the last, since gin then holds that run's configuration
    folder = os.path.join(output_dir, TRACKER)
    figures |= _distill(fitted, distill_run, folder, settings)
  if evaluate:
    write_json(os.path.join(output_dir, "metrics.json"), figures)
  return figures


def fit_person(
  inputs: Sequence[str],
  template_name: str = "default",
  evaluate: bool = False,
  holdout: str = "odd",
  ablation: str = "final",
  detector: FaceDetector | None = None,
  max_frames: int = MAX_FRAMES,
  preview: str | None = None,
) -> FittedPerson:
  """The half of `personalize` that finds the person; leaves no file.

  Args and errors: see `personalize`; and
    preview: of a PNG that shows the fit under way, and is removed at its end.
  """
  preparation = Preparation()
  frames, times, sources = read_person(
    inputs, preparation, detector or MediaPipeDetector()
  )
  allowed, held_out = _split(frames.count, evaluate, holdout)
  chosen = allowed[spread_in_pose_and_expression(frames.landmarks[allowed], max_frames)]
  template = load_template(template_name)
  frames = frames._replace(expected=expected_expression(frames, template))
  system = build_fitting_system(template, preparation.size)
  person, tracking = _fit(system, frames, times, chosen, ablation, preview)
  for sentence in unseen(
    Tracking(*(value[chosen] for value in tracking)), system.template.blendshape_names
  ):
    logging.info(sentence)
  return FittedPerson(
    system, person, tracking, frames, sources, preparation.fps, chosen, held_out
  )


def write_person(
  fitted: FittedPerson,
  output_dir: str,
  blendshape_objs: bool = False,
  frame_objs: bool = False,
  smoothing: float = 0.0,
  avatar: bool = False,
) -> None:
  """The half of `personalize` that writes the run folder, without figures.

  Args: see `personalize`.

  Raises:
    UserError: the folder cannot be written, or a source is there no more.
  """
  results = zip(fitted.sources, fitted.reconstructions(smoothing), strict=True)
  several = len(fitted.sources) > 1
  for source, result in results:
    folder = os.path.join(output_dir, source.name) if several else output_dir
    write_run_folder(fitted.system, result, folder, blendshape_objs, frame_objs)
    if avatar:
      write_avatar_folder(fitted.system, result, folder)
  if several:
    path = os.path.join(output_dir, "person.npz")
    save_person(path, fitted.person, fitted.system.template)


def _smoothed(source: TrackedSource, strength: float, camera: Camera) -> TrackedSource:
  motion = source.motion
  steady = smooth_tracking(
    motion.tracking, motion.boxes, motion.times, strength, camera
  )
  return source._replace(motion=motion._replace(tracking=steady))


def _split(count: int, evaluate: bool, holdout: str) -> tuple[np.ndarray, np.ndarray]:
  """The frames that may be fitted, and those that are held out."""
  every = np.arange(count)
  if not evaluate:
    return every, every[:0]
  out = every % 2 == 1 if holdout == "odd" else every >= count - count // 3
  if not out.any():
    raise UserError(
      f"{count} frame{'s are' if count > 1 else ' is'} too few to hold any out; leave "
      "--evaluate off, or give a longer video or more photos."
    )
  return every[~out], every[out]


def _fit(
  system: PersonalizedFace,
  frames: Frames,
  times: np.ndarray,
  chosen: np.ndarray,
  ablation: str,
  preview: str | None,
) -> tuple[PersonModel, Tracking]:
  """The person, and the motion of all frames; numpy."""
  rest = np.setdiff1d(np.arange(frames.count), chosen)
  if ablation == "a":
    return bare_person(system), _solve(TrackingSolver(system, None), frames, "tracking")
  has_albedo = ablation not in ABLATIONS[:2]
  fit = PersonFit(system, frames.take(chosen), skin_colour=has_albedo)
  schedule = Schedule()
  phases = ablated(schedule.configured(), ablation)
  if len(chosen) < FRAMES_FOR_EXPRESSIONS:
    logging.info(
      "From %d picture(s) no expression can be told from the face itself: all "
      "blendshapes keep the template's shape and colour.",
      len(chosen),
    )
    phases = identity_only(phases)
  picture = FitPreview(fit, preview) if preview else None
  with tqdm(
    total=sum(phase.steps for phase, _ in phases), desc="fitting", unit="step"
  ) as bar:

    def show(phase: str, step: int, terms: dict) -> None:
      bar.set_postfix_str(phase)
      bar.update()
      if picture:
        picture.step()

    try:
      fit.run(schedule, phases, show)
    finally:
      if picture:
        picture.remove()
  known = fit.tracking.all()
  person = without_unseen(fit.person(), known)
  tracking = Tracking(
    *(np.zeros([frames.count, *value.shape[1:]], np.float32) for value in known)
  )
  _put(tracking, chosen, known)
  light, solver = fit.tracking.scene_light.numpy(), None
  known_light = {scene: light[scene] for scene in set(frames.scenes[chosen].tolist())}
  near = is_near(times[rest], times[chosen])
  for part, is_known in ((rest[near], True), (rest[~near], False)):
    if not len(part):
      continue
    solver = solver or TrackingSolver(system, person)
    start = None
    if is_known:
      start = between(times[part], times[chosen], fit.tracking.rows.numpy())
    found = _solve(solver, frames.take(part), "tracking", known_light, start)
    _put(tracking, part, found)
  return person, tracking


def _solve(
  solver: TrackingSolver, frames: Frames, title: str, *known: dict | np.ndarray | None
) -> Tracking:
  with tqdm(total=frames.count, desc=title, unit="frame") as bar:
    return solver.solve(frames, *known, on_frames=bar.update)


def _put(tracking: Tracking, rows: np.ndarray, values: Tracking) -> None:
  for into, value in zip(tracking, values, strict=True):
    into[rows] = value


def _distill(
  fitted: FittedPerson, run_dir: str, output_dir: str, settings: Distillation
) -> dict[str, float]:
  """Fine-tunes a run's tracker; its figures, on frames that it did not learn from."""
  start, measured = time.monotonic(), fitted.held_out
  learned = np.setdiff1d(np.arange(fitted.frames.count), measured)
  if not len(measured):
    measured = learned[_MEASURED_STEP // 2 :: _MEASURED_STEP]
    learned = np.setdiff1d(learned, measured)
  found = distill(
    run_dir,
    output_dir,
    fitted.person,
    fitted.frames,
    fitted.tracking,
    learned,
    measured,
    settings,
  )
  return {
    "tracker_nme_percent": found.after,
    "tracker_before_nme_percent": found.before,
    "distill_minutes": round((time.monotonic() - start) / 60, 2),
  }


def _measure(fitted: FittedPerson, smoothing: float) -> dict[str, float | None]:
  """The figures of the held-out frames, beside the prior on the same frames."""
  system, held_out = fitted.system, fitted.held_out
  part = fitted.frames.take(held_out)
  prior = _solve(TrackingSolver(system, None), part, "tracking the prior")
  motion = Tracking(*(value[held_out] for value in fitted.tracking))
  figures = person_figures(system, fitted.person, motion, prior, part)
  figures |= motion_figures(
    system, fitted.person, fitted.tracking, fitted.sources, held_out, smoothing
  )
  truth = known_truth(fitted.sources, system.template)
  if truth is None:
    return figures
  truth = KnownTruth(truth.expression[held_out], truth.person)
  found = (motion.expression, prior.expression)
  figures |= expression_figures(
    system.template.blendshape_names, *found, truth.expression
  )
  if truth.person is None:
    return figures
  return figures | shape_figures(system, fitted.person, *found, truth)
