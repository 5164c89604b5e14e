"""Fixtures and settings of all tests."""

import os
import pathlib
import sys

import gin
import pytest

# Before TensorFlow is imported anywhere: its start-up notices are not test results.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent))  # `from helpers import ...`

_DEFAULT_DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
  """The folder of real videos and pictures; the test is skipped where it is absent."""
  folder = pathlib.Path(os.environ.get("PERSONALIZED_FACE_DATA", _DEFAULT_DATA))
  if not folder.is_dir():
    pytest.skip(
      f"no test data in {folder}; set PERSONALIZED_FACE_DATA to a folder that has them"
    )
  return folder


@pytest.fixture(scope="module", autouse=True)
def no_gin_left():
  """A file's gin settings do not reach the next file's tests."""
  yield
  gin.clear_config()
