import functools
import os

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.authoring.cache import load_template
from personalized_face.core import rotation
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data import records, specs, synthetic_head
from personalized_face.data.clip import Preparation
from personalized_face.data.crop import Square, crop_image, landmark_box
from personalized_face.data.detector import MediaPipeDetector, landmarks_68
from personalized_face.data.prepare import prepare
from personalized_face.data.synthetic import clip_camera, render_clip
from personalized_face.data.synthetic_motion import PERIOD, drives, motion
from personalized_face.data.synthetic_person import SyntheticPerson
from personalized_face.data.thinning import Thinning
from personalized_face.data.video import read_frames
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, load_motion, load_person
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.renderer import RendererLayer

NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "eyeBlink_L", "eyeBlink_R", "other")


def test_drives_both_sides_and_nothing_else():
  assert drives("mouthSmile", "mouthSmile_L") and drives("jawOpen", "jawOpen")
  assert drives("eyeBlink", "eyeBlinkRight")
  assert not drives("mouth", "mouthSmile_L") and not drives("browDown", "browDownX")


def test_motion_is_smooth_and_in_range():
  times = np.arange(0, PERIOD, 0.04)
  tracking = motion(NAMES, times)
  assert tracking.expression.min() >= 0 and tracking.expression.max() <= 1
  assert (tracking.expression[:, :5].max(axis=0) > 0.5).all()
  assert (tracking.expression[:, 5] == 0).all()
  # A blink closes in .18 s: between two frames at 25 fps less than half of the way.
  assert np.abs(np.diff(tracking.expression, axis=0)).max() < 0.5
  assert np.abs(np.diff(tracking.rotation, axis=0)).max() < np.radians(3)
  assert np.degrees(np.ptp(tracking.rotation[:, 1])) > 15  # the head does turn
  assert np.abs(tracking.translation[:, 2] + 10).max() < 0.5
  for values in tracking:
    assert values.dtype == np.float32 and len(values) == len(times)


def test_motion_is_fixed_by_seed_and_time():
  a, b = motion(NAMES, np.array([0.5, 1.5])), motion(NAMES, np.array([1.5]))
  for first, second in zip(a, b, strict=True):
    np.testing.assert_array_equal(first[1], second[0])
  other = motion(NAMES, np.array([1.5]), seed=1)
  assert (other.rotation != b.rotation).any()


def test_gestures_come_again():
  times = np.array([1.0, 2.0, 5.0])
  first, again = (motion(NAMES, times + shift).expression for shift in (0, PERIOD))
  assert first.max() > 0.1
  np.testing.assert_allclose(first, again, atol=1e-6)  # float32


def test_gestures_show_every_group_of_table_3():
  groups = specs.load("expressions", "table3", ("groups",))["groups"]
  names = [stem for stems in groups.values() for stem in stems]
  shown = motion(names, np.arange(0, PERIOD, 0.1), seed=4).expression.max(axis=0)
  assert min(shown) > 0.5, dict(zip(names, shown, strict=True))


def test_person_is_fixed_by_its_seed():
  first, same = (SyntheticPerson(toy_template(), 3).model() for _ in range(2))
  other = SyntheticPerson(toy_template(), 4).model()
  shapes = [value.shape for value in first]
  assert shapes == [(16, 16, 3), (16, 16, 3, 3), (16, 16, 3), (16, 16, 3, 3)]
  for a, b in zip(first, same, strict=True):
    np.testing.assert_array_equal(a, b)
    assert np.isfinite(a).all() and a.dtype == np.float32
  assert (first.neutral_correction != other.neutral_correction).any()
  assert (first.static_albedo != other.static_albedo).any()


@functools.cache
def _default():
  return load_template("default")


