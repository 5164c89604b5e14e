"""What is said, and left behind, when a run goes wrong."""

import os

import gin
import numpy as np
import pytest
from toy_run import configure, toy_system, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.data.dataset import make_dataset
from personalized_face.training.checkpoints import claim_run_dir
from personalized_face.training.guards import CoverageWatch
from personalized_face.training.loop import train
from personalized_face.training.replay import replay


def _said(coverages, losses):
  watch = CoverageWatch()
  pairs = zip(coverages, losses, strict=True)
  said = [watch.add(100 * i, c, loss) for i, (c, loss) in enumerate(pairs, 1)]
  return [sentence for sentence in said if sentence]


def test_coverage_that_falls_with_the_loss_is_said_once():
  coverages = [90.0] * 10 + [60.0] * 10
  (sentence,) = _said(coverages, np.linspace(100, 50, 20))
  assert "90 % at step 1000" in sentence and "the mesh shrinks" in sentence


def test_a_further_fall_is_said_again():
  assert len(_said([90.0] * 8 + [60.0] * 8 + [30.0] * 8, np.linspace(9, 5, 24))) > 1


@pytest.mark.parametrize(
  ("coverages", "losses"),
  [
    ([90.0] * 10 + [60.0] * 10, np.linspace(50, 100, 20)),  # the loss says it already
    ([85.0, 95.0] * 10, np.linspace(100, 50, 20)),  # single batches differ
    (np.linspace(40, 95, 20), np.linspace(100, 50, 20)),  # the face is being found
  ],
)
def test_nothing_is_said_of_a_sound_run(coverages, losses):
  assert _said(coverages, losses) == []


def test_failed_step_names_its_records_and_can_be_replayed(tmp_path):
  records_dir = write_toy_records(str(tmp_path / "records"))
  # Without ModelNet: its graph takes long to trace.
  alone = ("stage1/Stage.corrections = False", "stage1/Stage.train_model_net = False")
  configure(tmp_path, *alone)
  system = toy_system()
  system.mean_albedo.assign(np.full(system.mean_albedo.shape, np.nan))
  run_dir = str(tmp_path / "run")
  claim_run_dir(run_dir, system.template)
  with pytest.raises(UserError, match="in a batch of toy/toy, toy/toy; pface_train"):
    train(system, records_dir, run_dir)
  gin.clear_config()
  path = f"{run_dir}/replay/stage1_1.npz"
  lines = {line.split()[0]: line for line in replay(path).splitlines()}
  assert "the photometric was not finite" in lines["stage1,"]
  assert "toy/toy" in lines["records:"]
  for name in ("rendering.image", "photometric", "gradient_norm/mean_albedo"):
    assert "NOT FINITE" in lines[name]
  for name in ("images", "rendering.mask", "landmark", "mesh.vertices"):
    assert "NOT FINITE" not in lines[name]
  with np.load(path) as saved:
    batch = next(
      iter(make_dataset(records_dir, groups_per_batch=2, frames_per_group=2))
    )
    np.testing.assert_array_equal(saved["images"], batch.images)
  # Another configuration is tried on the same step.
  without = replay(path, ["stage1/LossWeights.photometric = 0.0"])
  assert "  photometric" not in without
  # The networks as they were before the step lie beside it.
  data = f"{run_dir}/replay/stage1_1.ckpt.data-00000-of-00001"
  os.truncate(data, os.path.getsize(data) // 2)
  with pytest.raises(UserError, match="stage1_1.ckpt cannot be read"):
    replay(path)


def test_what_is_no_replay_file_is_one_sentence(tmp_path):
  (tmp_path / "note.npz").write_text("hello")
  np.savez(tmp_path / "motion.npz", images=np.zeros(1), step=1)  # another file of ours
  for name in ("note.npz", "missing.npz", "motion.npz"):
    with pytest.raises(UserError, match="is no replay file"):
      replay(str(tmp_path / name))


@pytest.mark.parametrize("split", ["train", "test"])
def test_damaged_records_end_a_training_in_one_sentence(tmp_path, split):
  folder = write_toy_records(str(tmp_path / "records"))
  path = tmp_path / "records" / f"toy-{split}.tfrecord-00000-of-00001"
  data = bytearray(path.read_bytes())
  data[1000] ^= 0xFF
  path.write_bytes(data)
  configure(tmp_path, "train.evaluate_every = 4")
  system = toy_system()
  claim_run_dir(str(tmp_path / "run"), system.template)
  with pytest.raises(UserError, match=f"{path.name} is damaged; prepare the records"):
    train(system, folder, str(tmp_path / "run"))
