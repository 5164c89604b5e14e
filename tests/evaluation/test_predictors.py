"""Our own predictors, on a picture whose face is a bright square."""

import numpy as np
import pytest
from toy_clip import (
  FACE,
  SIZE,
  SquareTrackingSystem,
  StubDetector,
  expected_square_centre,
  picture,
  straight_path,
  toy_system,
)

from personalized_face.evaluation.benchmark import Sample
from personalized_face.evaluation.predictions import check
from personalized_face.evaluation.predictors import (
  STAGES,
  DetectorPredictor,
  ModelPredictor,
  NetworkSolver,
  PriorSolver,
)
from personalized_face.metrics.landmarks import nme_percent


@pytest.fixture(scope="module")
def system():
  return toy_system(system_class=SquareTrackingSystem)


def still(centre):
  return Sample("still", lambda: [picture(centre)])


def test_model_predictor_says_everything_in_the_units_of_the_format(system):
  predictor = ModelPredictor("ours", system, NetworkSolver(system), StubDetector())
  prediction = predictor.predict(still((70, 50)), [picture((70, 50))])
  check(prediction)
  assert all(value is not None for value in prediction)
  # The tracker puts a face of 1.4 dm on the square; the toy's landmarks fill it.
  middle = (prediction.landmarks.max(axis=0) + prediction.landmarks.min(axis=0)) / 2
  np.testing.assert_allclose(middle, (70, 50), atol=4)
  assert np.ptp(prediction.landmarks[:, 0]) == pytest.approx(FACE, rel=0.35)
  assert 80 < np.ptp(prediction.vertices[:, 0]) < 300  # mm
  assert -20_000 < prediction.translation[2] < -500
  marks = system.template.landmark_vertices
  np.testing.assert_array_equal(prediction.mesh_landmarks, prediction.vertices[marks])
  x0, y0, x1, y1 = prediction.box
  expected = expected_square_centre((70, 50))
  np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], expected, atol=1)
  assert prediction.rendering.shape == (SIZE, SIZE, 3)
  assert prediction.mask.any() and not prediction.mask.all()
  assert set(predictor.seconds) == set(STAGES)
  assert all(len(taken) == 1 for taken in predictor.seconds.values())


def test_prior_solver_is_the_template(system):
  predictor = ModelPredictor("prior", system, PriorSolver(system), StubDetector())
  prediction = predictor.predict(still((70, 50)), [picture((70, 50))])
  # The tracker says no expression: the template in millimetres.
  np.testing.assert_allclose(
    prediction.vertices, 100 * system.template.vertices, atol=1e-3
  )
  np.testing.assert_allclose(prediction.vertices, prediction.template_vertices)
  networks = ModelPredictor("ours", system, NetworkSolver(system), StubDetector())
  other = networks.predict(still((70, 50)), [picture((70, 50))])
  assert np.abs(other.vertices - prediction.vertices).max() > 0.1
  np.testing.assert_allclose(other.template_vertices, prediction.vertices, atol=1e-3)


def test_no_face_is_said_and_not_guessed(system):
  for predictor in (
    ModelPredictor("ours", system, NetworkSolver(system), StubDetector()),
    DetectorPredictor(StubDetector()),
  ):
    assert not predictor.predict(still(None), [picture(None)]).found


def test_a_still_does_not_remember_the_still_before(system):
  predictor = ModelPredictor("ours", system, NetworkSolver(system), StubDetector())
  predictor.predict(still((70, 50)), [picture((70, 50))])
  assert not predictor.predict(still(None), [picture(None)]).found


def test_a_clip_takes_the_box_from_the_frame_before(system):
  detector = StubDetector()
  predictor = ModelPredictor("ours", system, NetworkSolver(system), detector)
  for i, centre in enumerate(straight_path(6)):
    sample = Sample(f"a/{i}", list, clip="a")
    prediction = predictor.predict(sample, [picture(centre)])
    middle = (prediction.box[:2] + prediction.box[2:]) / 2
    np.testing.assert_allclose(middle, expected_square_centre(centre), atol=8)
  assert detector.calls == 1
  predictor.predict(Sample("b/0", list, clip="b"), [picture((70, 50))])
  assert detector.calls == 2


def test_two_views_of_a_person_are_both_looked_at(system):
  detector = StubDetector()
  predictor = ModelPredictor("ours", system, NetworkSolver(system), detector)
  # The other darker: crops of the square alone would be the same picture.
  views = [picture((70, 50)), (0.75 * picture((40, 40))).astype(np.uint8)]
  both = predictor.predict(Sample("ab", list), views)
  assert detector.calls == 2
  one = predictor.predict(Sample("a", list), views[:1])
  np.testing.assert_allclose(both.box, one.box)  # of the first picture
  assert np.abs(both.neutral - one.neutral).max() > 1e-3
  # A view without a face is left out, not averaged in.
  again = predictor.predict(Sample("c", list), [views[0], picture(None)])
  np.testing.assert_allclose(again.neutral, one.neutral, atol=1e-4)
  assert (both.pictures_used, one.pictures_used, again.pictures_used) == (2, 1, 1)


def test_landmark_vertices_choose_the_annotated_points(system):
  marked = np.arange(68) % 60
  predictor = ModelPredictor(
    "ours", system, NetworkSolver(system), StubDetector(), landmark_vertices=marked
  )
  prediction = predictor.predict(still((70, 50)), [picture((70, 50))])
  np.testing.assert_array_equal(prediction.mesh_landmarks, prediction.vertices[marked])


def test_detector_predictor_gives_its_own_points():
  predictor = DetectorPredictor(StubDetector())
  prediction = predictor.predict(still((70, 50)), [picture((70, 50))])
  low, high = prediction.landmarks.min(axis=0), prediction.landmarks.max(axis=0)
  np.testing.assert_allclose(low, (70 - FACE / 2, 50 - FACE / 2))
  np.testing.assert_allclose(high, (70 + FACE / 2, 50 + FACE / 2))
  assert prediction.vertices is None
  assert nme_percent(prediction.landmarks, prediction.landmarks) == 0
