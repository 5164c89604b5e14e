"""The table of the paper's configurations, and the changelog, say what is there."""

import re

import pytest
from repository.commands import ROOT, check_command, command_lines

import personalized_face

FOLDER = ROOT / "gin" / "papers" / "personalized_face"
TABLE = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", TABLE, re.MULTILINE | re.DOTALL)


def test_every_configuration_has_its_row():
  rows = re.findall(r"^\| `([\w./]+\.gin)` \|", TABLE, re.MULTILINE)
  assert len(set(rows)) == len(rows)
  assert {path.name for path in FOLDER.glob("*.gin")} <= set(rows)
  assert [row for row in rows if not (FOLDER / row).is_file()] == []


@pytest.mark.parametrize(
  "words", [words for block in BLOCKS for words in command_lines(block)], ids=" ".join
)
def test_command_of_the_table_exists(words):
  assert check_command(words) is None


def test_the_changelog_begins_with_what_is_not_released_yet():
  text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
  versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
  assert versions[:2] == ["Unreleased", personalized_face.__version__]
