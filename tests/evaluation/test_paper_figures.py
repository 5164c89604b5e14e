"""The paper's figures on a small system, and the registration command's pipeline."""

import numpy as np
import pytest
from evaluation.scan_fixtures import (
  LANDMARKS,
  face,
  numbers,
  write_landmarks,
  write_obj,
)
from toy_clip import SIZE, StubDetector, picture, toy_system

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel
from personalized_face.evaluation import paper_figures
from personalized_face.evaluation.benchmark import Sample
from personalized_face.evaluation.meshes import read_mesh
from personalized_face.evaluation.paper_figures import Shown, Solved
from personalized_face.evaluation.predictions import NOT_FOUND, Prediction
from personalized_face.evaluation.predictors import (
  DetectorPredictor,
  ModelPredictor,
  NetworkSolver,
)
from personalized_face.evaluation.registration import load_correspondence
from personalized_face.inference.render import ClipRenderer
from personalized_face.pipelines.registration import register_files


@pytest.fixture(scope="module")
def system():
  return toy_system()


@pytest.fixture(scope="module")
def predictor(system):
  return ModelPredictor("ours", system, NetworkSolver(system), StubDetector())


@pytest.fixture(scope="module")
def solved(predictor):
  predictor.predict(Sample("a", list), [picture((70, 50))])
  return Solved("a", *predictor.solved)


def pictures_in(figure):
  return [axes.images[0].get_array() if axes.images else None for axes in figure.axes]


def test_columns_figure(system, solved):
  shown = pictures_in(paper_figures.columns_figure(ClipRenderer(system, 1), [solved]))
  assert len(shown) == 5 and all(image.shape == (SIZE, SIZE, 3) for image in shown)
  np.testing.assert_allclose(shown[0], solved.crop / 255, atol=1e-6)
  assert np.abs(shown[1] - shown[0]).max() > 0.1  # a face lies on it


def test_personalization_figure_adds_one_thing_at_a_time(system, solved):
  bare = system.face_model.template_person()
  bare = PersonModel(*(np.asarray(value)[0] for value in bare))
  renderer = ClipRenderer(system, 1)
  albedo = np.asarray(system.mean_albedo)

  def drawn(person):
    item = solved._replace(person=person)
    figure = paper_figures.personalization_figure(renderer, bare, albedo, [item])
    return pictures_in(figure)

  _, prior, identity, full, left, right = drawn(solved.person)
  assert np.abs(identity - prior).max() > 0.02 and np.abs(full - identity).max() > 0.02
  assert np.abs(left - right).max() > 0.1
  # A person without corrections is the prior in every column.
  none = bare._replace(static_albedo=albedo)
  _, prior, identity, full, *_ = drawn(none)
  np.testing.assert_allclose(identity, prior, atol=1e-5)
  np.testing.assert_allclose(full, prior, atol=1e-5)


def test_corrections_figure_highlights_what_changed(system, solved):
  template, renderer = system.template, ClipRenderer(system, 1)
  person = solved.person._replace(
    blendshape_corrections=np.zeros_like(solved.person.blendshape_corrections)
  )
  names = ["jawOpen", "not there"]
  figure = paper_figures.corrections_figure(renderer, template, person, names)
  before, after, moved, static, dynamic, changed = pictures_in(figure)
  np.testing.assert_allclose(before, after, atol=1e-6)
  np.testing.assert_allclose(moved, after, atol=1e-6)  # nothing is highlighted
  assert np.abs(dynamic - static).max() > 0.02
  assert np.abs(changed - dynamic).max() > 0.02


def test_corrections_figure_highlights_what_moved(system, solved):
  person = solved.person
  correction = np.zeros_like(person.blendshape_corrections)
  correction[..., 2] = np.random.default_rng(0).normal(0, 0.1, correction.shape[:-1])
  figure = paper_figures.corrections_figure(
    ClipRenderer(system, 1),
    system.template,
    person._replace(blendshape_corrections=correction),
    ["jawOpen"],
  )
  before, after, moved = pictures_in(figure)[:3]
  differs = np.abs(after - before).max(axis=-1)
  assert differs.max() > 0.1
  np.testing.assert_allclose(moved[differs == 0], after[differs == 0], atol=1e-6)
  # Full colour from a change by 0.25 on: there the picture is the colour.
  there = differs > 0.1
  redder = (moved - after)[there]
  assert (redder[:, 1] < 0).mean() > 0.9  # grey clay has more green than the red has


def test_side_by_side_leaves_a_face_that_was_not_found_empty(predictor):
  sample, image = Sample("a", list), picture((70, 50))
  points = DetectorPredictor(StubDetector()).predict(sample, [image])
  predictions = {
    "ours": predictor.predict(sample, [image]),
    "detector": points,
    "blind": NOT_FOUND,
    "mesh": Prediction(True, vertices=face(9).vertices, neutral=face(9).vertices),
  }
  shown = [Shown(sample, image, predictions, points.landmarks)]
  figure = paper_figures.side_by_side_figure(shown, list(predictions))
  reference, ours, detector, blind, mesh = pictures_in(figure)
  assert blind is None and mesh is None and ours.shape == (SIZE, SIZE, 3)
  assert reference.shape == detector.shape
  assert np.abs(reference.astype(int) - detector).max() > 50  # the system's points
  figure = paper_figures.landmarks_figure(shown, list(predictions))
  assert [image is None for image in pictures_in(figure)] == [0, 0, 0, 1, 1]


def write_source(folder):
  """A mesh of another system and the vertices of its landmarks."""
  write_obj(folder / "source.obj", face(17))
  lines = [f"{index} {vertex}" for index, vertex in LANDMARKS.items()]
  (folder / "source.txt").write_text("\n".join(lines))
  write_obj(folder / "target.obj", face(30))
  write_landmarks(folder / "target.txt", face(17))
  return {
    "target": str(folder / "target.obj"),
    "landmarks": str(folder / "target.txt"),
    "output": str(folder / "out" / "match.npz"),
    "source": str(folder / "source.obj"),
    "source_landmarks": str(folder / "source.txt"),
  }


def test_register_files(tmp_path):
  paths = write_source(tmp_path)
  matched, distance = register_files(bent=str(tmp_path / "bent.obj"), **paths)
  assert matched > 0.7 and distance < 0.005
  match = load_correspondence(paths["output"])
  inside = np.abs(face(17).vertices[:, :2]).max(axis=1) < 70
  away = np.abs(match.points(face(30).vertices) - face(17).vertices)[inside]
  assert away.max() < 3  # mm, of triangles of 5.5 mm
  bent = read_mesh(str(tmp_path / "bent.obj"))
  np.testing.assert_array_equal(bent.triangles, face(17).triangles)
  assert np.abs(bent.vertices - face(17).vertices)[inside].max() < 3  # the same unit


def test_register_files_exception_raised(tmp_path):
  paths = write_source(tmp_path)
  with pytest.raises(UserError, match="--source_landmarks"):
    register_files(**{**paths, "source_landmarks": None})
  (tmp_path / "source.txt").write_text("30 144\n36 37\n45 49")
  with pytest.raises(UserError, match="3 landmarks do not place"):
    register_files(**paths)
  lines = [f"v {numbers(vertex)}" for vertex in face(17).vertices]
  (tmp_path / "target.obj").write_text("\n".join(lines))
  with pytest.raises(UserError, match="no triangles"):
    register_files(**paths)
