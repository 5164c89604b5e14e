"""Motion with the face model fixed."""

import gin
import numpy as np
import pytest
from toy_person import toy_fitting_system, toy_frames, toy_truth

from personalized_face import config
from personalized_face.core.spherical_harmonics import ambient_light
from personalized_face.core.types import PersonModel
from personalized_face.fitting.landmarks import LandmarkSolver
from personalized_face.fitting.parameters import TrackingParameters
from personalized_face.fitting.solve_tracking import (
  TrackingSolver,
  between,
  is_near,
)
from personalized_face.inference.track import project_landmarks
from personalized_face.metrics.landmarks import nme_percent


@pytest.fixture(autouse=True)
def configured():
  config.parse(["fitting/personalize.gin"], ["LandmarkSolver.steps = 100"])
  yield
  gin.clear_config()


def test_motion_of_a_known_person_is_found():
  # The toy's three shapes move its whole face: with the weights of fits, which have an
  # expectation, l1 and openings turn the head by 2 degrees. Its sides move by chance.
  weights = ("TrackingSolver.regularization", "LandmarkSolver.expression")
  changed = [f"{name}_weight = 0.2" for name in weights]
  changed += ["TrackingSolver.opening_weight = 1.0", "ExpressionPrior.asymmetry = 0.0"]
  config.parse(["fitting/personalize.gin"], ["LandmarkSolver.steps = 100", *changed])
  system = toy_fitting_system()
  person, truth = toy_truth(system, count=6)
  frames = toy_frames(system, person, truth)
  done = []
  solver = TrackingSolver(system, person, steps=60, chunk=4, expression=0.1)
  found = solver.solve(frames, on_frames=done.append)
  assert done == [4, 2]  # the second chunk is filled up, and cut again
  assert np.degrees(np.abs(found.rotation - truth.rotation)).max() < 2
  assert np.abs(found.expression - truth.expression).mean() < 0.1
  # Ambient irradiance within a tenth: 8 bits and the sparse expression disturb it.
  level = found.light[:, 0].mean() / ambient_light(1.0)[0, 0]
  assert abs(level - 0.9) < 0.1
  # What is expected takes away what the l1 costs.
  known = solver.solve(frames._replace(expected=truth.expression))
  errors = [np.abs(w.expression - truth.expression).mean() for w in (found, known)]
  assert errors[1] < 0.8 * errors[0]  # 0.63 here


def test_sides_come_nearer_to_each_other_where_that_is_expected():
  apart = []
  for asymmetry in (0.0, 5.0):
    param = f"ExpressionPrior.asymmetry = {asymmetry}"
    config.parse(["fitting/personalize.gin"], ["LandmarkSolver.steps = 100", param])
    system = toy_fitting_system()
    person, truth = toy_truth(system, count=4)
    solver = TrackingSolver(system, person, steps=20, chunk=4)
    found = solver.solve(toy_frames(system, person, truth))
    left, right = found.expression[:, 1:].T  # of three: smile_L, smile_R
    apart.append(np.abs(left - right).mean())
  assert apart[1] < 0.8 * apart[0]  # 0.56 here


def test_what_happens_between_two_frames_is_found():
  system = toy_fitting_system()
  person, truth = toy_truth(system, count=4)
  frames = toy_frames(system, person, truth)
  solver = LandmarkSolver(system)
  tracking = TrackingParameters(frames.scenes, 3)
  batched = PersonModel(*(part[np.newaxis] for part in person))
  solver.solve(batched, frames, tracking)
  at_rest = _errors(system, person, tracking, frames)
  assert at_rest.max() < 1.5
  rows = tracking.rows.numpy()
  rows[:, -27:] = 0.3  # a light, which no landmark has a say in
  wrong = rows.copy()
  wrong[2, :3] += 9.0  # every shape of the third frame shows fully
  wrong[2, 3:6] += 10.0  # and the head is turned by a radian about each axis
  tracking.rows.assign(wrong)
  assert _errors(system, person, tracking, frames)[2] > 20
  solver.solve(batched, frames, tracking, warm=True)
  assert (_errors(system, person, tracking, frames) < 1.3 * at_rest).all()
  assert (tracking.rows.numpy()[:, -27:] == rows[:, -27:]).all()


def _errors(system, person, tracking, frames):
  points = project_landmarks(system, person, tracking.all())
  return nme_percent(points, frames.landmarks)


def test_prior_is_solved_by_the_same_solver():
  system = toy_fitting_system()
  frames = toy_frames(system, *toy_truth(system, count=4))
  found = TrackingSolver(system, None, steps=3, chunk=4).solve(frames)
  assert all(np.isfinite(part).all() for part in found)
  assert found.expression.shape == (4, 3)


def test_a_start_between_neighbours():
  rows = between(
    np.array([0.5, 9.0]), np.array([0.0, 1.0]), np.array([[0.0, 2.0], [1.0, 4.0]])
  )
  assert rows.tolist() == [[0.5, 3.0], [1.0, 4.0]]


def test_a_neighbour_half_a_second_away_is_no_start():
  known = np.array([0.0, 0.1, 2.0])
  near = is_near(np.array([0.05, 0.2, 0.6, 1.9, 3.0]), known)
  assert near.tolist() == [True, True, False, True, False]
