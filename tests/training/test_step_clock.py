"""Rates and waits of a training, by a clock that the test moves."""

import pytest

from personalized_face.training import step_clock


def test_rates_and_waits_since_the_last_look(monkeypatch):
  now = [7.0]
  monkeypatch.setattr(step_clock.time, "perf_counter", lambda: now[0])
  clock = step_clock.StepClock()

  def batches():
    for batch in range(4):
      now[0] += 1  # the wait
      yield batch

  seen = []
  for batch in clock.watch(batches()):
    now[0] += 3  # the step
    seen.append(batch)
    if batch == 1:
      figures = clock.read(images_per_step=8)
      assert figures["images_per_second"] == pytest.approx(2 * 8 / 8)
      assert figures["input_wait_percent"] == pytest.approx(25)
  assert seen == [0, 1, 2, 3]
  assert clock.read(images_per_step=4)["images_per_second"] == pytest.approx(1)
