import numpy as np
import pytest
from toy_clip import (
  HEIGHT,
  WIDTH,
  SquareTrackingSystem,
  StubDetector,
  straight_path,
  toy_system,
  write_clip,
)

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.pipelines import tracking_timing
from personalized_face.pipelines.tracking_timing import MEDIAPIPE, table, time_tracking


@pytest.fixture(scope="module")
def system():
  return toy_system(system_class=SquareTrackingSystem)


def test_every_way_is_timed_on_the_same_frames(system, tmp_path):
  write_clip(tmp_path / "clip.mp4", straight_path(12))
  seen = {"other": 0, "mesh": []}

  def other(crops):
    seen["other"] += 1
    tracking = system.track(crops.astype(np.float32) / 255)
    return Tracking(*(value.numpy() for value in tracking))

  clip = str(tmp_path / "clip.mp4")
  rows = time_tracking(
    system,
    clip,
    StubDetector(),
    others={"other": other},
    num_frames=9,
    mesh=lambda image: seen["mesh"].append(image.shape),
  )
  # Each frame is tracked, tracked and drawn, and looked at alone.
  assert seen["other"] == 3 * 9 and seen["mesh"] == [(HEIGHT, WIDTH, 3)] * 9
  named = {row.name: row for row in rows}
  assert len(rows) == len(named) == 7
  for name in ("Keras", "other"):
    parts = [row for row in rows if row.name.startswith(name)]
    alone, motion, overlay = parts
    assert min(alone.median_ms, motion.median_ms, overlay.median_ms) > 0
    assert alone.of_network == 1
    assert motion.of_network == pytest.approx(motion.median_ms / alone.median_ms)
  mesh = rows[-1]
  assert mesh.name.startswith(MEDIAPIPE) and mesh.of_network is None
  assert mesh.frames_per_second == pytest.approx(1000 / mesh.median_ms)
  assert table(rows).count("\n") == 8


def test_reading_counts_but_for_the_network_alone(system, tmp_path, monkeypatch):
  clip = str(tmp_path / "clip.mp4")
  write_clip(clip, straight_path(5))
  monkeypatch.setattr(
    tracking_timing, "_timed", lambda frames: ((frame, 1000.0) for frame in frames)
  )
  rows = time_tracking(system, clip, StubDetector(), mesh=lambda image: None)
  assert {row.name: row.median_ms > 1e6 for row in rows} == {
    "Keras: TrackNet alone": False,
    "Keras: file in, motion out": True,
    "Keras: the same, rendered and laid on the frame": True,
    f"{MEDIAPIPE}: file in, points out": True,
  }


def test_time_tracking_exception_raised(system, tmp_path):
  def nothing(image):
    return None

  clip = str(tmp_path / "clip.mp4")
  write_clip(clip, [None] * 5)
  with pytest.raises(UserError, match="no face in its first frame"):
    time_tracking(system, clip, StubDetector(), mesh=nothing)
  write_clip(clip, straight_path(3))
  with pytest.raises(UserError, match="too short"):
    time_tracking(system, clip, StubDetector(), mesh=nothing)
