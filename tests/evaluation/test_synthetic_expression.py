import dataclasses
import math

import numpy as np
import pytest
from evaluation.evaluation_cases import Shuffled, TruthPredictor, summary
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.video import write_video
from personalized_face.evaluation.benchmark import run_benchmark
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.synthetic_expression import SyntheticExpression
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, save_motion, save_person
from personalized_face.pipelines import evaluation

NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R")
# Frames of a closed mouth, an open one, a smile of one side.
WEIGHTS = np.float32([[0.1, 0.0, 0.1], [0.5, 0.1, 0.1], [0.0, 0.1, 0.4]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  root = tmp_path_factory.mktemp("synthetic")
  template = dataclasses.replace(toy_template(), blendshape_names=NAMES)
  person = FaceModel(template).template_person()
  person = type(person)(*(np.asarray(value)[0] for value in person))
  save_person(str(root / "toy_person.npz"), person, template)
  zeros = np.zeros([len(WEIGHTS), 3])
  tracking = Tracking(WEIGHTS, zeros, zeros - [0, 0, 10], np.ones([3, 9, 3]))
  boxes = np.tile([8.0, 8, 56, 56], (len(WEIGHTS), 1))
  motion = Motion(np.arange(3) / 5, tracking, boxes, (64, 64), 5.0)
  save_motion(str(root / "toy_motion.npz"), motion, template)
  pictures = [np.full([64, 64, 3], 60, np.uint8)] * len(WEIGHTS)
  write_video(str(root / "toy.mp4"), iter(pictures), 5.0)
  template.save(str(root / "template.npz"))
  return str(root)


@pytest.fixture(scope="module")
def benchmark(folder):
  return SyntheticExpression(folder, template=f"{folder}/template.npz")


def test_truth_scores_zero(benchmark):
  figures = summary(benchmark)
  assert list(figures) == list(SyntheticExpression.columns)
  known = {key: value for key, value in figures.items() if not math.isnan(value)}
  assert known == dict.fromkeys(("mouth_open", "smile", "average", "driven_mm"), 0)


def test_groups_count_where_they_are_shown(benchmark):
  def change(p: Prediction) -> Prediction:
    # Wrong by 0.1 where the mouth opens, by 0.3 where it does not.
    wrong = 0.1 if p.coefficients[0] > 0.2 else 0.3
    return p._replace(coefficients=p.coefficients + [wrong, 0, -0.2])

  figures = summary(benchmark, change)
  assert figures["mouth_open"] == pytest.approx(0.1, rel=1e-6)  # the second frame
  assert figures["smile"] == pytest.approx(0.1, rel=1e-6)  # the third: 0 and 0.2
  assert figures["average"] == pytest.approx(0.1, rel=1e-6)
  deltas = toy_template().blendshape_deltas
  moved = [100 * (w * deltas[0] - 0.2 * deltas[2]) for w in (0.3, 0.1, 0.3)]
  expected = np.mean([np.sqrt((m**2).sum(-1).mean()) for m in moved])
  assert figures["driven_mm"] == pytest.approx(expected, rel=1e-6)
  assert summary(Shuffled(benchmark), change) == pytest.approx(figures, nan_ok=True)


def test_frames_that_show_more_can_be_asked_for(folder):
  strict = SyntheticExpression(folder, f"{folder}/template.npz", shown_from=0.45)
  figures = summary(strict)
  assert figures["mouth_open"] == 0 and math.isnan(figures["smile"])
  assert "at least 0.45" in strict.protocol


def test_systems_are_compared_in_one_table(benchmark, folder, tmp_path):
  made = evaluation.make_benchmark(
    "synthetic_expression",
    folder,
    [f"SyntheticExpression.template = '{folder}/template.npz'"],
  )
  rivals = [
    TruthPredictor(
      made,
      lambda p, by=by: p._replace(coefficients=p.coefficients + by),
      f"off by {by}",
    )
    for by in (0.02, 0.05)
  ]
  result = run_benchmark(made, rivals)
  text = evaluation.write_tables(result, str(tmp_path))
  assert "| off by 0.02 |" in text and "Mouth Open" in text and "driven face mm" in text
  errors = [made.summary(result.of(rival.name))["average"] for rival in rivals]
  assert errors == pytest.approx([0.02, 0.05], rel=1e-5)


def test_exception_raised_for_a_wrong_layout(tmp_path):
  with pytest.raises(UserError, match="synthetic clips: it does not exist"):
    SyntheticExpression(str(tmp_path / "nowhere"))
