"""Every shipped gin file parses strictly, by itself."""

import gin
import pytest

from personalized_face import config, resources


@pytest.fixture(autouse=True)
def no_configuration_left():
  yield
  gin.clear_config()


@pytest.mark.parametrize("name", resources.gin_files())
def test_shipped_gin_file_parses(name):
  config.parse([name])
  assert gin.config_str().strip(), f"{name} configures nothing"


def test_the_papers_configs_are_shipped():
  shipped = resources.gin_files()
  assert "papers/personalized_face/stage1.gin" in shipped
  assert "papers/personalized_face/stage2.gin" in shipped
