"""Beam's DirectRunner and our own runner: the same records. Needs the extra [beam]."""

import os
import sys

import pytest
from test_detector import BrightBoxDetector
from test_prepare import ALL, SMALL, _prepare
from test_resume import _shards, _videos

from personalized_face.core.errors import UserError
from personalized_face.data import beam_runner
from personalized_face.data.prepare import prepare


@pytest.mark.parametrize("num_workers", [1, 2])
def test_beam_gives_the_same_bytes(monkeypatch, tmp_path, num_workers):
  pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")
  # Beam's workers are processes of their own: they find the detector as we do.
  monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
  videos = _videos(tmp_path / "videos")
  _prepare([videos], tmp_path / "ours")
  info = prepare(
    [videos],
    str(tmp_path / "beam"),
    preparation=SMALL,
    thinning=ALL,
    detector=BrightBoxDetector,
    num_workers=num_workers,
    runner=beam_runner.run_units,
  )
  assert info["inputs"] == {"ok": 4, "unreadable": 1}
  assert _shards(tmp_path / "beam") == _shards(tmp_path / "ours")


def test_without_beam_it_says_how_to_get_it(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  videos = _videos(tmp_path / "videos", 1)
  with pytest.raises(UserError, match=r"personalized_face\[beam\]"):
    _prepare([videos], tmp_path / "out", runner=beam_runner.run_units)
