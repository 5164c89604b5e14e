"""The cached default template: built once, rebuilt when damaged."""

import dataclasses

import pytest
from helpers import toy_template

from personalized_face.authoring import cache, default_template
from personalized_face.core.errors import UserError
from personalized_face.template.face_template import FaceTemplate


@pytest.fixture
def builds(monkeypatch, tmp_path):
  """Counts builds of a small stand-in, in a cache folder of its own."""
  calls = []

  def build():
    calls.append(1)
    return dataclasses.replace(toy_template(), name="default")

  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setattr(default_template, "build_default_template", build)
  cache._load_default.cache_clear()
  yield calls
  cache._load_default.cache_clear()


def test_builds_once_and_then_reads(builds, tmp_path):
  first = cache.load_template()
  cache._load_default.cache_clear()  # as in another process
  second = cache.load_template("default")
  assert len(builds) == 1
  assert first.hash == second.hash
  folder = tmp_path / "personalized_face"
  assert [file.suffix for file in folder.iterdir()] == [".npz"]


def test_a_damaged_file_is_built_again(builds):
  cache.load_template()
  with open(cache.default_cache_path(), "r+b") as file:
    file.truncate(100)
  cache._load_default.cache_clear()
  assert cache.load_template().name == "default"
  assert len(builds) == 2
  assert FaceTemplate.load(cache.default_cache_path()).name == "default"


def test_a_folder_that_cannot_be_written_is_no_error(builds, monkeypatch, tmp_path):
  blocker = tmp_path / "file"
  blocker.write_text("")
  monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
  assert cache.load_template().name == "default"


def test_by_path(tmp_path):
  path = str(tmp_path / "toy.npz")
  toy_template().save(path)
  assert cache.load_template(path).hash == toy_template().hash
  with pytest.raises(UserError, match="no template file"):
    cache.load_template(str(tmp_path / "other.npz"))
