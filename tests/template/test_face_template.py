"""The template's container and its file."""

import dataclasses

import numpy as np
import pytest
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.template.face_template import FaceTemplate


def test_round_trip_keeps_everything(tmp_path):
  template = toy_template()
  path = str(tmp_path / "toy.npz")
  template.save(path)
  loaded = FaceTemplate.load(path)
  for field in dataclasses.fields(FaceTemplate):
    np.testing.assert_array_equal(
      getattr(loaded, field.name), getattr(template, field.name)
    )
  assert loaded.hash == template.hash
  assert [file.name for file in tmp_path.iterdir()] == ["toy.npz"]


def test_hash_sees_a_moved_vertex():
  template = toy_template()
  moved = template.vertices.copy()
  moved[5, 1] += 1e-4
  assert dataclasses.replace(template, vertices=moved).hash != template.hash


def test_where_the_detector_sees_landmarks_is_no_part_of_the_hash(tmp_path):
  """A person fitted before it was measured is still one of this template."""
  template = toy_template()
  assert not template.landmark_offsets.any()
  measured = dataclasses.replace(
    template, landmark_offsets=np.full([68, 3], 0.01, np.float32)
  )
  assert measured.hash == template.hash
  path = str(tmp_path / "toy.npz")
  measured.save(path)
  assert (FaceTemplate.load(path).landmark_offsets == np.float32(0.01)).all()


def test_a_file_from_before_they_were_measured_has_none(tmp_path):
  path = str(tmp_path / "toy.npz")
  toy_template().save(path)
  with np.load(path) as file:
    data = {name: value for name, value in file.items() if name != "landmark_offsets"}
  np.savez(path, **data)
  assert not FaceTemplate.load(path).landmark_offsets.any()


def test_arrays_are_read_only():
  with pytest.raises(ValueError):
    toy_template().vertices[0, 0] = 1


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("triangles", np.array([[0, 1, 99]], np.int32), "points outside"),
    ("vertices", np.zeros([64, 2], np.float32), "expected float32"),
    ("vertices", np.full([64, 3], np.nan, np.float32), "not finite"),
    ("blendshape_names", ("a", "a", "b"), "same name"),
    ("uv", np.full([64, 2], 1.5, np.float32), "leaves"),
    ("landmark_offsets", np.zeros([17, 3], np.float32), "expected float32"),
  ],
)
def test_bad_arrays_are_named(field, value, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(toy_template(), **{field: value})


def test_missing_file(tmp_path):
  with pytest.raises(UserError, match="no template file"):
    FaceTemplate.load(str(tmp_path / "none.npz"))


def test_truncated_file(tmp_path):
  path = tmp_path / "toy.npz"
  toy_template().save(str(path))
  path.write_bytes(path.read_bytes()[:400])
  with pytest.raises(UserError, match="not a readable template"):
    FaceTemplate.load(str(path))


def _resaved(path, **changes):
  with np.load(path) as file:
    data = dict(file)
  np.savez(path, **{**data, **changes})


def test_other_version(tmp_path):
  path = str(tmp_path / "toy.npz")
  toy_template().save(path)
  _resaved(path, format_version=np.array(999))
  with pytest.raises(UserError, match="format 999"):
    FaceTemplate.load(path)


def test_altered_contents(tmp_path):
  path = str(tmp_path / "toy.npz")
  template = toy_template()
  template.save(path)
  _resaved(path, vertices=template.vertices + np.float32(0.01))
  with pytest.raises(UserError, match="damaged"):
    FaceTemplate.load(path)


def test_another_unit_is_refused(tmp_path):
  path = str(tmp_path / "toy.npz")
  toy_template().save(path)
  _resaved(path, unit=np.array("inch"))
  with pytest.raises(UserError, match="unit 'inch', not in decimetres"):
    FaceTemplate.load(path)


def test_anatomical_landmarks_default_to_the_detectors_and_are_kept(tmp_path):
  template = toy_template()
  np.testing.assert_array_equal(
    template.anatomical_landmarks, template.landmark_vertices
  )
  own = (template.landmark_vertices + 1) % template.num_vertices
  other = dataclasses.replace(template, anatomical_landmarks=own.astype(np.int32))
  assert other.hash != template.hash
  path = str(tmp_path / "toy.npz")
  other.save(path)
  loaded = FaceTemplate.load(path)
  np.testing.assert_array_equal(loaded.anatomical_landmarks, own)
  np.testing.assert_array_equal(loaded.landmark_vertices, template.landmark_vertices)
