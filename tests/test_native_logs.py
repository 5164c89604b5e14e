import os

import pytest

from personalized_face import native_logs


def test_silenced_closes_the_descriptor_for_the_block_only(capfd):
  os.write(2, b"before\n")
  with native_logs.silenced():
    os.write(2, b"inside\n")
  os.write(2, b"after\n")
  assert capfd.readouterr().err == "before\nafter\n"


def test_silenced_lets_exceptions_through(capfd):
  with pytest.raises(ValueError, match="seen"), native_logs.silenced():
    raise ValueError("seen")
  os.write(2, b"after\n")
  assert capfd.readouterr().err == "after\n"


def test_silenced_leaks_no_descriptor():
  before = len(os.listdir("/proc/self/fd"))
  with native_logs.silenced():
    pass
  assert len(os.listdir("/proc/self/fd")) == before


def test_what_the_user_asked_to_hear_is_heard(monkeypatch):
  monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
  monkeypatch.setenv("GLOG_minloglevel", "")
  monkeypatch.delenv("GLOG_minloglevel")
  native_logs.ask_for_quiet()
  assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
  assert os.environ["GLOG_minloglevel"] == "2"
