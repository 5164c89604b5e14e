import csv
import dataclasses
import os
import re

import numpy as np
import pytest
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.data.arkit import ARKIT_NAMES, arkit_map, spelling_key
from personalized_face.export.live_link import VALUE_COLUMNS
from personalized_face.export.motion_files import read_motion, write_motion
from personalized_face.face_model.files import Motion

# What ICT-FaceKit and the default template call theirs.
_SPLIT = ("browInnerUp", "cheekPuff")
_WHOLE = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")  # directions, not halves


def _own_names(name: str) -> tuple[str, ...]:
  if name in _SPLIT:
    return f"{name}_L", f"{name}_R"
  return (name if name in _WHOLE else re.sub("(L)eft$|(R)ight$", r"_\1\2", name),)


NAMES = tuple(own for name in ARKIT_NAMES[:-1] for own in _own_names(name))
NAMES += ("noseDilator",)


@pytest.fixture(scope="module")
def template():
  """A template with 54 blendshapes of these names, small otherwise."""
  toy, count = toy_template(), len(NAMES)
  return dataclasses.replace(
    toy,
    blendshape_names=NAMES,
    blendshape_deltas=np.zeros([count, toy.num_vertices, 3], np.float32),
    attention_masks=np.zeros([toy.uv_size, toy.uv_size, count], np.float32),
  )


def make_motion(count=70, fps=30.0) -> Motion:
  rng = np.random.default_rng(0)
  tracking = Tracking(
    rng.uniform(0, 1, [count, len(NAMES)]).astype(np.float32),
    *(rng.normal(size=[count, *s]).astype(np.float32) for s in [(3,), (3,), (9, 3)]),
  )
  boxes = rng.uniform(0, 200, [count, 4]).astype(np.float32)
  return Motion(np.arange(count) / fps, tracking, boxes, (480, 640), fps)


def test_arkit_names_in_three_spellings():
  assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
  for name in ARKIT_NAMES:
    live_link = name[0].upper() + name[1:]
    device = name
    for side in ("Left", "Right"):
      if device.endswith(side):
        device = f"{device.removesuffix(side)}_{side[0]}"
    assert spelling_key(name) == spelling_key(live_link) == spelling_key(device)
  keys = {spelling_key(name) for name in ARKIT_NAMES}
  assert len(keys) == 52


def test_arkit_takes_the_mean_of_a_split_pair_and_gives_both():
  mapping = arkit_map(NAMES)
  assert mapping.absent == ("tongueOut",)
  parts = dict(zip(ARKIT_NAMES, (mapping.weights > 0).sum(1), strict=True))
  assert {name for name, own in parts.items() if own == 2} == set(_SPLIT)
  weights = np.random.default_rng(0).uniform(0, 1, [4, len(NAMES)]).astype(np.float32)
  arkit = mapping.to_arkit(weights)
  left, right = NAMES.index("browInnerUp_L"), NAMES.index("browInnerUp_R")
  column = ARKIT_NAMES.index("browInnerUp")
  np.testing.assert_allclose(arkit[:, column], weights[:, [left, right]].mean(1))
  blink = ARKIT_NAMES.index("eyeBlinkRight")
  np.testing.assert_array_equal(arkit[:, blink], weights[:, NAMES.index("eyeBlink_R")])
  back = mapping.from_arkit(arkit)
  np.testing.assert_array_equal(back[:, left], back[:, right])
  assert (back[:, NAMES.index("noseDilator")] == 0).all()
  np.testing.assert_array_equal(mapping.to_arkit(back), arkit)


@pytest.mark.parametrize("ending", [".npz", ".json", ".csv"])
@pytest.mark.parametrize("fps", [30.0, 29.97])
def test_motion_round_trip_is_exact(template, tmp_path, ending, fps):
  motion, path = make_motion(fps=fps), str(tmp_path / f"m{ending}")
  write_motion(path, motion, template)
  read = read_motion(path, template)
  for name, value in motion.tracking._asdict().items():
    np.testing.assert_array_equal(getattr(read.tracking, name), value)
  np.testing.assert_array_equal(read.times, motion.times)
  np.testing.assert_array_equal(read.boxes, motion.boxes)
  assert (read.fps, read.frame_size) == (motion.fps, motion.frame_size)
  assert os.listdir(tmp_path) == [f"m{ending}"]


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_live_link_round_trip(template, tmp_path, fps):
  motion, path = make_motion(fps=fps), str(tmp_path / "take.csv")
  write_motion(path, motion, template, live_link=True)
  read = read_motion(path, template)
  # A timecode counts thousandths of a frame, rounded.
  np.testing.assert_allclose(read.times, motion.times, atol=0.51e-3 / round(fps))
  assert read.fps == pytest.approx(fps, rel=1e-4)
  np.testing.assert_array_equal(read.tracking.rotation, motion.tracking.rotation)
  # What ARKit can say is exact.
  np.testing.assert_array_equal(
    arkit_map(NAMES).to_arkit(read.tracking.expression),
    arkit_map(NAMES).to_arkit(motion.tracking.expression),
  )
  again = str(tmp_path / "again.csv")
  write_motion(again, read, template, live_link=True)
  first, second = (list(csv.reader(open(p))) for p in (path, again))
  assert [row[1:] for row in first] == [row[1:] for row in second]


