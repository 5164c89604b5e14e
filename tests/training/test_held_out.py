"""What becomes of the figures of single frames."""

import math

from personalized_face.training import held_out


def test_figures_are_means_over_the_frames_that_have_one(monkeypatch, tmp_path):
  rows = [
    {"nme_percent": 2.0, "prior_nme_percent": math.nan},
    {"nme_percent": 4.0, "prior_nme_percent": 5.0},
    {"nme_percent": 9.0, "prior_nme_percent": 6.0},
  ]
  monkeypatch.setattr(held_out, "_rows", lambda *_: rows)
  assert held_out.evaluate_run(None, None, str(tmp_path)) == {
    "nme_percent": 5.0,
    "prior_nme_percent": 5.5,
    "frames_held_out": 3,
  }