def test_corrections_are_of_a_faces_size():
  """Millimetres, symmetric, smooth; wrinkles darken, and only what folds."""
  template = _default()
  person = SyntheticPerson(template, 0)
  model = person.model()
  offsets, _ = FaceModel(template).vertex_offsets(
    PersonModel(*(v[None] for v in model))
  )
  offsets = offsets[0].numpy()
  size = np.linalg.norm(offsets, axis=-1)
  assert 0.01 < size.max() < 0.2  # 1 to 20 mm
  mirrored = offsets[template.mirror_vertices] * [-1, 1, 1]
  # Baked to texels of 1.3 mm and read back: within a quarter of a millimetre.
  assert np.abs(mirrored - offsets).max() < 0.025
  assert model.dynamic_albedo.max() <= 0
  folding = model.dynamic_albedo.min(axis=(0, 1, 3)) < -0.05
  names = np.array(template.blendshape_names)
  assert {"browInnerUp_L", "mouthSmile_R", "browDown_L"} <= set(names[folding])
  assert not {"jawOpen", "eyeBlink_L"} & set(names[folding])
  assert 0 < model.static_albedo.min() and model.static_albedo.max() < 1


def test_detail_is_one_on_average():
  detail = SyntheticPerson(_default(), 0).detail(128)
  assert detail.shape == (128, 128, 3)
  # Lashes darken a little of the map; the rest is noise of a few percent.
  assert 0.93 < detail.mean() < 1.02 and np.median(np.abs(detail - 1)) < 0.05


def test_head_starts_at_the_faces_border():
  template = _default()
  outer = synthetic_head.face_borders(template.vertices, template.triangles)[0]
  person = SyntheticPerson(template, 0)
  head = synthetic_head.head(
    template.vertices, template.triangles, outer, person.colours, 0
  )
  rows = head.part.vertices.reshape(-1, len(outer), 3)
  np.testing.assert_allclose(rows[0], template.vertices[outer], atol=1e-6)
  # No gap to the next row, and a closed back of the head behind the face.
  assert np.linalg.norm(rows[1] - rows[0], axis=-1).max() < 0.1
  assert np.linalg.norm(rows[-1] - rows[-1].mean(axis=0), axis=-1).max() < 0.15
  assert rows[..., 2].min() < template.vertices[:, 2].min() - 0.5
  assert (head.follow.reshape(-1, len(outer))[[0, -1], 0] == [1, 0]).all()


def test_eyeball_fits_its_rim():
  template = _default()
  holes = synthetic_head.face_borders(template.vertices, template.triangles)[1:]
  eye = max(holes, key=lambda loop: template.vertices[loop, 0].mean())
  rim = template.vertices[eye]
  ball, centre = synthetic_head.eyeball(rim, SyntheticPerson(template, 0).colours)
  radius = np.linalg.norm(ball.vertices, axis=-1)
  np.testing.assert_allclose(radius, synthetic_head.EYEBALL_RADIUS, atol=1e-6)
  # Lids lie on it, corners apart: 0.3 mm in the median.
  gap = np.linalg.norm(rim - centre, axis=-1) - synthetic_head.EYEBALL_RADIUS
  assert np.median(np.abs(gap)) < 0.03


def test_toy_clip_and_its_truth(tmp_path):
  template = toy_template()
  path = str(tmp_path / "clip.mp4")
  render_clip(template, path, seconds=0.3, fps=10, size=48)
  frames = list(read_frames(path, None))
  assert len(frames) == 3 and frames[0].image.shape == (48, 48, 3)
  truth = load_motion(str(tmp_path / "clip_motion.npz"), template)
  assert truth.frame_size == (48, 48) and len(truth.times) == 3
  load_person(str(tmp_path / "clip_person.npz"), template)
  assert sorted(os.listdir(tmp_path)) == [
    *("clip.mp4", "clip_motion.npz", "clip_person.npz")
  ]


def test_another_scene_has_the_same_person_in_another_light(tmp_path):
  template = toy_template()
  stems = [str(tmp_path / name) for name in ("first", "again", "other")]
  for stem, scene in zip(stems, (0, 0, 1), strict=True):
    render_clip(template, f"{stem}.mp4", 3, 0.3, 10, 48, scene=scene)
  first, again, other = (load_motion(f"{s}_motion.npz", template) for s in stems)
  np.testing.assert_array_equal(first.tracking.light, again.tracking.light)
  for name in ("light", "rotation"):
    values = (getattr(motion.tracking, name) for motion in (first, other))
    assert np.abs(np.subtract(*values)).max() > 0.01
  persons = [load_person(f"{stem}_person.npz", template) for stem in stems]
  for one, two in zip(persons[0], persons[2], strict=True):
    np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
  """Eight frames of the default clip at its full size, half a second apart."""
  path = str(tmp_path_factory.mktemp("clip") / "clip.mp4")
  render_clip(_default(), path, seconds=4.0, fps=2.0)
  return path


