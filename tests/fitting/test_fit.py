"""The fit on pictures whose truth is known: our own renderer's."""

import gin
import numpy as np
import pytest
from toy_person import toy_fitting_system, toy_frames, toy_truth

from personalized_face import config
from personalized_face.fitting.fit import PersonFit, Schedule
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.metrics.motion import correlation
from personalized_face.metrics.pictures import photometric_255

STEPS = (
  "light/Phase.steps = 10",
  "identity/Phase.steps = 40",
  "corrections/Phase.steps = 20",
  "build_fitting_system.jit_compile_renderer = False",
  "LandmarkSolver.steps = 100",
  # The limits below are from this weight: the toy has no lids and no lips to open.
  "FitPriors.opening = 0.4",
  "LandmarkSolver.opening_weight = 0.4",
)


@pytest.fixture(scope="module")
def fitted():
  config.parse(["fitting/personalize.gin"], STEPS)
  system = toy_fitting_system()
  person, tracking = toy_truth(system)
  frames = toy_frames(system, person, tracking)
  fit = PersonFit(system, frames)
  seen = []
  finished = fit.run(Schedule(), on_step=lambda *step: seen.append(step))
  gin.clear_config()
  return system, frames, person, tracking, fit, finished, seen


def test_fit_explains_the_pictures(fitted):
  system, frames, *_, fit, finished, _ = fitted
  assert finished
  again = toy_frames(system, fit.person(), fit.tracking.all())
  prior = system.face_model.template_person(1)
  flat = type(prior)(*(np.asarray(v)[0] for v in prior))
  before = toy_frames(system, flat, fit.tracking.all())
  # A face is 40 px wide here: a fifth of a pixel is 0.5 %.
  assert nme_percent(again.landmarks, frames.landmarks).mean() < 0.7
  both = (frames.images > 0).any(-1) & (again.images > 0).any(-1)
  error, unfitted = (
    photometric_255(frames.images / 255, f.images / 255, both).mean()
    for f in (again, before)
  )
  assert error < 10 and error < 0.3 * unfitted


def test_fit_recovers_pose_and_expression(fitted):
  *_, truth, fit, _, _ = fitted
  found = fit.tracking.all()
  # The prior of a sparse expression pulls; the size and the distance of a head that is
  # seen from 10 dm trade against each other, its direction does not.
  assert np.degrees(np.abs(found.rotation - truth.rotation)).mean() < 2.5
  # Corrections may take over part of a blendshape's work, in one direction of w.
  pairs = zip(found.expression.T, truth.expression.T, strict=True)
  follow = [correlation(*pair) for pair in pairs]
  assert np.mean(follow) > 0.8 and min(follow) > 0.6


def test_fit_recovers_the_colour_of_the_skin(fitted):
  system, _, person, _, fit, *_ = fitted
  albedos = (fit.person().static_albedo, person.static_albedo)
  found, truth, prior = (
    albedo.mean((0, 1)) for albedo in (*albedos, system.template.mean_albedo)
  )

  def hue(colour):  # light and albedo share the brightness: only hue is determined
    return colour / colour.sum()

  error = np.abs(hue(found) - hue(truth)).max()
  assert error < 0.4 * np.abs(hue(prior) - hue(truth)).max()


def test_corrections_wait_for_their_phase(fitted):
  *_, seen = fitted
  first = {name: step for name, step, _ in reversed(seen)}
  assert first == {"light": 1, "identity": 11, "corrections": 51}
  terms = {name: set(terms) for name, _, terms in seen}
  assert "blendshape_gradient" not in terms["identity"]
  assert "blendshape_gradient" in terms["corrections"]


def test_interrupt_keeps_what_there_is():
  config.parse(["fitting/personalize.gin"], STEPS)
  system = toy_fitting_system()
  frames = toy_frames(system, *toy_truth(system, count=4))
  fit = PersonFit(system, frames)

  def stop(phase, step, terms):
    if step == 3:
      raise KeyboardInterrupt

  assert not fit.run(Schedule(), on_step=stop)
  gin.clear_config()
  assert all(np.isfinite(part).all() for part in fit.person())
  assert (
    nme_percent(
      toy_frames(system, fit.person(), fit.tracking.all()).landmarks, frames.landmarks
    ).mean()
    < 2
  )  # the landmarks' start is in place
