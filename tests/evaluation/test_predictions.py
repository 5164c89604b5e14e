import numpy as np
import pytest

from personalized_face.core.errors import UserError
from personalized_face.evaluation.benchmark import Sample
from personalized_face.evaluation.predictions import (
  NOT_FOUND,
  Prediction,
  path_of,
  read_prediction,
  write_prediction,
)
from personalized_face.evaluation.predictors import FilePredictor


def full_prediction(vertices=9, blendshapes=3, size=8):
  rng = np.random.default_rng(0)
  mesh = rng.normal(size=[vertices, 3]).astype(np.float32)
  return Prediction(
    found=True,
    landmarks=rng.normal(size=[68, 2]).astype(np.float32),
    vertices=mesh,
    triangles=np.array([[0, 1, 2], [3, 4, 8]], np.int32),
    mesh_landmarks=np.full([68, 3], np.nan, np.float32),
    neutral=mesh,
    template_vertices=mesh,
    coefficients=np.linspace(0, 1, blendshapes, dtype=np.float32),
    coefficient_names=("jawOpen", "smile_L", "smile_R"),
    rotation=np.zeros(3, np.float32),
    translation=np.array([0, 0, -1000], np.float32),
    light=np.ones([9, 3], np.float32),
    albedo=np.ones([4, 4, 3], np.float32),
    rendering=np.ones([size, size, 3], np.float32),
    mask=np.ones([size, size], bool),
    box=np.array([0, 0, 8, 8], np.float32),
  )


def test_round_trip(tmp_path):
  prediction = full_prediction()
  path = path_of(str(tmp_path), "folder/picture")
  write_prediction(path, prediction)
  read = read_prediction(path)
  for field in Prediction._fields:
    np.testing.assert_array_equal(getattr(read, field), getattr(prediction, field))
  assert [p.name for p in (tmp_path / "folder").iterdir()] == ["picture.npz"]


def test_round_trip_of_no_face_and_of_landmarks_alone(tmp_path):
  for prediction in (NOT_FOUND, Prediction(True, landmarks=np.zeros([68, 2]))):
    write_prediction(str(tmp_path / "a.npz"), prediction)
    read = read_prediction(str(tmp_path / "a.npz"))
    assert read.found == prediction.found and read.vertices is None


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"landmarks": np.zeros([67, 2])}, "landmarks"),
    ({"landmarks": np.full([68, 2], np.nan)}, "landmarks .* not finite"),
    ({"neutral": np.zeros([8, 3])}, "neutral has 8"),
    ({"triangles": np.array([[0, 1, 9]])}, "outside the 9"),
    ({"triangles": np.array([[0, 1, 2.0]])}, "not integers"),
    ({"vertices": None}, "without vertices"),
    ({"coefficient_names": None}, "without coefficient_names"),
    ({"coefficient_names": ("a", "a", "b")}, "twice"),
    ({"mask": np.ones([4, 4], bool)}, "mask has 4"),
    ({"box": None}, "without box"),
  ],
)
def test_write_exception_raised(tmp_path, change, message):
  with pytest.raises(ValueError, match=message):
    write_prediction(str(tmp_path / "a.npz"), full_prediction()._replace(**change))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"found": True}, "format None"),
    ({"found": True, "format_version": 2}, "format 2"),
    ({"format_version": 1}, "`found`"),
    ({"found": True, "format_version": 1, "landmark": 1}, "unknown field 'landmark'"),
    ({"found": True, "format_version": 1, "box": np.zeros(3)}, "box has shape"),
  ],
)
def test_read_exception_raised(tmp_path, arrays, message):
  np.savez(tmp_path / "a.npz", **arrays)
  with pytest.raises(UserError, match=message):
    read_prediction(str(tmp_path / "a.npz"))


def test_read_damaged_or_missing(tmp_path):
  (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not really")
  with pytest.raises(UserError, match="not a readable"):
    read_prediction(str(tmp_path / "a.npz"))
  with pytest.raises(UserError, match="no prediction"):
    read_prediction(str(tmp_path / "b.npz"))


def test_file_predictor_tells_missing_from_not_found(tmp_path):
  write_prediction(str(tmp_path / "seen.npz"), NOT_FOUND)
  predictor = FilePredictor(str(tmp_path))
  assert predictor.name == tmp_path.name
  assert predictor.predict(Sample("seen", list), []) == NOT_FOUND
  assert predictor.predict(Sample("unseen", list), []) is None
  with pytest.raises(UserError, match="no folder"):
    FilePredictor(str(tmp_path / "nowhere"))
