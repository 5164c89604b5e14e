import pathlib

import pytest

from personalized_face import resources
from personalized_face.core.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


def test_a_checkout_uses_its_own_folders():
  assert pathlib.Path(resources.gin_dir()) == ROOT / "gin"
  assert pathlib.Path(resources.data_specs_dir()) == ROOT / "data_specs"


def test_the_folder_inside_the_package_comes_first(tmp_path, monkeypatch):
  # As in a wheel: site-packages may hold anything beside the package.
  package = tmp_path / "personalized_face"
  for folder in (package / "gin_configs" / "losses", tmp_path / "gin"):
    folder.mkdir(parents=True)
  (package / "gin_configs" / "losses" / "paper.gin").touch()
  monkeypatch.setattr(resources, "_PACKAGE", str(package))
  assert resources.gin_dir() == str(package / "gin_configs")
  assert resources.gin_files() == ["losses/paper.gin"]


def test_missing_folder_is_reported(tmp_path, monkeypatch):
  monkeypatch.setattr(resources, "_PACKAGE", str(tmp_path / "personalized_face"))
  with pytest.raises(UserError, match="data_specs/ .*install"):
    resources.data_specs_dir()
