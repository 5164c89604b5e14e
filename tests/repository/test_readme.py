"""The README's commands, links and settings exist."""

import re

import pytest
from repository.commands import ROOT, check_command, command_lines

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [words for block in BLOCKS for words in command_lines(block)]


def test_the_two_commands_are_there():
  assert ["make", "demo"] in COMMANDS
  assert ["make", "test"] in COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_exists(words):
  if words[0] != "make":
    assert check_command(words) is None
    return
  for word in words[1:]:
    name, is_variable, _ = word.partition("=")
    pattern = rf"^{name} \?=" if is_variable else rf"^{name}:"
    assert re.search(pattern, MAKEFILE, re.MULTILINE), f"the Makefile has no {word}"


def test_links_into_the_repository_exist():
  links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
  assert [link for link in links if not (ROOT / link).exists()] == []


def test_code_paths_exist():
  # `personalized_face/core/types.py` and the like, in backquotes.
  paths = re.findall(r"`((?:personalized_face|gin|tools|tests)/[\w./]*)`", README)
  assert paths
  assert [path for path in paths if not (ROOT / path).exists()] == []
