"""What is true of synthetic clips gets into the records, and out of them."""

import json

import gin
import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template
from test_prepare import _manifest, _prepare, toy_video
from test_records import toy_clip, write_toy_records

from personalized_face.core.errors import UserError
from personalized_face.core.rotation import euler_from_matrix, transform
from personalized_face.core.types import Batch, PersonModel, Tracking
from personalized_face.data import corpus_spec, record_format, records
from personalized_face.data import truth as truth_module
from personalized_face.data.augment import Jitter
from personalized_face.data.crop import Square, to_crop
from personalized_face.data.dataset import make_dataset, make_eval_dataset
from personalized_face.data.frame_truth import FrameTruth, in_crop
from personalized_face.data.truth import MAP_SIDE, Truth
from personalized_face.evaluation.synthetic import pose_in_box
from personalized_face.face_model.files import Motion, save_motion, save_person
from personalized_face.rendering.camera import Camera, project


def toy_truth(count, blendshapes=("a", "b", "c"), template_hash="0123"):
  """Every number of frame i begins with i."""
  number = np.arange(count, dtype=np.float32)

  def values(*shape):
    return number.reshape(-1, *[1] * len(shape)) + np.zeros([count, *shape], np.float32)

  return Truth(
    template="toy",
    template_hash=template_hash,
    blendshapes=blendshapes,
    person="clip_person.npz",
    person_sha256="00ff",
    expression=values(len(blendshapes)) + np.linspace(0, 0.5, len(blendshapes)),
    rotation=values(3) + [0.0, 0.25, 0.5],
    translation=values(3),
    light=values(9, 3),
    camera=values(3),
    neutral_correction=_toy_map(0.1),
    static_albedo=_toy_map(0.5),
  )


def _toy_map(level):
  """Every texel of a row alike, and no two rows."""
  rows = level + np.linspace(0, 0.1, MAP_SIDE, dtype=np.float32)
  return np.tile(rows[:, None, None], (1, MAP_SIDE, 3))


def clip_with_truth(count, **kwargs):
  return toy_clip(count)._replace(truth=toy_truth(count, **kwargs))


def _assert_equal(a, b):
  assert a._fields == b._fields
  for name, x, y in zip(a._fields, a, b, strict=True):
    np.testing.assert_array_equal(x, y, name)


def test_example_round_trip_in_parts():
  clip = clip_with_truth(7)
  for i, part in enumerate(record_format.parts(clip, max_frames=4)):
    read = record_format.from_example(record_format.to_example(part)).truth
    _assert_equal(read, clip.truth.take(np.arange(i, 7, 2)))
    assert read.expression.shape == (part.num_frames, 3)


def test_records_of_real_clips_are_as_before():
  example = tf.train.Example.FromString(record_format.to_example(toy_clip(3)))
  assert not [name for name in example.features.feature if name.startswith("truth")]
  assert record_format.from_example(record_format.to_example(toy_clip(3))).truth is None


def _write_motion(path, count, fps=10.0):
  """Frame i has the coefficient i / 100; the head stands to the right of the middle."""
  number = np.arange(count, dtype=np.float32)
  zeros = np.zeros([count, 3], np.float32)
  motion = Motion(
    times=number / fps,
    tracking=Tracking(
      expression=zeros + number[:, None] / 100,
      rotation=zeros + 0.1,
      translation=zeros + [0.2, 0.1, -10.0],
      light=np.ones([count, 9, 3], np.float32),
    ),
    boxes=np.tile(np.array([40.0, 8, 120, 88], np.float32), (count, 1)),
    frame_size=(96, 160),
    fps=fps,
  )
  save_motion(str(path), motion, toy_template())


def _write_person(path):
  template = toy_template()
  maps = template.uv_size, template.uv_size
  person = PersonModel(
    np.full([*maps, 3], 0.25),
    np.zeros([*maps, template.num_blendshapes, 3]),
    np.full([*maps, 3], 0.5),
    np.zeros([*maps, template.num_blendshapes, 3]),
  )
  save_person(str(path), person, template)


@pytest.fixture
def clip(tmp_path):
  """A toy video of 20 frames with its truth, in a folder of its own."""
  folder = tmp_path / "clips"
  folder.mkdir()
  toy_video(folder / "ann.mp4")
  _write_motion(folder / "ann_motion.npz", 20)
  _write_person(folder / "ann_person.npz")
  return folder