@pytest.fixture(scope="module")
def clip(clip_path):
  """Its frames, and what is true of them."""
  path = clip_path
  stem = path[: -len(".mp4")]
  truth = load_motion(f"{stem}_motion.npz", _default())
  person = load_person(f"{stem}_person.npz", _default())
  return [f.image for f in read_frames(path, None)], truth, person


def _camera_vertices(truth, person):
  """The truth's meshes [F, V, 3] in camera space, and their albedo maps."""
  face_model = FaceModel(_default())
  batched = PersonModel(*(tf.constant(value[None]) for value in person))
  geometry = face_model.geometry(*face_model.vertex_offsets(batched))
  expression = tf.constant(truth.tracking.expression)[None]
  vertices = face_model.shape(geometry, expression)[0]
  placed = rotation.transform(
    vertices, truth.tracking.rotation, truth.tracking.translation
  )
  return placed, face_model.albedo(batched, expression)[0]


def test_mediapipe_finds_the_face_where_it_is(clip):
  frames, truth, person = clip
  vertices, _ = _camera_vertices(truth, person)
  marked = tf.gather(vertices, _default().landmark_vertices, axis=1)
  want = project(marked, clip_camera(512)).numpy()
  detector = MediaPipeDetector()
  errors = []
  for image, points in zip(frames, want, strict=True):
    found = detector.detect(image)
    assert found is not None
    box = landmark_box(points)
    size = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    errors.append(np.linalg.norm(landmarks_68(found) - points, axis=-1).mean() / size)
  # 1.7 % on the whole clip; the template's points were placed by the same detector.
  assert np.mean(errors) < 0.03


def test_records_of_the_clip_carry_its_truth(clip_path, clip, tmp_path):
  """The mesh, seen by a record's camera, has its landmarks where the record has."""
  out = str(tmp_path / "out")
  preparation = Preparation(min_frames=1)
  everything = Thinning(probability=0.0)
  info = prepare(
    [clip_path],
    out,
    corpus="synthetic",
    preparation=preparation,
    thinning=everything,
  )
  assert info["truth"] == 8
  for split in records.SPLITS:
    frames = next(iter(records.read_clips(out, split)))
    truth = frames.truth
    tracking = Tracking(
      truth.expression, truth.rotation, truth.translation, truth.light
    )
    told = Motion(frames.times, tracking, frames.boxes, (512, 512), 2.0)
    vertices, _ = _camera_vertices(told, clip[2])
    marked = tf.gather(vertices, _default().landmark_vertices, axis=1)
    for points, camera, found in zip(
      marked, truth.camera, frames.landmarks, strict=True
    ):
      seen = project(points, Camera(224, 224, *camera.tolist())).numpy()
      # As MediaPipe finds the face in the whole frame, above: 3 % of its 142 px.
      assert np.linalg.norm(seen - found, axis=-1).mean() < 0.03 * 142


def test_the_truth_renders_the_clip(clip):
  """Person, motion, light and box give the frames back in the system's renderer."""
  frames, truth, person = clip
  template = _default()
  vertices, albedo = _camera_vertices(truth, person)
  layer = RendererLayer(
    triangles=template.triangles,
    hole_triangles=template.hole_triangles,
    uv=template.uv,
    label_map=template.parsing_map,
    camera=Camera.for_crop(224),
  )
  for i in (0, 3, 6):
    x0, y0, x1, _ = truth.boxes[i].tolist()
    crop = crop_image(frames[i], Square(x0, y0, x1 - x0)) / 255.0
    one = slice(i, i + 1)
    rendering = layer(
      vertices[None, one],
      albedo[None, one],
      tf.constant(truth.tracking.light)[None, one],
    )
    mask = rendering.mask[0, 0].numpy() > 0
    error = np.linalg.norm(rendering.image[0, 0].numpy() - crop, axis=-1)[mask]
    # Detail, highlights, noise, H.264: 0.02 on the whole.
    # A light or pose that is off by its own size gives 0.2 and more.
    assert error.mean() < 0.04, i
