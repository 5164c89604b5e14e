"""The toy system and a person of it, made once for each file that asks."""

import pytest
from toy_clip import toy_person, toy_system


@pytest.fixture(scope="module")
def system():
  return toy_system()


@pytest.fixture(scope="module")
def person(system):
  return toy_person(system)
