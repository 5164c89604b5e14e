"""Five lines of Python from a clip to a face, with the toy template and few steps."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_personalize import QUICK
from toy_clip import StubDetector, picture, small_template, straight_path, write_clip

import personalized_face as pf
from personalized_face.export.files import write_png
from personalized_face.export.motion import read_motion_csv
from personalized_face.face_model.files import load_person
from personalized_face.pipelines.personalize import personalize


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("notebook")
  write_clip(path / "clip.mp4", straight_path(8))
  write_png(str(path / "photo.png"), picture((50, 50)))
  small_template().save(str(path / "toy.npz"))
  return path


@pytest.fixture(scope="module")
def face(folder):
  return pf.personalize(
    folder / "clip.mp4",
    str(folder / "photo.png"),
    template=str(folder / "toy.npz"),
    gin_params=QUICK,
    detector=StubDetector(),
  )


def test_importing_the_package_imports_no_tensorflow():
  code = (
    "import sys, personalized_face as pf\n"
    "assert {'personalize', 'Face'} <= set(dir(pf))\n"
    "assert not {'tensorflow', 'numpy', 'cv2'} & set(sys.modules)\n"
  )
  paths = os.pathsep.join([os.path.dirname(os.path.dirname(pf.__file__)), *sys.path])
  environment = {**os.environ, "PYTHONPATH": paths}
  subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_what_is_not_there_is_an_attribute_error():
  with pytest.raises(AttributeError, match="'personalise'"):
    _ = pf.personalise


def test_a_notebook_shows_the_sheet(face):
  sheet = face.sheet(num_rows=2)
  shown = Image.open(io.BytesIO(face._repr_png_()))
  assert shown.format == "PNG" and shown.width == sheet.width
  assert shown.height > sheet.height  # 7 rows, not 2
  assert np.asarray(sheet).std() > 10  # neither black nor white
  assert face.sheet(source=1).height < sheet.height  # of the one photo
  assert "clip.mp4" in repr(face) and "9 frames" in repr(face)


@pytest.mark.parametrize(
  ("name", "start"),
  [("anna.glb", b"glTF"), ("page.html", b"<!"), ("motion.json", b"{")],
)
def test_the_ending_says_what_is_written(face, tmp_path, name, start):
  path = tmp_path / "new" / name
  assert face.save(path) == str(path)
  assert path.read_bytes().startswith(start)
  assert os.listdir(path.parent) == [name]


def test_person_and_motion_are_those_of_the_fit(face, tmp_path):
  template = face.fitted.system.template
  person = load_person(face.save(str(tmp_path / "anna.npz")), template)
  np.testing.assert_array_equal(
    person.neutral_correction, face.fitted.person.neutral_correction
  )
  path = face.save(str(tmp_path / "anna.csv"))
  motion = read_motion_csv(path, template.blendshape_names)
  assert len(motion.times) == 8
  np.testing.assert_array_equal(
    motion.tracking.translation, face.fitted.tracking.translation[:8]
  )


def test_the_folder_is_the_command_s(face, folder, tmp_path, monkeypatch):
  # One fit is enough: what is written of it is compared.
  monkeypatch.setattr(
    "personalized_face.pipelines.personalize.fit_person", lambda *args: face.fitted
  )
  face.save(str(tmp_path / "face"))
  personalize(
    [str(folder / "clip.mp4"), str(folder / "photo.png")],
    str(tmp_path / "command"),
    str(folder / "toy.npz"),
    detector=StubDetector(),
    avatar=True,
  )

  def files(name):
    top = tmp_path / name
    return {p.relative_to(top): p for p in top.rglob("*") if p.is_file()}

  ours = files("face")
  assert set(ours) == set(files("command"))
  assert all(path.stat().st_size for path in ours.values())
  template = face.fitted.system.template
  loaded = [
    load_person(str(tmp_path / name / "person.npz"), template)
    for name in ("face", "command")
  ]
  for ours, theirs in zip(*loaded, strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_another_ending_is_one_sentence(face, tmp_path):
  with pytest.raises(pf.UserError, match=r"face.fbx; give a folder, or .*\.glb"):
    face.save(str(tmp_path / "face.fbx"))
