"""Fixtures of the rendering tests."""

import pytest

from personalized_face.rendering.kernels import build


@pytest.fixture(params=["cpu", "xla"])
def each_backend(request, monkeypatch):
  """Runs a test with what "auto" stands for with the kernel, and without it."""
  if request.param == "xla":
    monkeypatch.setattr(build, "load", lambda: None)
  elif build.load() is None:
    pytest.skip("there is no C++ compiler here")
  return request.param
