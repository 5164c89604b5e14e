"""CPU seconds by stage, by a clock that the test moves."""

import pytest

from personalized_face.data import stages


@pytest.fixture
def spend(monkeypatch):
  now = [5.0]
  monkeypatch.setattr(stages.time, "process_time", lambda: now[0])

  def spend_seconds(seconds):
    now[0] += seconds

  return spend_seconds


def test_a_stage_inside_another_counts_for_itself(spend):
  clock = stages.StageClock()
  spend(100)  # in no stage
  with clock.stage("crop"):
    spend(1)
    with clock.stage("parsing"):
      spend(10)
    spend(2)
  with clock.stage("parsing"):
    spend(20)
  assert clock.seconds == {"crop": 3, "parsing": 30}


def test_iterate_counts_what_the_items_take(spend):
  clock = stages.StageClock()

  def items():
    for item in "ab":
      spend(4)
      yield item

  found = []
  for item in clock.iterate("decode", items()):
    spend(50)
    found.append(item)
  assert found == ["a", "b"]
  assert clock.seconds == {"decode": 8}
