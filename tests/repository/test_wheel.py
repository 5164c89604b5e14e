"""The wheel is complete, and finds its gin files and data specs once unpacked."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from repository.commands import ROOT, command_names

SOURCES = ("personalized_face", "gin", "tools", "data_specs")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
  """The wheel's contents; built from a copy, as building leaves folders behind."""
  copy = tmp_path_factory.mktemp("checkout")
  for name in SOURCES:
    shutil.copytree(
      ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
    )
  for name in FILES:
    shutil.copy(ROOT / name, copy)
  subprocess.run(
    [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    + ["--no-build-isolation", "--wheel-dir", str(copy / "dist"), str(copy)],
    check=True,
    timeout=120,
  )
  (wheel,) = (copy / "dist").glob("personalized_face-*-py3-none-any.whl")
  folder = tmp_path_factory.mktemp("installed")
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder)
  return folder


def files_below(folder) -> set[str]:
  return {
    path.relative_to(folder).as_posix()
    for path in folder.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
  }


def test_wheel_holds_the_whole_checkout(unpacked):
  places = {
    "personalized_face": "personalized_face",
    "personalized_face/gin_configs": "gin",
    "personalized_face/tools": "tools",
    "personalized_face/data_specs": "data_specs",
  }
  wanted = {
    f"{place}/{name}"
    for place, source in places.items()
    for name in files_below(ROOT / source)
  }
  held = {name for name in files_below(unpacked) if ".dist-info/" not in name}
  assert held == wanted


def test_wheel_does_not_collide_with_gin_config(unpacked):
  assert {path.name.split("-")[0] for path in unpacked.iterdir()} == {
    "personalized_face"
  }
  assert not (unpacked / "personalized_face/gin_configs/__init__.py").exists()


def test_wheel_has_every_command(unpacked):
  (info,) = unpacked.glob("*.dist-info")
  lines = (info / "entry_points.txt").read_text().splitlines()
  assert {
    f"pface_{name} = personalized_face.tools.{name}:run" for name in command_names()
  } <= set(lines)


def test_unpacked_wheel_finds_its_resources(unpacked, tmp_path):
  code = (
    "from personalized_face import resources as r; import personalized_face.tools as t;"
    "print(r.gin_dir(), r.data_specs_dir(), *t.__path__, len(r.gin_files()), sep='\\n')"
  )
  output = subprocess.run(
    [sys.executable, "-c", code],
    env={**os.environ, "PYTHONPATH": str(unpacked)},
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=True,
    timeout=60,
  ).stdout.splitlines()
  package = unpacked / "personalized_face"
  assert output[:3] == [
    str(package / name) for name in ("gin_configs", "data_specs", "tools")
  ]
  assert int(output[3]) > 0
