"""AFLW2000-3D and 300VW, on fixtures in the published layouts."""

import math

import numpy as np
import pytest
import scipy.io
from evaluation.evaluation_cases import (
  Shuffled,
  TruthPredictor,
  shift_landmarks,
  summary,
)
from PIL import Image

from personalized_face.core.errors import UserError
from personalized_face.data.video import write_video
from personalized_face.evaluation import layouts, tables
from personalized_face.evaluation.aflw2000 import AFLW2000
from personalized_face.evaluation.benchmark import MISSING, NO_FACE, run_benchmark
from personalized_face.evaluation.predictions import NOT_FOUND
from personalized_face.evaluation.videos_300vw import Videos300VW

BOX = 40.0  # side of the box of every fixture's landmarks, pixels


def square_of_points(left=10.0, top=20.0):
  """68 points whose box has the side BOX; 36 and 45 are 20 px apart."""
  points = np.random.default_rng(0).uniform(5, 35, [68, 2])
  points[0], points[1] = (0, 0), (BOX, BOX)
  points[36], points[45] = (10, 10), (30, 10)
  return points + [left, top]


def write_aflw(folder, yaws=(10, -20, 45, -80)):
  """As published: imageNNNNN.jpg with a .mat beside it, points 1-based."""
  for i, yaw in enumerate(yaws):
    stem = folder / f"image{i + 2:05d}"
    Image.fromarray(np.full([60, 60, 3], 40 * i, np.uint8)).save(f"{stem}.jpg")
    points = square_of_points() + i + 0.5
    scipy.io.savemat(
      f"{stem}.mat",
      {
        "pt3d_68": np.concatenate([points.T, np.zeros([1, 68])]).astype(np.float32),
        "Pose_Para": np.array([[0.1, np.radians(yaw), 0, 0, 0, 0, 1]]),
        "roi": np.zeros([1, 4]),
      },
    )
  return str(folder)


def test_aflw_truth_scores_zero(tmp_path):
  figures = summary(AFLW2000(write_aflw(tmp_path)))
  assert list(figures) == list(AFLW2000.columns)
  assert figures == pytest.approx(dict.fromkeys(figures, 0), abs=1e-5)


def test_aflw_two_pixels_score_what_arithmetic_says(tmp_path):
  # 2 px of a box of 40 px: 5 %, in every bin. float32 files.
  figures = summary(AFLW2000(write_aflw(tmp_path)), shift_landmarks(2))
  assert figures == pytest.approx(dict.fromkeys(figures, 5.0), rel=1e-5)


def test_aflw_mean_of_bins_is_not_the_plain_mean(tmp_path):
  benchmark = AFLW2000(write_aflw(tmp_path))

  def only_the_side_view(prediction):
    side = prediction.landmarks[0, 0] > 12.9  # the last of the four, at left = 13
    return shift_landmarks(2)(prediction) if side else prediction

  figures = summary(benchmark, only_the_side_view)
  assert figures["60-90"] == pytest.approx(5, rel=1e-5)
  assert figures["mean_of_bins"] == pytest.approx(5 / 3, rel=1e-5)
  assert figures["plain_mean"] == pytest.approx(5 / 4, rel=1e-5)


def test_aflw_bins_and_index_base(tmp_path):
  folder = write_aflw(tmp_path, (30, -30.1, 60, 60.1))
  samples = list(AFLW2000(folder).samples())
  assert [sample.group for sample in samples] == ["0-30", "30-60", "30-60", "60-90"]
  # Written 1-based: the first pixel's centre is 1 there and .5 here.
  np.testing.assert_allclose(samples[0].truth, square_of_points(), atol=1e-5)
  raw = next(AFLW2000(folder, index_base=0.5).samples())
  np.testing.assert_allclose(raw.truth, square_of_points() + 0.5, atol=1e-5)


