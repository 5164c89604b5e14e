"""What tests of training share: toy records, and no gin left from test to test."""

import gin
import pytest
from toy_run import write_toy_records


@pytest.fixture(scope="module")
def records_dir(tmp_path_factory):
  return write_toy_records(str(tmp_path_factory.mktemp("toy") / "records"))


@pytest.fixture(autouse=True)
def clean_gin():
  yield
  gin.clear_config()