def test_preparation_joins_truth_and_frames(clip, tmp_path):
  """Each frame has its own row, and the camera that its crop was seen by."""
  info = _prepare([str(clip)], tmp_path / "out", corpus="synthetic")
  assert info["truth"] == 20
  assert _manifest(tmp_path / "out")["ann"]["truth"] == "20"
  clip_camera = Camera(96, 160, 1015.0 / 224 * 80, 80.0, 48.0)
  point = np.array([0.2, 0.1, -10.0])
  in_clip = project(point, clip_camera).numpy()
  for split in records.SPLITS:
    frames = next(iter(records.read_clips(str(tmp_path / "out"), split)))
    truth = frames.truth
    np.testing.assert_array_equal(
      truth.expression[:, 0], np.float32(frames.source_frames) / np.float32(100)
    )
    assert truth.template_hash == toy_template().hash
    assert truth.blendshapes == toy_template().blendshape_names
    assert truth.person == "ann_person.npz" and len(truth.person_sha256) == 64
    assert truth.neutral_correction.shape == (MAP_SIDE, MAP_SIDE, 3)
    assert (truth.neutral_correction == 0.25).all()
    assert (truth.static_albedo == 0.5).all()
    for square, camera in zip(frames.squares, truth.camera, strict=True):
      seen = project(point, Camera(32, 32, *camera.tolist())).numpy()
      want = to_crop(in_clip, Square(*square.tolist()), 32)
      np.testing.assert_allclose(seen, want, atol=1e-3)  # float32 of tens of pixels


