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

SPEC = """
kind: {kind}
layout: "{{clip}}.{{extension}}"
person: "{{clip}}"
clip: "{{clip}}"
min_frames: {min_frames}
source: ours
licence: ours
"""


class LeftFaceDetector(BrightBoxDetector):
  """Sees the left half of what it is shown: of two toy faces the first."""

  def detect(self, image):
    half = image.copy()
    half[:, max(image.shape[1] // 2, 60) :] = 0
    return super().detect(half)


def run(folder, kinds, count, kind="videos", min_frames=4):
  """Prepares malformed inputs; returns their rows by path, and the right statuses."""
  wanted = malformed.make(folder / kind, count, kinds)
  spec = folder / "malformed.yaml"
  spec.write_text(SPEC.format(kind=kind, min_frames=min_frames))
  prepare(
    [str(folder / kind)],
    str(folder / "out"),
    corpus=str(spec),
    preparation=SMALL,
    thinning=ALL,
    detector=LeftFaceDetector(),
  )
  with open(folder / "out" / "manifest.csv", newline="", encoding="utf-8") as file:
    return {row["path"]: row for row in csv.DictReader(file)}, wanted


@pytest.mark.parametrize(
  "kind, kinds, min_frames",
  [("videos", malformed.KINDS, 4), ("images", malformed.IMAGE_KINDS, 1)],
)
def test_every_malformed_input_has_its_row(tmp_path, kind, kinds, min_frames):
  rows, wanted = run(tmp_path, kinds, len(kinds), kind, min_frames)
  assert set(rows) == set(wanted)
  for path, statuses in wanted.items():
    row = rows[path]
    assert row["status"] in STATUSES
    assert row["status"] in statuses, (path, row["status"], row["reason"])
    assert row["status"] == "ok" or row["reason"].rstrip().endswith(".")


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
