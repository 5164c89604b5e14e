"""The fit as a predictor, on our own pictures of people of the toy template."""

import dataclasses

import gin
import numpy as np
import pytest
from fitting.toy_person import toy_fitting_system, toy_frames, toy_truth
from helpers import toy_template
from toy_clip import SIZE, StubDetector, small_template

from personalized_face import config
from personalized_face.core import mediapipe_regions
from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.detector import NUM_MESH_POINTS
from personalized_face.evaluation import timing
from personalized_face.evaluation.benchmark import NO_FACE, Sample, run_benchmark
from personalized_face.evaluation.fit_solver import FitSolver, PriorFitSolver
from personalized_face.evaluation.predictors import ModelPredictor
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.pipelines import evaluation

QUICK = (
  "build_fitting_system.jit_compile_renderer = False",
  "LandmarkSolver.steps = 60",
  "TrackingSolver.steps = 2",
  "light/Phase.steps = 2",
  "identity/Phase.steps = 15",
  "corrections/Phase.steps = 5",
)
_FRAME = 2 * SIZE  # side of the pictures; the rendered crop is their middle
_CORNER = SIZE // 2


class TruthDetector:
  """Knows the 68 points of the pictures it has been shown, and of nothing else."""

  def __init__(self, pictures, landmarks):
    self._known = {
      p.tobytes(): points for p, points in zip(pictures, landmarks, strict=True)
    }

  def detect(self, image):
    points = self._known.get(image.tobytes())
    if points is None:
      return None
    mesh = np.tile(points.mean(axis=0), [NUM_MESH_POINTS, 1])
    mesh[list(mediapipe_regions.IBUG68)] = points
    return np.concatenate([mesh, np.zeros([NUM_MESH_POINTS, 1])], 1).astype(np.float32)


@pytest.fixture(scope="module")
def people():
  """System, four pictures of one face, their points, and who knows them."""
  config.parse([evaluation.FIT_CONFIGURATION], QUICK)
  system = toy_fitting_system()
  frames = toy_frames(system, *toy_truth(system, count=4))
  pictures = np.zeros([4, _FRAME, _FRAME, 3], np.uint8)
  inside = slice(_CORNER, _CORNER + SIZE)
  pictures[:, inside, inside] = frames.images
  landmarks = frames.landmarks + _CORNER
  yield system, pictures, landmarks, TruthDetector(pictures, landmarks)
  gin.clear_config()


@pytest.fixture(scope="module")
def fit(people):
  """A fit, and what it said of its first picture."""
  system, pictures, _, detector = people
  predictor = ModelPredictor("fit", system, FitSolver(system, detector), detector)
  return predictor, predicted(predictor, "a", pictures[1])


def predicted(predictor, name, *pictures):
  return predictor.predict(Sample(name, list), list(pictures))


def test_fit_is_nearer_than_the_bare_template(people, fit):
  system, pictures, landmarks, detector = people
  fit, ours = fit
  prior = ModelPredictor("prior", system, PriorFitSolver(system, detector), detector)
  bare = predicted(prior, "a", pictures[1])
  errors = [nme_percent(p.landmarks, landmarks[1]) for p in (ours, bare)]
  # The person is 16 mm wider than the template, a tenth: no pose makes up for that.
  assert errors[0] < 0.6 * errors[1] and errors[0] < 2
  assert np.abs(ours.neutral - bare.neutral).max() > 1  # mm
  np.testing.assert_allclose(bare.neutral, 100 * system.template.vertices, atol=1e-3)
  # From one picture no expression is told from the face: only w moves it.
  person, tracking, crop = fit.solved
  assert not person.blendshape_corrections.any() and not person.dynamic_albedo.any()
  assert isinstance(tracking, Tracking) and crop.shape == (SIZE, SIZE, 3)
  assert {"detect", "detect again", "model", "decode", "render"} == set(fit.seconds)
  assert "model" not in prior.seconds and len(prior.seconds["track"]) == 1


