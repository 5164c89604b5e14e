"""Progress bars where the clock is set back."""

import io

import pytest
from tqdm import std

from personalized_face import progress


class Clocks:
  """One that only runs forward, and the time of day, which is set back half-way."""

  def __init__(self, monkeypatch):
    self.forward = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: self.forward)
    monkeypatch.setattr(std, "time", self.of_day)

  def of_day(self) -> float:
    return 1e9 + self.forward - (86_400 if self.forward > 120 else 0)


def shown(bar_class, clocks) -> tuple[list[str], dict]:
  """What 20 steps of 2 seconds each write, and the figures at the end."""
  file = io.StringIO()
  bar = bar_class(range(20), "work", file=file, mininterval=1, ascii=True, ncols=80)
  for _ in bar:
    clocks.forward += 2
  return file.getvalue().split("\r"), bar.format_dict


def test_a_bar_goes_on_where_the_clock_is_set_back(monkeypatch):
  lines, figures = shown(progress.tqdm, Clocks(monkeypatch))
  assert sum("/20 " in line for line in lines) >= 20
  assert figures["elapsed"] == pytest.approx(40)
  assert any("16/20 [00:32<00:08" in line for line in lines)
  assert not any("-1 day" in line or "?s/it" in line for line in lines[2:])


def test_the_bar_that_it_replaces_stands_still(monkeypatch):
  lines, figures = shown(std.tqdm, Clocks(monkeypatch))
  assert figures["elapsed"] < 0
  assert sum("/20 " in line for line in lines) < 16


def test_a_bar_that_is_switched_off_counts_in_silence(monkeypatch):
  file = io.StringIO()
  assert list(progress.tqdm(range(3), file=file, disable=True)) == [0, 1, 2]
  assert file.getvalue() == ""
