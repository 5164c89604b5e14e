"""The breakdown of a step at toy size: every part is there, and takes time."""

import gin
import pytest
from helpers import toy_template
from tensorflow.tsl.profiler.protobuf import xplane_pb2
from toy_run import CONFIG, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.pipelines.step_trace import traced_wait_percent
from personalized_face.pipelines.training_timing import (
  Timing,
  describe,
  figures,
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
      trace_dir=str(tmp_path / "trace"),
    )
  finally:
    gin.clear_config()
  names = [timing.name for timing in timings]
  assert names[:5] == ["step", "TrackNet", "ModelNet", "decode", "render"]
  assert "loss: blendshape_gradient" in names and "loss: parsing" not in names
  assert names[-3] == "data" and names[-2].startswith("step, fed")
  assert all(timing.forward > 0 and timing.both > 0 for timing in timings)
  found = figures(timings, 1, 2, str(tmp_path / "trace"))
  clock, profile = (found[f"input_wait_percent{name}"] for name in ("", "_of_profile"))
  assert 0 < clock < 100 and 0 < profile < 100
  # The clock also counts what Python does round the op: a few tenths of a millisecond,
  # of toy steps of a few.
  assert profile <= clock + 1 and abs(clock - profile) < 15
  assert "By the profile" in describe(found)


def test_table_shows_shares_of_the_step():
  table = markdown([Timing("step", 200.0, 200.0), Timing("render", 10.0, 50.0)])
  assert table.splitlines()[-1] == "| render | 10.0 | 50.0 | 25 % |"


def test_figures_are_flat():
  found = figures([Timing("step", 2.0, 3.0), Timing("loss: parsing", 0.5, 1.0)], 1, 4)
  assert found["step_ms"] == 3.0 and found["loss_parsing_forward_ms"] == 0.5
  assert not [value for value in found.values() if isinstance(value, dict | list)]


def test_a_folder_without_a_profile(tmp_path):
  with pytest.raises(UserError, match="holds no profile"):
    traced_wait_percent(str(tmp_path))


def test_the_wait_is_the_next_batchs_share_of_the_steps(tmp_path):
  space = xplane_pb2.XSpace()
  plane = space.planes.add()
  names = ("train", "IteratorGetNextOp::DoCompute", "something else")
  for number, name in enumerate(names, start=1):
    plane.event_metadata[number].name = name
  for durations in ((600, 150, 90), (200, 50, 90)):  # picoseconds
    line = plane.lines.add()
    for number, duration in enumerate(durations, start=1):
      line.events.add(metadata_id=number, duration_ps=duration)
  (tmp_path / "host.xplane.pb").write_bytes(space.SerializeToString())
  assert traced_wait_percent(str(tmp_path)) == pytest.approx(25)
  plane.event_metadata[1].name = "no step"
  (tmp_path / "host.xplane.pb").write_bytes(space.SerializeToString())
  with pytest.raises(UserError, match="has no steps"):
    traced_wait_percent(str(tmp_path))
