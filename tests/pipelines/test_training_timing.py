"""The breakdown of a step at toy size: every part is there, and takes time."""

import gin
from helpers import toy_template
from toy_run import CONFIG, write_toy_records

from personalized_face.pipelines.training_timing import (
  Timing,
  flat_figures,
  markdown,
  time_step,
)


def test_every_part_of_a_step_is_timed(tmp_path):
  toy_template().save(str(tmp_path / "toy.npz"))
  (tmp_path / "toy.gin").write_text(CONFIG)
  try:
    timings = time_step(
      [str(tmp_path / "toy.gin")],
      ["LossWeights.parsing = 0.0"],
      str(tmp_path / "toy.npz"),
      frames=2,
      repeats=1,
      records_dir=write_toy_records(str(tmp_path / "records")),
    )
  finally:
    gin.clear_config()
  names = [timing.name for timing in timings]
  assert names[:5] == ["step", "TrackNet", "ModelNet", "decode", "render"]
  assert "loss: blendshape_gradient" in names and "loss: parsing" not in names
  assert names[-1] == "data"
  assert all(timing.forward > 0 and timing.both > 0 for timing in timings)


def test_table_shows_shares_of_the_step():
  table = markdown([Timing("step", 200.0, 200.0), Timing("render", 10.0, 50.0)])
  assert table.splitlines()[-1] == "| render | 10.0 | 50.0 | 25 % |"


def test_figures_are_flat():
  found = flat_figures([Timing("step", 2.0, 3.0), Timing("loss: parsing", 0.5, 1.0)])
  assert found["step_ms"] == 3.0 and found["loss_parsing_forward_ms"] == 0.5
