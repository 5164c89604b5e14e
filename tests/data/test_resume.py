"""Nothing is lost and nothing done twice: kills, workers, second runs."""

import os
import signal

import numpy as np
import pytest
from test_detector import BrightBoxDetector
from test_prepare import ALL, SMALL, _manifest, _prepare, toy_video

from personalized_face.core.errors import UserError
from personalized_face.data import records
from personalized_face.data.prepare import prepare
from personalized_face.data.video import write_video


class Mortal(BrightBoxDetector):
  """Kills its process, as kill -9 does, when it has looked so many times."""

  def __init__(self, calls):
    super().__init__()
    self.calls = calls

  def detect(self, image):
    if len(self.shapes) == self.calls:
      os.kill(os.getpid(), signal.SIGKILL)
    return super().detect(image)


def _killed(inputs, folder, calls):
  """Runs `prepare` in a fork that dies; returns its exit code."""
  child = os.fork()
  if not child:
    try:
      prepare([inputs], folder, preparation=SMALL, thinning=ALL, detector=Mortal(calls))
    finally:
      os._exit(1)
  return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _videos(folder, count=4):
  folder.mkdir()
  for i in range(count):
    toy_video(folder / f"person{i}.mp4", count=12 + i)
  (folder / "text.mp4").write_text("not a video")
  return str(folder)


def _shards(folder):
  return {p.name: p.read_bytes() for p in folder.glob("*.tfrecord-*")}


def test_killed_at_any_moment_then_resumed(tmp_path):
  """Kills within the first, second, third and last clip, then to the end."""
  videos = _videos(tmp_path / "videos")  # of 12, 13, 14, 15 frames
  _prepare([videos], tmp_path / "whole")
  for calls in (5, 20, 20, 20):
    code = _killed(videos, str(tmp_path / "out"), calls)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
  assert len(list((tmp_path / "out.work").rglob("*.json"))) == 3
  info = _prepare([videos], tmp_path / "out")
  assert info["run"]["reused"] == 3
  assert _shards(tmp_path / "out") == _shards(tmp_path / "whole")
  assert not (tmp_path / "out.work").exists()
  rows = {clip: row["status"] for clip, row in _manifest(tmp_path / "out").items()}
  assert list(rows.values()) == ["ok"] * 4 + ["unreadable"]


def test_a_kill_between_the_two_renames(tmp_path):
  """The old records wait in the work folder, and come back."""
  video = toy_video(tmp_path / "ann.mp4")
  _prepare([video], tmp_path / "out")
  shards = _shards(tmp_path / "out")
  (tmp_path / "out.work").mkdir()
  os.replace(tmp_path / "out", tmp_path / "out.work" / "old")
  info = _prepare([video], tmp_path / "out")
  assert info["run"]["prepared"] == 0 and _shards(tmp_path / "out") == shards


class DiesOfLight(BrightBoxDetector):
  """Ends its process, as native code does, when it sees a bright corner."""

  def detect(self, image):
    if image[0, 0, 0] > 200:
      os.kill(os.getpid(), signal.SIGSEGV)
    return super().detect(image)


def test_workers_give_the_same_bytes_and_may_die(tmp_path):
  """Two workers, one video that ends whoever reads it: it has its row."""
  videos = _videos(tmp_path / "videos")
  _prepare([videos], tmp_path / "one")
  write_video(videos + "/deadly.mp4", [np.full([96, 160, 3], 255, np.uint8)] * 5, 10)
  info = prepare(
    [videos],
    str(tmp_path / "two"),
    preparation=SMALL,
    thinning=ALL,
    detector=DiesOfLight,
    num_workers=2,
  )
  assert info["inputs"] == {"ok": 4, "crashed": 1, "unreadable": 1}
  row = _manifest(tmp_path / "two")["deadly"]
  assert "deadly.mp4 ended the process that read it" in row["reason"]
  assert _shards(tmp_path / "two") == _shards(tmp_path / "one")


def test_a_second_run_does_only_what_is_new(tmp_path):
  videos = _videos(tmp_path / "videos", 2)
  _prepare([videos], tmp_path / "out")
  first = _shards(tmp_path / "out")
  again = _prepare([videos], tmp_path / "out")
  # What could not be read is tried again: it may have been the disk.
  assert again["run"]["prepared"] == 1 and again["run"]["reused"] == 2
  assert _shards(tmp_path / "out") == first
  toy_video(tmp_path / "videos" / "text.mp4", count=9)
  toy_video(tmp_path / "videos" / "person0.mp4", count=7)
  info = _prepare([videos], tmp_path / "out")
  assert info["run"]["prepared"] == 2 and info["inputs"] == {"ok": 3}
  _prepare([videos], tmp_path / "anew")
  assert _shards(tmp_path / "out") == _shards(tmp_path / "anew")


def test_max_failures(tmp_path):
  videos = _videos(tmp_path / "videos", 2)
  (tmp_path / "videos" / "empty.mp4").write_bytes(b"")
  with pytest.raises(UserError, match="2 inputs are of no use, more than --max_fail"):
    _prepare([videos], tmp_path / "out", max_failures=1)
  assert not (tmp_path / "out").exists() and (tmp_path / "out.work").exists()
  info = _prepare([videos], tmp_path / "out", max_failures=2)
  assert info["inputs"] == {"ok": 2, "unreadable": 2}
  assert info["run"]["reused"] == 2


def test_two_runs_of_one_folder(tmp_path):
  video = toy_video(tmp_path / "ann.mp4")

  class StartsAnother(BrightBoxDetector):
    def detect(self, image):
      if not self.shapes:
        with pytest.raises(UserError, match="Another run is preparing"):
          _prepare([video], tmp_path / "out")
      return super().detect(image)

  prepare(
    [video],
    str(tmp_path / "out"),
    preparation=SMALL,
    thinning=ALL,
    detector=StartsAnother(),
  )
  assert records.read_info(str(tmp_path / "out"))["splits"]["train"]["frames"] == 18


def test_memory_does_not_hold_the_pictures(tmp_path):
  """A long clip waits on disk: of each frame 620 bytes stay in memory."""
  import tracemalloc

  from personalized_face.data.spool import Spool, SpooledFrame

  frame = SpooledFrame(
    0, 0, 0.0, np.zeros([68, 2]), np.zeros(4), (0, 0, 1), 1.0, 1.0, bytes(50_000), b"x"
  )
  with Spool(str(tmp_path / "spool")) as spool:
    tracemalloc.start()
    for _ in range(500):
      spool.add(frame)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(spool) == 500
  # A bytearray grows by an eighth more than it needs; the pictures are 25 MB.
  assert held < 500 * 620 * 1.2 + 100_000
