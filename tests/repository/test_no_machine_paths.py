"""Nothing in the repository names the machine that it was written on."""

import re
import subprocess

import pytest
from repository.commands import ROOT

# Written so that this file does not match itself.
HOME_FOLDERS = re.compile(r"(?<![\w.\]])/(?:work|root|home|Users)" + r"/\w")
INDEX_OPTIONS = re.compile(r"--(?:extra-)?index-" + r"url|--find-" + r"links")


def tracked_texts():
  listing = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  if listing.returncode:
    pytest.skip("not a git checkout")
  for name in filter(None, listing.stdout.split("\0")):
    try:
      yield name, (ROOT / name).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
      continue  # a picture; a file deleted and not yet committed


@pytest.mark.parametrize("pattern", [HOME_FOLDERS, INDEX_OPTIONS])
def test_no_machine_paths(pattern):
  found = [name for name, text in tracked_texts() if pattern.search(text)]
  assert found == []


def test_the_pattern_finds_a_home_folder():
  assert HOME_FOLDERS.search("open('/" + "home/me/clip.mp4')")
  assert not HOME_FOLDERS.search("see framework/home/page")
