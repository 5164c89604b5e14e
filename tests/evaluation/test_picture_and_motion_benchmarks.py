"""CelebA*, the expression metric and the synthetic people."""

import csv

import numpy as np
import pytest
from evaluation.evaluation_cases import Shuffled, summary
from evaluation.scan_fixtures import write_picture
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.core.rotation import euler_from_matrix, rotation_matrix
from personalized_face.core.types import PARSING_CLASSES, Tracking
from personalized_face.data.video import write_video
from personalized_face.evaluation.celeba import CelebA
from personalized_face.evaluation.expression import Expression, by_side, group_errors
from personalized_face.evaluation.predictions import Prediction
from personalized_face.evaluation.synthetic import (
  Synthetic,
  labels_in_box,
  pose_in_box,
)
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, save_motion, save_person
from personalized_face.metrics.appearance import albedo_error_255, light_error_percent

UPPER_LIP, LOWER_LIP = (PARSING_CLASSES.index(f"{s}_lip") for s in ("upper", "lower"))


def write_celeba(root):
  """As published: img_align_celeba/NNNNNN.jpg and list_eval_partition.txt."""
  lines = []
  for i, partition in enumerate((0, 2, 1, 2, 2), start=1):
    write_picture(root / "img_align_celeba" / f"{i:06d}.jpg", (218, 178), 20 * i)
    lines.append(f"{i:06d}.jpg {partition}")
  (root / "list_eval_partition.txt").write_text("\n".join(lines))
  return str(root)


def test_celeba_truth_and_known_differences(tmp_path):
  benchmark = CelebA(write_celeba(tmp_path))
  names = [sample.name for sample in benchmark.samples()]
  assert names == ["000002", "000004", "000005"]
  assert summary(benchmark) == {"photometric": 0, "mask": 100}

  def brighter(prediction):
    mask = prediction.mask.copy()
    mask[: len(mask) // 2] = False
    return prediction._replace(
      rendering=prediction.rendering + np.array([3, 0, 4]) / 255, mask=mask
    )

  # The l2 norm over RGB of (3, 0, 4) grey levels is 5.
  assert summary(benchmark, brighter) == pytest.approx({"photometric": 5, "mask": 50})
  shuffled = summary(Shuffled(benchmark), brighter)
  assert shuffled == pytest.approx(summary(benchmark, brighter), rel=1e-12)


def test_celeba_takes_a_list_and_a_count(tmp_path):
  folder = write_celeba(tmp_path)
  (tmp_path / "names.txt").write_text("000003.jpg\n000001.jpg\n")
  listed = CelebA(folder, str(tmp_path / "names.txt"))
  assert [s.name for s in listed.samples()] == ["000003", "000001"]
  assert len(list(CelebA(folder, count=2).samples())) == 2


def test_celeba_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="CelebA.*has no list_eval_partition.txt"):
    CelebA(str(tmp_path))
  folder = write_celeba(tmp_path)
  (tmp_path / "img_align_celeba" / "000004.jpg").unlink()
  with pytest.raises(UserError, match="has no 000004.jpg"):
    CelebA(folder)


