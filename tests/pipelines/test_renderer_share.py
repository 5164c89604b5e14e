"""pface_benchmark_renderer --training_step: what it times, on the toy template."""

import gin
import pytest
from helpers import toy_template

from personalized_face.pipelines import renderer_share

CONFIG = """
build_system.image_size = 32
build_system.model_net_width = 0.125
build_system.track_net_width = 0.125
build_system.track_net_hidden = 16
stage1/Stage.steps = 8
stage1/Stage.learning_rate = 1e-3
stage1/Stage.train_track_net = True
stage1/Stage.train_model_net = True
stage1/Stage.train_mean_albedo = True
"""


@pytest.fixture(autouse=True)
def clean_gin():
  yield
  gin.clear_config()


def test_share_of_a_toy_training_step(monkeypatch, tmp_path):
  path = tmp_path / "toy.gin"
  path.write_text(CONFIG)
  monkeypatch.setattr(renderer_share, "load_template", lambda name: toy_template())
  figures = renderer_share.measure_share(gin_file=str(path), frames=2, rounds=2)
  assert figures["rendering_ms"] > 0
  # The step contains a rendering; a busy machine may stretch one of four short runs.
  assert 0 < figures["rendering_share"] < 1
  share = figures["rendering_ms"] / figures["training_step_ms"]
  assert figures["rendering_share"] == pytest.approx(share)
  assert f"{100 * share:.1f} %" in renderer_share.describe(figures)
