"""What a row of Table 1 scores on held-out frames, of networks that nobody trained."""

import gin
import pytest
from toy_run import configure, toy_system, write_toy_records

from personalized_face.pipelines import ablation_figures


@pytest.fixture(autouse=True)
def clean_gin():
  yield
  gin.clear_config()


def test_area_under_the_curve_is_of_shares_not_percent(tmp_path, monkeypatch):
  configure(tmp_path)
  system = toy_system()
  errors = iter([2.0, 6.0])  # percent, one for each of the two frames
  monkeypatch.setattr(ablation_figures, "load_system", lambda *_: system)
  monkeypatch.setattr(
    ablation_figures, "frame_figures", lambda *_: {"nme_percent": next(errors)}
  )
  records = write_toy_records(str(tmp_path / "records"))
  figures = ablation_figures.score_held_out(str(tmp_path / "run"), records)
  assert figures["frames"] == 2 and figures["nme_percent"] == pytest.approx(4)
  # The curve ends at 8 %: 1/2 from 2 % on, 1 from 6 % on.
  assert figures["auc"] == pytest.approx(1 / 2)