def test_live_link_columns_are_the_files_own(template, tmp_path):
  path = str(tmp_path / "take.csv")
  motion = make_motion(1)
  write_motion(path, motion, template, live_link=True)
  header, row = csv.reader(open(path))
  assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
  assert len(header) == 63 and row[:2] == ["00:00:00:00.000", "61"]
  at = header.index("JawForward")
  assert header[at : at + 4] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
  at = header.index("MouthPucker")
  assert header[at : at + 3] == ["MouthPucker", "MouthRight", "MouthLeft"]
  assert header[-9:-6] == ["HeadYaw", "HeadPitch", "HeadRoll"]
  values = dict(zip(header, row, strict=True))
  own = dict(zip(NAMES, motion.tracking.expression[0], strict=True))
  assert np.float32(values["JawLeft"]) == own["jawLeft"]
  assert np.float32(values["HeadYaw"]) == motion.tracking.rotation[0, 1]


def recording(path, rows, header=("Timecode", "BlendshapeCount", *VALUE_COLUMNS)):
  with open(path, "w", newline="") as file:
    csv.writer(file).writerows([header, *rows])
  return str(path)


def test_live_link_of_the_app(template, tmp_path):
  """Another order and spelling, 60 fps, over midnight."""
  header = ("Timecode", "BlendshapeCount", "jawopen", "EyeBlinkRight", "BrowInnerUp")
  codes = ["23:59:59:58.402", "23:59:59:59.402", "00:00:00:00.402", "00:00:00:01.402"]
  rows = [[code, 3, 0.1 * i, 0.5, 0.25] for i, code in enumerate(codes)]
  read = read_motion(recording(tmp_path / "t.csv", rows, header), template)
  np.testing.assert_allclose(read.times, np.arange(4) / 60, atol=1e-9)
  jaw = read.tracking.expression[:, NAMES.index("jawOpen")]
  np.testing.assert_allclose(jaw, [0, 0.1, 0.2, 0.3], atol=1e-7)
  pair = [NAMES.index("browInnerUp_L"), NAMES.index("browInnerUp_R")]
  assert (read.tracking.expression[:, pair] == 0.25).all()
  assert (read.tracking.expression[:, NAMES.index("eyeBlink_L")] == 0).all()


def test_live_link_fps_of_a_short_take(template, tmp_path):
  rows = [[f"10:00:00:{i:02d}", 61, *[0.5] * 61] for i in range(5)]
  path = recording(tmp_path / "t.csv", rows)
  assert read_motion(path, template).fps == pytest.approx(60)
  assert read_motion(path, template, fps=24.0).fps == pytest.approx(24)


def test_live_link_exception_raised(template, tmp_path):
  good = [["10:00:00:00.000", 61, *[0.5] * 61], ["10:00:00:01.000", 61, *[0.5] * 61]]
  path = tmp_path / "t.csv"
  for bad, match in (
    ([["later", *good[0][1:]]], "timecode 'later' at frame 0"),
    ([good[0], good[0]], "do not increase .* at frame 1"),
    ([good[0], good[1][:-1]], "62 values in row 3 for 63 columns"),
    ([[*good[0][:54], "x", *good[0][55:]]], "'x' in the column HeadYaw"),
    ([[*good[0][:54], "nan", *good[0][55:]]], "nan in the column HeadYaw, frame 0"),
    ([], "has no frame"),
  ):
    with pytest.raises(UserError, match=match):
      read_motion(recording(path, bad), template)
  with pytest.raises(UserError, match="none of ARKit's 52"):
    read_motion(recording(path, [["10:00:00:00", 1]], ("Timecode", "A")), template)


def test_read_motion_of_a_table_by_hand(template, tmp_path):
  path = tmp_path / "hand.csv"
  path.write_text("time_s,JawOpen,mood\n0,0.5,1\n0.5,0.75,2\n")
  read = read_motion(str(path), template)
  np.testing.assert_array_equal(
    read.tracking.expression[:, NAMES.index("jawOpen")], [0.5, 0.75]
  )
  assert read.tracking.expression.sum() == 1.25
  assert read.fps == 2.0 and (read.tracking.translation == [0, 0, -10]).all()


def test_read_motion_exception_raised(template, tmp_path):
  path = tmp_path / "m.csv"
  for text, match in (
    ("", "no frame"),
    ("a,b\n1,2\n", "needs a column time_s"),
    ("time_s,b\n1,2\n", "none of the template's blendshapes"),
    ("time_s,jawOpen\n1,2\n1,2\n", "do not increase, at frame 1"),
    ("time_s,jawOpen\n1,inf\n", "inf in the column jawOpen, frame 0"),
    ("time_s,jawOpen\n1,wide\n", "'wide' in the column jawOpen"),
  ):
    path.write_text(text)
    with pytest.raises(UserError, match=match):
      read_motion(str(path), template)
  path.write_bytes(b"\xff\xfe\x00\x01" * 20)
  with pytest.raises(UserError, match="not a CSV file"):
    read_motion(str(path), template)
  path = tmp_path / "m.json"
  for text, match in (
    ("{", "not a motion in JSON"),
    ("[]", "not a motion in JSON"),
    ('{"format": "x", "version": 1, "columns": {}}', "has the format"),
    (
      '{"format": "personalized_face.motion", "version": 1, "columns": {"time_s": [0],'
      ' "jawOpen": [1, 2]}}',
      "as long as that",
    ),
    (
      '{"format": "personalized_face.motion", "version": 1, "columns": {"time_s": 0}}',
      "time_s",
    ),
  ):
    path.write_text(text)
    with pytest.raises(UserError, match=match):
      read_motion(str(path), template)
  for name in ("m.bvh", "none.csv", "none.json", "none.npz"):
    with pytest.raises(UserError, match=name):
      read_motion(str(tmp_path / name), template)
  with pytest.raises(UserError, match="written as .npz, .json or .csv"):
    write_motion(str(tmp_path / "m.bvh"), make_motion(), template)
  with pytest.raises(UserError, match="written as .csv"):
    write_motion(str(tmp_path / "m.npz"), make_motion(), template, live_link=True)