def test_a_fit_knows_nothing_of_the_sample_before(people, fit):
  _, pictures, *_ = people
  fit, first = fit
  other = predicted(fit, "b", pictures[3])
  again = predicted(fit, "a", pictures[1])
  # The same steps from the same start: equal but for the order of sums.
  np.testing.assert_allclose(again.landmarks, first.landmarks, atol=1e-2)
  np.testing.assert_allclose(again.neutral, first.neutral, atol=1e-2)
  assert np.abs(other.landmarks - first.landmarks).max() > 1


def test_two_views_are_fitted_as_one_person(people):
  system, pictures, landmarks, detector = people
  fit = ModelPredictor("fit", system, FitSolver(system, detector), detector)
  both = predicted(fit, "ab", pictures[0], pictures[3])
  assert nme_percent(both.landmarks, landmarks[0]) < 3
  assert fit.solved[1].rotation.shape == (1, 3) and both.pictures_used == 2


def test_no_face_is_said_and_not_guessed(people):
  system, pictures, _, detector = people
  empty = np.zeros_like(pictures[0])
  for solver in (FitSolver(system, detector), PriorFitSolver(system, detector)):
    predictor = ModelPredictor("fit", system, solver, detector)
    assert not predicted(predictor, "a", empty).found
    # Found at first and not again, as in a clip whose face has left.
    lost = ModelPredictor("fit", system, solver, StubDetector())
    stranger = np.zeros_like(empty)
    stranger[40:64, 40:64] = 255
    assert not predicted(lost, "b", stranger).found


def test_an_interrupt_ends_the_evaluation(people, fit, monkeypatch):
  _, pictures, *_ = people

  def interrupted(*arguments):
    raise KeyboardInterrupt

  monkeypatch.setattr(
    "personalized_face.fitting.fit.LandmarkSolver.solve_with_identity", interrupted
  )
  with pytest.raises(KeyboardInterrupt):
    predicted(fit[0], "a", pictures[0])


class _Nothing:
  """A benchmark of one picture without a face."""

  name, needs = "nothing", ("landmarks",)

  def samples(self):
    yield Sample("a", lambda: [np.zeros([_FRAME, _FRAME, 3], np.uint8)])


def test_make_predictors_with_a_fit_needs_no_run(tmp_path, people):
  path = str(tmp_path / "toy.npz")
  small_template().save(path)
  settings = evaluation.FitSettings(path, SIZE, QUICK)
  made, system = evaluation.make_predictors(people[-1], fit=settings)
  assert [predictor.name for predictor in made] == [
    "ours, fitted to each sample",
    "bare template, fitted",
    "MediaPipe 68 of 478",
  ]
  assert system.template.hash == small_template().hash
  result = run_benchmark(_Nothing(), made)
  assert [row.status for row in result.rows] == [NO_FACE] * 3
  assert timing.network_megabytes(system) is None
  wrong = settings._replace(gin_params=["identity/Phase.stops = 3"])
  with pytest.raises(UserError, match="Phase has no parameter 'stops'"):
    evaluation.make_predictors(people[-1], fit=wrong)


def test_annotated_points_are_the_anatomical_ones(tmp_path):
  marks = (np.arange(68) * 5 % 64).astype(np.int32)
  template = dataclasses.replace(toy_template(), anatomical_landmarks=marks)
  path = str(tmp_path / "toy.npz")
  template.save(path)
  settings = evaluation.FitSettings(path, SIZE, QUICK)
  own = np.zeros(68, np.int32)
  for arguments, expected in (
    ({"annotated_points": True}, marks),
    ({"annotated_points": False}, template.landmark_vertices),
    ({"annotated_points": True, "landmark_vertices": own}, own),
  ):
    made, _ = evaluation.make_predictors(
      StubDetector(), with_detector=False, fit=settings, **arguments
    )
    for predictor in made:
      np.testing.assert_array_equal(predictor.landmark_vertices, expected)


def test_which_benchmarks_have_annotated_points():
  annotated = {n for n, b in evaluation.BENCHMARKS.items() if b.annotated_points}
  assert annotated == {"aflw2000", "300vw", "scans", "now"}