def test_readable_without_this_package(clip, tmp_path):
  """features.json and tf.train.Example are enough."""
  _prepare([str(clip)], tmp_path / "out", corpus="synthetic")
  features = json.loads((tmp_path / "out" / "features.json").read_text())["features"]
  path = next((tmp_path / "out").glob("*-train.tfrecord*"))
  record = next(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
  found = tf.train.Example.FromString(record).features.feature
  assert set(found) == set(features)
  frames = found["num_frames"].int64_list.value[0]
  for name, size in (("expression", 3), ("rotation", 3), ("light", 27), ("camera", 3)):
    assert len(found[f"truth_{name}"].float_list.value) == frames * size
    assert features[f"truth_{name}"].startswith("float32 [F, ")
  for name in ("neutral_correction", "static_albedo"):
    assert len(found[f"truth_{name}"].float_list.value) == MAP_SIDE**2 * 3


@pytest.mark.parametrize(
  "spoil, reason",
  [
    (lambda clip: (clip / "ann_motion.npz").unlink(), "There is no motion file"),
    (lambda clip: (clip / "ann_motion.npz").write_text("no"), "not a readable motion"),
    (
      lambda clip: _write_motion(clip / "ann_motion.npz", 15),
      r"ann_motion.npz says nothing of its clip at 1.50 s",
    ),
    (lambda clip: (clip / "ann_person.npz").unlink(), "ann_person.npz cannot be read"),
    (lambda clip: (clip / "ann_person.npz").write_text("no"), "not a readable person"),
  ],
)
def test_lost_truth_is_said_and_can_come_back(clip, tmp_path, spoil, reason):
  spoil(clip)
  info = _prepare([str(clip)], tmp_path / "out", corpus="synthetic")
  row = _manifest(tmp_path / "out")["ann"]
  assert row["status"] == "ok" and info["truth"] == 0
  assert row["reason"].startswith("Its records carry no ground truth: ")
  assert reason in row["reason"]
  with pytest.raises(UserError, match="The clip ann of .* has no ground truth"):
    make_dataset(str(tmp_path / "out"), truth=True)
  _write_motion(clip / "ann_motion.npz", 20)
  _write_person(clip / "ann_person.npz")
  info = _prepare([str(clip)], tmp_path / "out", corpus="synthetic")
  assert info["truth"] == 20 and info["run"]["prepared"] == 1


def test_batches_with_their_truth(tmp_path):
  """The numbers of toy frames, of their pictures and of their truth are the same."""
  clips = [clip_with_truth(20), clip_with_truth(90)._replace(clip="long")]
  folder = write_toy_records(tmp_path, clips)
  dataset = make_dataset(folder, groups_per_batch=2, frames_per_group=3, truth=True)
  batch_spec, truth_spec = dataset.element_spec
  assert truth_spec.tracking.expression.shape == [2, 3, 3]
  assert truth_spec.tracking.light.shape == [2, 3, 9, 3]
  for batch, truth in dataset.take(8).as_numpy_iterator():
    number = batch.landmarks[:, :, 0, 0]
    np.testing.assert_array_equal(truth.tracking.expression[..., 0], number)
    np.testing.assert_array_equal(truth.tracking.rotation[..., 1], number + 0.25)
    np.testing.assert_array_equal(truth.camera[..., 2], number)
    np.testing.assert_array_equal(truth.tracking.light[:, :, 8, 2], number)
  plain = make_dataset(folder, groups_per_batch=2, frames_per_group=3)
  assert plain.element_spec == batch_spec


def test_evaluation_with_the_truth(tmp_path):
  folder = write_toy_records(tmp_path, [clip_with_truth(7)], split="test")
  numbers = []
  for batch, valid, truth in make_eval_dataset(folder, frames_per_group=4, truth=True):
    np.testing.assert_array_equal(
      truth.tracking.expression[..., 0], batch.landmarks[:, :, 0, 0]
    )
    numbers += truth.camera[..., 0][valid].numpy().tolist()
  assert numbers == list(range(7))


def test_batches_that_know_the_truth(tmp_path):
  folder = write_toy_records(tmp_path, [clip_with_truth(20)])
  options = {"groups_per_batch": 1, "frames_per_group": 3}
  names = ("a", "b", "c")
  _, truth = next(iter(make_dataset(folder, **options, shuffle=False, truth=True)))
  still = make_dataset(folder, **options, shuffle=False, known_blendshapes=names)
  found = next(iter(still)).truth
  np.testing.assert_array_equal(found.expression, truth.tracking.expression)
  assert found.rotation.shape == [1, 3, 3, 3]
  np.testing.assert_array_equal(found.neutral_correction[0], _toy_map(0.1))
  np.testing.assert_array_equal(found.static_albedo[0], _toy_map(0.5))
  gin.parse_config("Jitter.shift = 0.1")
  try:
    plain = make_dataset(folder, **options)
    known = make_dataset(folder, **options, known_blendshapes=names)
    for batch, supervised in zip(plain.take(3), known.take(3), strict=True):
      assert batch.truth == ()
      np.testing.assert_array_equal(batch.landmarks, supervised.landmarks)
      assert supervised.truth.expression.shape == [1, 3, 3]
  finally:
    gin.clear_config()


def test_truth_moves_with_the_crop():
  """Points of a head, seen by the moved camera, lie where the jitter moved them to."""
  rng = np.random.default_rng(0)
  count, side = 6, 64
  points = rng.normal(size=(68, 3))
  truth = FrameTruth(
    Tracking(
      expression=rng.uniform(size=(count, 3)).astype(np.float32),
      rotation=rng.uniform(-0.5, 0.5, size=(count, 3)).astype(np.float32),
      translation=(rng.normal(size=(count, 3)) - [0, 0, 20]).astype(np.float32),
      light=np.zeros([count, 9, 3], np.float32),
    ),
    (rng.uniform(20, 40, size=(count, 3)) + [200, 0, 0]).astype(np.float32),
    *[_toy_map(0.1)] * 2,
  )

  def projected(truth):
    turned = np.asarray(transform(points[np.newaxis], *truth.tracking[1:3]))
    focal, x, y = np.split(np.asarray(truth.camera), 3, axis=1)
    depth = -turned[..., 2]
    return np.stack(
      [x + focal * turned[..., 0] / depth, y - focal * turned[..., 1] / depth], axis=-1
    ).astype(np.float32)

  truth = tf.nest.map_structure(tf.constant, truth)
  points = points.astype(np.float32)
  batch = Batch(
    images=tf.zeros([count, side, side, 3]),
    landmarks=projected(truth),
    parsing=tf.zeros([count, side, side], tf.int32),
  )
  jitter = Jitter(shift=0.1, log_scale=0.2, degrees=20.0)
  moved = jitter.apply(batch, [3, 4])
  assert np.abs(moved.landmarks - batch.landmarks).max() > 3
  np.testing.assert_allclose(
    projected(jitter.apply_to_truth(truth, [3, 4], side)), moved.landmarks, atol=1e-3
  )


def test_rotation_in_the_crop_is_that_of_the_evaluation():
  rng = np.random.default_rng(0)
  rotations = rng.uniform(-0.5, 0.5, size=(5, 3))
  box = np.array([64.0, 64, 448, 448])
  squares = np.array([[40, 90, 300], [64, 64, 384], [120, 30, 250]] * 2)[:5]
  cameras = truth_module._crop_cameras(np.tile(box, (5, 1)), squares, 112)
  light, translation = np.zeros([5, 9, 3]), np.zeros([5, 3])
  tracking = Tracking(np.zeros([5, 2]), rotations, translation, light)
  truth = FrameTruth(tracking, cameras, *[_toy_map(0.1)] * 2)
  single = tf.nest.map_structure(lambda part: tf.constant(part, tf.float32), truth)
  found = in_crop(single, 112).rotation
  for i, (left, top, side) in enumerate(squares):
    other = np.array([left, top, left + side, top + side])
    euler = euler_from_matrix(found[i].numpy())
    back, _ = pose_in_box(euler, translation[i], other, box)
    np.testing.assert_allclose(back, rotations[i], atol=1e-5)


def test_truth_of_other_shapes_exception_raised(tmp_path):
  known, bare = tmp_path / "known", tmp_path / "bare"
  known.mkdir()
  bare.mkdir()
  folder = write_toy_records(known, [clip_with_truth(9)])
  options = {"groups_per_batch": 1, "frames_per_group": 3}
  with pytest.raises(UserError, match="told in other blendshapes than the template's"):
    make_dataset(folder, **options, known_blendshapes=("a", "c", "b"))
  gin.parse_config("Appearance.flip = 0.5")
  try:
    with pytest.raises(UserError, match="set Appearance.flip = 0"):
      make_dataset(folder, **options, known_blendshapes=("a", "b", "c"))
  finally:
    gin.clear_config()
  stranger = clip_with_truth(9)
  nobody = np.zeros([0, MAP_SIDE, 3], np.float32)
  unknown = stranger.truth._replace(neutral_correction=nobody)
  with pytest.raises(UserError, match="or none of its person"):
    make_dataset(
      write_toy_records(bare, [stranger._replace(truth=unknown)]),
      **options,
      known_blendshapes=("a", "b", "c"),
    )
  with pytest.raises(UserError, match="has no ground truth"):
    make_dataset(
      write_toy_records(bare, [toy_clip(9)]),
      **options,
      known_blendshapes=("a", "b", "c"),
    )


def test_truth_is_not_augmented(tmp_path):
  folder = write_toy_records(tmp_path, [clip_with_truth(9)])
  gin.parse_config("Appearance.flip = 0.5")
  try:
    with pytest.raises(UserError, match="set Jitter and Appearance to 0"):
      make_dataset(folder, truth=True)
    make_dataset(folder, truth=True, shuffle=False)
  finally:
    gin.clear_config()


def test_truth_of_several_templates(tmp_path):
  other = clip_with_truth(9, blendshapes=("a",), template_hash="4567")
  folder = write_toy_records(
    tmp_path, [clip_with_truth(9), other._replace(clip="other")]
  )
  with pytest.raises(UserError, match="told in 2 templates"):
    make_dataset(folder, truth=True)


@pytest.mark.parametrize(
  "line, match",
  [
    ("truth: {motion: '{name}.npz'}", "names 'name' in {name}.npz"),
    ("truth: {motion: '{stem}.npz'}\nkind: images", "which only videos can have"),
    ("truth: {person: '{stem}.npz'}", "lacks motion"),
  ],
)
def test_truth_of_a_corpus_exception_raised(tmp_path, line, match):
  spec = tmp_path / "mine.yaml"
  base = 'layout: "{a}.{extension}"\nperson: "{a}"\nclip: "{a}"\n'
  spec.write_text(f"{base}source: me\nlicence: mine\n{line}\n")
  with pytest.raises(UserError, match=match):
    corpus_spec.load(str(spec))