def write_expressions(root, groups=("smile", "", "kiss")):
  names = ("mouthSmileLeft", "mouthSmileRight", "mouthPucker", "jawLeft", "jawOpen")
  with open(root / "coefficients.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["image", "group", *names])
    for i, group in enumerate(groups):
      write_picture(root / f"{i}.png")
      writer.writerow([f"{i}.png", group, 0.5, 0.7, 0.25 * i, 0.3, 0.1])
  return str(root)


def test_expression_truth_and_known_differences(tmp_path):
  benchmark = Expression(write_expressions(tmp_path))
  figures = summary(benchmark)
  assert figures["smile"] == figures["kiss"] == figures["average"] == 0
  assert np.isnan(figures["eye_close"])  # nothing is known of it

  def weaker(prediction):
    return prediction._replace(
      coefficients=np.maximum(prediction.coefficients - 0.1, 0)
    )

  figures = summary(benchmark, weaker)
  # Of the third picture only, which shows the kiss: .5 against .4.
  assert figures["kiss"] == pytest.approx(0.1)
  assert figures["smile"] == pytest.approx(0.1)
  # Nobody is labelled with an open mouth: over all pictures.
  assert figures["mouth_open"] == pytest.approx(0.1)
  assert figures["average"] == pytest.approx(0.1)
  shuffled = summary(Shuffled(benchmark), weaker)
  np.testing.assert_allclose(list(shuffled.values()), list(figures.values()))


def test_expression_names_match_by_side_not_by_place():
  stems = {"smile": ["mouthSmile"], "jaw_lr": ["jawLeft", "jawRight"]}
  truth = {"mouthSmileLeft": 0.2, "mouthSmileRight": 0.8, "jawLeft": 0.5}
  ours = {"mouthSmile_R": 0.8, "jawLeft": 0.5, "mouthSmile_L": 0.2}
  assert group_errors(ours, truth, stems) == {"smile": 0, "jaw_lr": 0}
  swapped = {"mouthSmile_L": 0.8, "mouthSmile_R": 0.2}
  assert group_errors(swapped, truth, stems)["smile"] == pytest.approx(0.6)
  one_sided = {"mouthSmile": 0.4}  # the mean of both counts
  assert group_errors(one_sided, truth, stems)["smile"] == pytest.approx(0.1)
  assert by_side({"MouthSmileLeft": 1}) == by_side({"mouth_smile_l": 1})
  assert by_side({"mouthLeft": 1}) == {"mouthleft": {"": 1}}


def test_expression_wrong_layouts_are_refused_by_name(tmp_path):
  with pytest.raises(UserError, match="no readable coefficients.csv"):
    Expression(str(tmp_path))
  folder = write_expressions(tmp_path, ("grin",))
  with pytest.raises(UserError, match="the group 'grin'"):
    Expression(folder)
  write_expressions(tmp_path, ("smile",))
  (tmp_path / "0.png").unlink()
  with pytest.raises(UserError, match="has no 0.png"):
    Expression(folder)
  (tmp_path / "coefficients.csv").write_text("image,group,jawOpen\n0.png,,wide\n")
  with pytest.raises(UserError, match="not image, group and numbers"):
    Expression(folder)
  (tmp_path / "coefficients.csv").write_text("image,group,jawOpen\n0.png,,1.5\n")
  with pytest.raises(UserError, match=r"outside \[0, 1\]"):
    Expression(folder)


FRAMES = 4


def write_synthetic(root):
  """A clip of the toy template: what is true of it, and grey pictures."""
  template = toy_template()
  rng = np.random.default_rng(0)
  person = FaceModel(template).template_person()
  person = type(person)(*(np.asarray(value)[0] for value in person))
  person = person._replace(
    neutral_correction=rng.normal(size=person.neutral_correction.shape) * 0.02
  )
  tracking = Tracking(
    expression=rng.uniform(0, 0.6, [FRAMES, 3]),
    rotation=rng.uniform(-0.2, 0.2, [FRAMES, 3]),
    translation=rng.uniform(-0.1, 0.1, [FRAMES, 3]) - [0, 0, 10],
    light=rng.uniform(0.1, 1, [FRAMES, 9, 3]),
  )
  boxes = np.tile([8.0, 8, 56, 56], (FRAMES, 1))
  times = np.arange(FRAMES) / 5
  save_person(str(root / "toy_person.npz"), person, template)
  motion = Motion(times, tracking, boxes, (64, 64), 5.0)
  save_motion(str(root / "toy_motion.npz"), motion, template)
  pictures = [np.full([64, 64, 3], 60, np.uint8)] * FRAMES
  write_video(str(root / "toy.mp4"), iter(pictures), 5.0)
  template.save(str(root / "template.npz"))
  return str(root)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
  folder = write_synthetic(tmp_path_factory.mktemp("synthetic"))
  return Synthetic(folder, template=f"{folder}/template.npz")


def test_synthetic_truth_scores_zero(synthetic):
  figures = summary(synthetic)
  assert list(figures) == list(Synthetic.columns)
  # float32 poses (1e-7 rad); the albedo's and the light's factors are solved for.
  assert figures == pytest.approx(dict.fromkeys(figures, 0), abs=1e-4)
  assert len(list(synthetic.samples())) == FRAMES


def test_synthetic_landmarks_lie_on_what_was_rendered(synthetic):
  for sample in synthetic.samples():
    truth = sample.truth
    rows, columns = np.nonzero(truth.parsing)
    pixel = (truth.box[2] - truth.box[0]) / len(truth.parsing)  # of the frame
    low = truth.box[:2] + pixel * np.array([columns.min(), rows.min()])
    high = truth.box[:2] + pixel * np.array([columns.max() + 1, rows.max() + 1])
    # The toy's landmarks visit its whole grid, so they span what the box shows of it.
    points = np.clip(truth.landmarks, truth.box[:2], truth.box[2:])
    np.testing.assert_allclose(points.min(axis=0), low, atol=2 * pixel)
    np.testing.assert_allclose(points.max(axis=0), high, atol=2 * pixel)


def test_synthetic_known_perturbations(synthetic):
  signs = np.tile([1.0, -1.0], 32)

  def change(p: Prediction) -> Prediction:
    turned = np.asarray(rotation_matrix(p.rotation.astype(np.float64)))
    tilt = np.asarray(rotation_matrix(np.radians([0, 5.0, 0])))
    return p._replace(
      landmarks=p.landmarks + [2, 0],
      vertices=p.vertices + 2.0 * signs[:, None] * [0, 0, 1],
      coefficients=p.coefficients + 0.1,
      rotation=euler_from_matrix(tilt @ turned),
      translation=p.translation + [3, 0, 4],
      light=2 * p.light,
      albedo=0.5 * p.albedo,
      parsing=np.where(p.parsing == LOWER_LIP, UPPER_LIP, p.parsing),
    )

  figures = summary(synthetic, change)
  boxes = [np.ptp(s.truth.landmarks, axis=0) for s in synthetic.samples()]
  nme = np.mean([100 * 2 / np.sqrt(box[0] * box[1]) for box in boxes])
  assert figures["nme_percent"] == pytest.approx(nme, rel=1e-6)
  # A rigid fit can win a little from alternating columns; it may not win much.
  assert 1.8 < figures["vertex_mm"] <= 2.0
  assert figures["neutral_mm"] == pytest.approx(0, abs=1e-4)
  assert figures["coefficient_mae"] == pytest.approx(0.1, rel=1e-5)
  assert figures["rotation_degrees"] == pytest.approx(5, rel=1e-4)
  assert figures["translation_mm"] == pytest.approx(5, rel=1e-3)  # float32 of a metre
  # Twice the light on half the albedo is the same picture, and no error.
  assert figures["light_percent"] == pytest.approx(0, abs=1e-4)
  assert figures["albedo_255"] == pytest.approx(0, abs=1e-4)
  # The lower lip is missed, the upper one has both, skin and brows are right.
  lips = [
    (np.sum(s.truth.parsing == UPPER_LIP), np.sum(s.truth.parsing == LOWER_LIP))
    for s in synthetic.samples()
  ]
  errors = [100 * (1 - (1 + 1 + upper / (upper + lower)) / 4) for upper, lower in lips]
  assert figures["parsing_error_percent"] == pytest.approx(np.mean(errors))
  shuffled = summary(Shuffled(synthetic), change)
  assert shuffled == pytest.approx(figures, rel=1e-9, abs=1e-9)


def test_synthetic_scores_landmarks_alone(synthetic):
  def only_points(p: Prediction) -> Prediction:
    return Prediction(True, landmarks=p.landmarks)

  figures = summary(synthetic, only_points)
  assert figures.pop("nme_percent") == 0
  assert all(np.isnan(value) for value in figures.values())


def test_synthetic_wrong_layouts_are_refused_by_name(tmp_path):
  folder = write_synthetic(tmp_path)
  template = f"{folder}/template.npz"
  with pytest.raises(UserError, match="synthetic clips: it does not exist"):
    Synthetic(f"{folder}/nowhere", template)
  (tmp_path / "toy_motion.npz").unlink()
  with pytest.raises(UserError, match="has no toy_motion.npz"):
    Synthetic(folder, template)


def test_pose_in_box_keeps_the_picture():
  rotation, translation = np.array([0.1, -0.2, 0.05]), np.array([0.05, -0.08, -10.0])
  same = pose_in_box(rotation, translation, [0, 0, 100, 100], [0, 0, 100, 100])
  np.testing.assert_allclose(same[0], rotation, atol=1e-12)
  np.testing.assert_allclose(same[1], translation, atol=1e-12)
  box, other = np.array([30, 10, 110, 90.0]), np.array([0, 0, 100, 100.0])
  turned, moved = pose_in_box(rotation, translation, box, other)
  focal = 1015 / 224

  def place(t, b):
    side = b[2] - b[0]
    centre = (b[:2] + b[2:]) / 2
    return centre + focal * side * np.array([t[0], -t[1]]) / -t[2]

  # The head's origin falls on the same pixel; to second order of the ray's angle.
  np.testing.assert_allclose(place(moved, other), place(translation, box), atol=0.05)
  # And is as large: focal length over depth.
  assert moved[2] / translation[2] == pytest.approx(100 / 80, rel=2e-3)
  # 20 px right of the middle is 20 / 453 rad: a face that looks into the camera of
  # its own crop is turned by that in the other's.
  straight, _ = pose_in_box(np.zeros(3), translation, box, other)
  assert abs(straight[1]) == pytest.approx(20 / (focal * 100), rel=1e-2)


def test_light_error_preset():
  light = np.zeros([9, 3])
  light[0] = 1
  other = light.copy()
  other[1] = 1  # as much again, at right angles
  # The best factor is 1/2: |(-1/2, 1/2)| / |(1, 0)|.
  assert light_error_percent(other, light) == pytest.approx(100 * np.sqrt(0.5))
  assert light_error_percent(3 * light, light) == 0
  assert light_error_percent(0 * light, light) == 100


def test_albedo_error_preset():
  reference = np.full([4, 4, 3], 0.5)
  predicted = reference.copy()
  predicted[0, 0] = 0.9
  mask = np.ones([4, 4])
  mask[0, 0] = 0
  assert albedo_error_255(0.3 * predicted, reference, mask) == pytest.approx(0)
  assert albedo_error_255(predicted, reference, np.ones([4, 4])) > 1
  assert np.isnan(albedo_error_255(predicted, reference, np.zeros([4, 4])))


def test_labels_seen_in_another_square():
  labels = np.arange(16).reshape(4, 4)
  box = np.array([10.0, 20, 14, 24])
  np.testing.assert_array_equal(labels_in_box(labels, box, box, side=4), labels)
  # One pixel to the right, two down; twice as fine; nothing known beyond the box.
  other = np.array([11.0, 22, 15, 26])
  seen = labels_in_box(labels, box, other, side=8)
  expected = np.zeros((4, 4), int)
  expected[:2, :3] = labels[2:, 1:]
  np.testing.assert_array_equal(seen, np.kron(expected, np.ones((2, 2), int)))


def test_albedo_of_a_coarser_map_is_compared_all_the_same(synthetic):
  def coarser(p: Prediction) -> Prediction:
    side = len(p.albedo) // 2
    return p._replace(albedo=p.albedo.reshape(side, 2, side, 2, 3).mean(axis=(1, 3)))

  figures = summary(synthetic, coarser)
  assert 0 < figures["albedo_255"] < 60  # the toy's colours vary from texel to texel
