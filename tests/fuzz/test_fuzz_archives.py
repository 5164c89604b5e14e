"""Hostile .npz and .npy files: persons, motions, templates, predictions, others."""

import dataclasses
import io
import os
import pathlib
import zipfile

import hostile
import numpy as np
import pytest
from face_model.test_person_motion_files import _motion, _person
from helpers import toy_template
from hostile import Format, changed_npz, finite, mangled, refuses

from personalized_face.core.errors import UserError
from personalized_face.evaluation import aflw2000, predictions, registration
from personalized_face.face_model.files import (
  checked_motion,
  load_motion,
  load_motion_as_is,
  load_person,
  save_motion,
  save_person,
)
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training import replay

TOY = toy_template()
RNG = np.random.default_rng(0)


def _write_prediction(path):
  points = RNG.normal(size=(68, 3))
  predictions.write_prediction(
    path,
    predictions.Prediction(
      True,
      landmarks=points[:, :2],
      vertices=points,
      triangles=np.array([[0, 1, 2]]),
      coefficients=np.array([0.5]),
      coefficient_names=("jawOpen",),
      pictures_used=1,
    ),
  )


def _check_prediction(prediction):
  predictions.check(prediction)
  assert prediction.found in (True, False)


def _write_correspondence(path):
  registration.save_correspondence(
    path,
    registration.Correspondence(
      RNG.integers(0, 9, (5, 3)), RNG.random((5, 3)), np.ones(5, bool), 9
    ),
  )


def _check_correspondence(correspondence):
  finite(correspondence.points(np.ones((correspondence.target_vertices, 3))))


def _write_replay(path):
  fields = {name: np.zeros(2) for name in replay._FIELDS}
  np.savez(path, **fields)


def _write_points(path):
  np.save(path, RNG.random((2, 2, 68)))


def _read_points(path):
  names = pathlib.Path(path).with_suffix(".txt")
  names.write_text("a.jpg\nb.jpg\n")
  try:
    return aflw2000._read_reannotated(path, str(names))
  finally:
    names.unlink()


FORMATS = (
  Format(
    "person.npz",
    lambda path: save_person(path, _person(), TOY),
    lambda path: load_person(path, TOY),
    changed_npz,
    lambda person: finite(*person),
  ),
  Format(
    "motion.npz",
    lambda path: save_motion(path, _motion(), TOY),
    lambda path: load_motion(path, TOY),
    changed_npz,
    checked_motion,
  ),
  Format(
    "truth.npz",
    lambda path: save_motion(path, _motion(), TOY),
    lambda path: load_motion_as_is(path)[0],
    changed_npz,
    checked_motion,
  ),
  Format(
    "template.npz",
    TOY.save,
    FaceTemplate.load,
    changed_npz,
    lambda template: finite(template.vertices, template.blendshape_deltas),
  ),
  Format(
    "prediction.npz",
    _write_prediction,
    predictions.read_prediction,
    changed_npz,
    _check_prediction,
  ),
  Format(
    "correspondence.npz",
    _write_correspondence,
    registration.load_correspondence,
    changed_npz,
    _check_correspondence,
  ),
  Format("replay.npz", _write_replay, replay._load, changed_npz),
  Format(
    "points.npy",
    _write_points,
    _read_points,
    mangled,
    lambda points: finite(*points.values()),
  ),
)


@pytest.mark.parametrize("case", FORMATS, ids=[case.file for case in FORMATS])
def test_archive(case, tmp_path):
  hostile.attack(case, tmp_path)


def _bomb(most: int) -> bytes:
  """An archive of some MB that unpacks to `most` bytes of zeros, and one more."""
  header = hostile.npy(f"{{'descr':'|u1','fortran_order':False,'shape':({most + 1},)}}")
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    with archive.open("neutral_correction.npy", "w") as file:
      file.write(header)
      for _ in range(most >> 20):
        file.write(bytes(1 << 20))
  return buffer.getvalue()


def test_what_unpacks_to_more_than_a_person_is_not_unpacked(tmp_path):
  path = tmp_path / "person.npz"
  path.write_bytes(_bomb(300 << 20))  # the limit of the memory is 256 MB
  assert refuses(lambda name: load_person(name, TOY), path)
  with pytest.raises(UserError, match="person.npz .*unpacks to 3145"):
    load_person(str(path), TOY)


@pytest.mark.parametrize("name", ["../../evil", "/evil", "", "a\0b", "x" * 300])
def test_a_blendshape_names_no_file_elsewhere(tmp_path, name):
  """Of the K blendshapes `blendshapes/NAME.obj` are written."""
  with pytest.raises(ValueError, match="cannot be that of a file"):
    dataclasses.replace(TOY, blendshape_names=("jawOpen", name, "smile_R"))
  path = str(tmp_path / "template.npz")
  TOY.save(path)
  with np.load(path) as file:
    data = dict(file)
  data["blendshape_names"] = np.array(["jawOpen", name, "smile_R"])
  np.savez(path, **data)
  with pytest.raises(UserError, match="cannot be that of a file"):
    FaceTemplate.load(path)
  assert os.listdir(tmp_path) == ["template.npz"]