def test_aflw_shuffled_order_changes_nothing(tmp_path):
  benchmark = AFLW2000(write_aflw(tmp_path))

  def uneven(prediction):
    return shift_landmarks(prediction.landmarks[0, 0] / 5)(prediction)

  assert summary(Shuffled(benchmark), uneven) == pytest.approx(
    summary(benchmark, uneven), rel=1e-12
  )


def test_aflw_reannotated_points(tmp_path):
  folder = write_aflw(tmp_path)
  points = np.stack([square_of_points(7 + i).T for i in range(4)])
  np.save(tmp_path / "points.npy", points)
  names = [f"image{i + 2:05d}.jpg" for i in range(4)]
  (tmp_path / "names.list").write_text("\n".join(names))
  benchmark = AFLW2000(
    folder, str(tmp_path / "points.npy"), str(tmp_path / "names.list")
  )
  assert "re-annotated" in benchmark.protocol
  third = list(benchmark.samples())[2]
  np.testing.assert_allclose(third.truth, square_of_points(9) - 0.5)
  with pytest.raises(UserError, match="names"):
    AFLW2000(folder, str(tmp_path / "points.npy"))
  (tmp_path / "names.list").write_text("\n".join(names[:3]))
  with pytest.raises(UserError, match="3 names for 4"):
    AFLW2000(folder, str(tmp_path / "points.npy"), str(tmp_path / "names.list"))


def test_aflw_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="AFLW2000-3D: it does not exist"):
    AFLW2000(str(tmp_path / "nowhere"))
  with pytest.raises(UserError, match="has no file of that layout"):
    AFLW2000(str(tmp_path))
  folder = write_aflw(tmp_path)
  scipy.io.savemat(tmp_path / "image00003.mat", {"pt2d": np.zeros([2, 21])})
  with pytest.raises(UserError, match=r"image00003.mat has no variable pt3d_68"):
    list(AFLW2000(folder).samples())
  (tmp_path / "image00003.mat").write_text("not Matlab")
  with pytest.raises(UserError, match="image00003.mat is not a readable"):
    list(AFLW2000(folder).samples())
  (tmp_path / "image00003.mat").unlink()
  with pytest.raises(UserError, match="has no image00003.mat"):
    AFLW2000(folder)


def test_an_image_without_a_face_is_counted_and_kept(tmp_path):
  benchmark = AFLW2000(write_aflw(tmp_path))
  seen = iter([True, False, True, True])

  def sometimes(prediction):
    return shift_landmarks(2)(prediction) if next(seen) else NOT_FOUND

  predictors = [
    TruthPredictor(benchmark, sometimes, "half blind"),
    TruthPredictor(benchmark, lambda p: None, "lost"),
    TruthPredictor(benchmark),
  ]
  result = run_benchmark(benchmark, predictors)
  blind, lost, truth = tables.make_table(result, with_published=False).rows
  assert blind.counts["samples"] == 4 and blind.counts[NO_FACE] == 1
  assert blind.values["0-30"] == pytest.approx(5, rel=1e-5)  # of one of two images
  assert lost.counts[MISSING] == 4 and math.isnan(lost.values["plain_mean"])
  assert "half blind: image00003: no face" in tables.without_figures(result)
  assert tables.make_common_table(result) is None  # "lost" has no figure at all
  common = tables.make_common_table(
    result._replace(
      rows=[r for r in result.rows if r.system != "lost"], order=["half blind", "truth"]
    )
  )
  assert "3 of 4" in common.note
  assert [row.counts["samples"] for row in common.rows] == [3, 3]


def write_300vw(root, videos=((114, 3), (203, 2), (410, 2))):
  """As published: NNN/vid.avi and NNN/annot/000001.pts, points 1-based."""
  for number, frames in videos:
    folder = root / f"{number:03d}"
    (folder / "annot").mkdir(parents=True)
    pictures = [np.full([64, 64, 3], 30 * i, np.uint8) for i in range(frames)]
    write_video(str(folder / "clip.mp4"), iter(pictures), 25.0)
    (folder / "clip.mp4").rename(folder / "vid.avi")  # OpenCV goes by the contents
    for i in range(frames):
      points = square_of_points(10 + i) + 0.5
      lines = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
      text = f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n"
      (folder / "annot" / f"{i + 1:06d}.pts").write_text(text)
  return str(root)


