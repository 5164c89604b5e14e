"""`pface`: every command is listed, and runs under its short name."""

import runpy
import sys

import pytest
from repository.commands import command_names

from personalized_face.tools import _front_door


def call(monkeypatch, *arguments):
  monkeypatch.setattr(sys, "argv", ["pface", *arguments])
  _front_door.run()


def test_every_command_is_listed_once():
  listed = [name for names in _front_door.TASKS.values() for name in names]
  assert sorted(listed) == sorted(command_names())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_overview_shows_each_command_with_its_line(monkeypatch, capsys, arguments):
  call(monkeypatch, *arguments)
  shown = capsys.readouterr().out
  for name in command_names():
    assert f"pface {name} " in shown
    assert _front_door.summary(name) in shown


@pytest.mark.parametrize(
  "name", ["export_avatar", "export-avatar", "pface_export_avatar"]
)
def test_a_command_gets_its_flags(monkeypatch, name):
  from personalized_face.tools import export_avatar

  seen = []
  monkeypatch.setattr(export_avatar, "run", lambda: seen.append(list(sys.argv)))
  call(monkeypatch, name, "--output_dir=x")
  assert seen == [["pface export_avatar", "--output_dir=x"]]


@pytest.mark.parametrize(
  ("given", "hint"), [("trian", "did you mean train?"), ("zzz", "`pface` lists them.")]
)
def test_an_unknown_command_is_one_sentence(monkeypatch, capsys, given, hint):
  with pytest.raises(SystemExit) as ended:
    call(monkeypatch, given)
  assert ended.value.code == 1
  assert capsys.readouterr().err == f"There is no command '{given}'; {hint}\n"


def test_python_m_is_the_front_door(monkeypatch, capsys):
  monkeypatch.setattr(sys, "argv", ["personalized_face"])
  runpy.run_module("personalized_face", run_name="__main__")
  assert "pface train " in capsys.readouterr().out
