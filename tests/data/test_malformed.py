"""Whatever is wrong with an input, the run goes on, and the input has its row."""

import csv

import malformed
import numpy as np
import pytest
from test_detector import BrightBoxDetector
from test_prepare import ALL, SMALL

from personalized_face.data.gates import bad_landmarks, sharpness
from personalized_face.data.manifest import STATUSES
from personalized_face.data.prepare import prepare


class LeftFaceDetector(BrightBoxDetector):
  """Sees the left half of what it is shown: of two toy faces the first."""

  def detect(self, image):
    half = image.copy()
    half[:, max(image.shape[1] // 2, 60) :] = 0
    return super().detect(half)


def run(folder, name):
  """Prepares malformed inputs; returns their rows by path, and the right statuses."""
  count = len(malformed.CORPORA[name][0])
  wanted = malformed.write_corpus(folder, name, count)
  prepare(
    [str(folder / name)],
    str(folder / "out"),
    corpus=str(folder / f"{name}.yaml"),
    preparation=SMALL,
    thinning=ALL,
    detector=LeftFaceDetector(),
  )
  with open(folder / "out" / "manifest.csv", newline="", encoding="utf-8") as file:
    return {row["path"]: row for row in csv.DictReader(file)}, wanted


@pytest.mark.parametrize("name", malformed.CORPORA)
def test_every_malformed_input_has_its_row(tmp_path, name):
  rows, wanted = run(tmp_path, name)
  assert set(rows) == set(wanted)
  for path, statuses in wanted.items():
    row = rows[path]
    assert row["status"] in STATUSES
    assert malformed.right(row, statuses), (path, row["status"], row["reason"])


@pytest.mark.parametrize(
  "spoil",
  [
    lambda points: points * np.nan,
    lambda points: points * np.inf,
    lambda points: points + 1e6,
    lambda points: points - 200,
    lambda points: points * 40,
    lambda points: points * 0 + 50,
  ],
)
def test_landmarks_that_cannot_be(spoil):
  points = np.random.default_rng(0).uniform(20, 80, (68, 2)).astype(np.float32)
  assert not bad_landmarks(points, 100, 100)
  with np.errstate(invalid="ignore"):
    assert bad_landmarks(spoil(points), 100, 100)


def test_sharpness_falls_with_blur_and_not_with_size():
  import cv2

  rng = np.random.default_rng(0)
  fine = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
  landmarks = np.array([[20.0, 20], [200, 200]] * 34, np.float32)
  values = [
    sharpness(cv2.GaussianBlur(fine, (0, 0), sigma) if sigma else fine, landmarks)
    for sigma in (0, 1, 2, 4, 8)
  ]
  assert values == sorted(values, reverse=True) and values[0] > 100 * values[-1]
  assert sharpness(fine, landmarks + 1000) == 0.0