def test_300vw_truth_scores_best(tmp_path):
  figures = summary(Videos300VW(write_300vw(tmp_path)))
  # Six decimals in the files of points 20 px apart.
  for key, value in figures.items():
    assert value == pytest.approx(1 if key.endswith("auc") else 0, abs=1e-5)


@pytest.mark.parametrize(
  ("normaliser", "size"),
  [
    ("outer_eye_corners", 20),
    ("box_geometric_mean", BOX),
    ("box_diagonal", BOX * 2**0.5),
  ],
)
def test_300vw_one_pixel_scores_what_arithmetic_says(tmp_path, normaliser, size):
  benchmark = Videos300VW(write_300vw(tmp_path), normaliser=normaliser)
  figures = summary(benchmark, shift_landmarks(1))
  # One pixel over the size is the error of every frame: the curve is a step.
  assert figures["auc"] == pytest.approx(1 - 1 / size / 0.08, abs=1e-4)
  assert figures["failure"] == 0
  figures = summary(benchmark, shift_landmarks(10))
  assert figures["auc"] == 0 and figures["scenario 2 failure"] == 100


def test_300vw_a_frame_without_a_face_is_a_failure(tmp_path):
  benchmark = Videos300VW(write_300vw(tmp_path))
  seen = iter([True, False, True, True, True, True, True])
  figures = summary(benchmark, lambda p: p if next(seen) else NOT_FOUND)
  assert figures["scenario 1 auc"] == pytest.approx(2 / 3, abs=1e-5)
  assert figures["scenario 1 failure"] == pytest.approx(100 / 3)
  assert figures["scenario 2 failure"] == 0
  assert figures["failure"] == pytest.approx(100 / 7)


def test_300vw_clips_follow_one_another(tmp_path):
  benchmark = Videos300VW(write_300vw(tmp_path))
  samples = list(benchmark.samples())
  assert [s.clip for s in samples] == ["114"] * 3 + ["203"] * 2 + ["410"] * 2
  assert samples[1].name == "114/000002" and samples[1].group == "scenario 1"
  np.testing.assert_allclose(samples[1].truth, square_of_points(11), atol=1e-6)
  shuffled = summary(Shuffled(benchmark), shift_landmarks(1))
  assert shuffled == pytest.approx(summary(benchmark, shift_landmarks(1)), rel=1e-12)


def test_300vw_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="300VW: it has no file of that layout"):
    Videos300VW(str(tmp_path))
  write_300vw(tmp_path, [(1, 1)])
  with pytest.raises(UserError, match="only training"):
    Videos300VW(str(tmp_path))
  assert len(list(Videos300VW(str(tmp_path), all_videos=True).samples())) == 1
  write_300vw(tmp_path, [(114, 1)])
  annotations = tmp_path / "114" / "annot"
  (annotations / "000009.pts").write_text("version: 1")
  with pytest.raises(UserError, match="annotates 000009.pts"):
    list(Videos300VW(str(tmp_path)).samples())
  with pytest.raises(ValueError, match="normaliser"):
    Videos300VW(str(tmp_path), normaliser="nose")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("version: 1", "not a readable .pts"),
    ("version: 1\nn_points: 2\n{\n1 1\n2 2\n}\n", "has 2 points"),
    ("version: 1\nn_points: 68\n{\n1 1\n2 x\n}\n", "not a readable .pts"),
  ],
)
def test_read_pts_exception_raised(tmp_path, text, message):
  (tmp_path / "a.pts").write_text(text)
  with pytest.raises(UserError, match=message):
    layouts.read_pts(str(tmp_path / "a.pts"))
