import csv
import dataclasses
import json
import os
import shutil
import time

import cv2
import numpy as np
import pytest
from test_detector import BrightBoxDetector

from personalized_face.core.errors import UserError
from personalized_face.data import record_format, records
from personalized_face.data.clip import Preparation, label_clip
from personalized_face.data.corpora import ClipSource, find_clips
from personalized_face.data.dataset import make_dataset
from personalized_face.data.gates import GATES
from personalized_face.data.labelling import Labeller
from personalized_face.data.prepare import prepare
from personalized_face.data.spool import Spool
from personalized_face.data.thinning import Thinning
from personalized_face.data.video import write_video

SMALL = Preparation(size=32, min_face_pixels=16.0, min_sharpness=0.0)
ALL = Thinning(probability=0.0)


def toy_video(path, count=20, face=40, shift=2):
  """A bright square that walks to the right; BrightBoxDetector's face."""
  frames = []
  for i in range(count):
    image = np.zeros([96, 160, 3], np.uint8)
    if face:
      image[30 : 30 + face, 20 + shift * i : 20 + shift * i + face] = 255
    frames.append(image)
  write_video(str(path), frames, 10)
  return str(path)


def _prepare(inputs, folder, **kwargs):
  kwargs = {"preparation": SMALL, "thinning": ALL, **kwargs}
  return prepare(inputs, str(folder), detector=BrightBoxDetector(), **kwargs)


def _manifest(folder):
  with open(f"{folder}/manifest.csv") as file:
    return {row["clip"]: row for row in csv.DictReader(file)}


def test_one_video(tmp_path):
  info = _prepare([toy_video(tmp_path / "ann.mp4")], tmp_path / "out")
  assert info["gates"] == {
    **{"read": 20, "train": 18, "test": 2},
    **dict.fromkeys(GATES, 0),
  }
  assert info["split_by"] == "frames"
  assert sorted(os.listdir(tmp_path / "out")) == [
    "dataset_info.json",
    "faces-test.tfrecord-00000-of-00001",
    "faces-train.tfrecord-00000-of-00001",
    "features.json",
    "index.csv",
    "manifest.csv",
  ]
  del info["run"]
  assert json.load(open(tmp_path / "out" / "dataset_info.json")) == json.loads(
    json.dumps(info)
  )
  train, test = (
    next(iter(records.read_clips(str(tmp_path / "out"), split)))
    for split in records.SPLITS
  )
  assert train.person == train.clip == "ann" and train.source.endswith("ann.mp4")
  assert sorted([*train.indices, *test.indices]) == list(range(20))
  np.testing.assert_allclose(train.times, train.indices / 10, atol=1e-3)
  assert (train.frame_height, train.frame_width) == (96, 160)


def test_the_crop_follows_the_face(tmp_path):
  """Box, square, crop and landmarks of one frame agree, in the source and the crop."""
  _prepare([toy_video(tmp_path / "ann.mp4")], tmp_path / "out")
  clip = next(iter(records.read_clips(str(tmp_path / "out"), "train")))
  x0 = 20 + 2 * clip.indices
  # The codec blurs the square's border by up to a pixel, and IBUG68 leaves the ends
  # of the toy mesh out (it spans points 0 to 454 of 478).
  np.testing.assert_allclose(clip.boxes[:, 0], x0, atol=2.0)
  middle = (clip.boxes[:, :2] + clip.boxes[:, 2:]) / 2
  scale = 32 / clip.squares[:, 2]
  in_crop = (middle - clip.squares[:, :2]) * scale[:, None]
  found = (clip.landmarks.min(axis=1) + clip.landmarks.max(axis=1)) / 2
  np.testing.assert_allclose(found, in_crop, atol=1e-3)  # float32 of tens of pixels
  for data, landmarks in zip(clip.images, clip.landmarks, strict=True):
    image = record_format.decode_image(data)[..., 0]
    column, row = landmarks.mean(axis=0).astype(int)
    assert image.shape == (32, 32) and image[row, column] > 200
    assert image[0, 0] < 60


def test_a_lost_face_is_framed_anew(tmp_path):
  """The square after a gap is that of its own frame, not smoothed with the last one."""
  folder = tmp_path / "ann"
  folder.mkdir()
  for i, left in enumerate((20, None, 26)):
    image = np.zeros([96, 160, 3], np.uint8)
    if left:
      image[30:70, left : left + 40] = 255
    cv2.imwrite(str(folder / f"{i}.png"), image)
  source = ClipSource(str(folder), "ann", "ann")
  labeller = Labeller(detector=BrightBoxDetector())
  with Spool(str(tmp_path / "spool")) as spool:
    labels = label_clip(source, SMALL, labeller, spool)
    squares = spool.take(np.arange(2), labels.clip).squares
  assert +labels.counts == {"read": 3, "no_face": 1}
  # The same face 6 pixels further on, float32.
  np.testing.assert_allclose(np.diff(squares, axis=0), [[6, 0, 0]], atol=1e-4)


def test_settings_and_gates(tmp_path):
  small = toy_video(tmp_path / "small.mp4", face=12)
  with pytest.raises(
    UserError, match=r"small.mp4 has too few usable frames \(0; .*20 too_small"
  ):
    _prepare([small], tmp_path / "out")
  ann = toy_video(tmp_path / "ann.mp4", count=40)
  info = _prepare(
    [small, ann],
    tmp_path / "out",
    preparation=dataclasses.replace(SMALL, fps=5.0),
  )
  rows = _manifest(tmp_path / "out")
  assert rows["small"]["status"] == "too short" and rows["small"]["too_small"] == "10"
  assert rows["ann"]["status"] == "ok" and rows["ann"]["train"] == "18"
  assert info["inputs"] == {"too short": 1, "ok": 1}


def test_thinning_is_applied_and_counted(tmp_path):
  video = toy_video(tmp_path / "ann.mp4", count=40)
  everything_is_neutral = Thinning(
    **{f"max_{name}": 1e9 for name in ("mouth_opening", "mouth_width_change")},
    **{f"max_{name}": 1e9 for name in ("brow_change", "eye_change")},
    **{f"max_{name}_degrees": 1e9 for name in ("yaw", "pitch")},
    probability=1.0,
    keep_at_least=16,
  )
  info = _prepare([video], tmp_path / "out", thinning=everything_is_neutral)
  assert info["gates"]["thinned"] == 24
  assert info["gates"]["train"] + info["gates"]["test"] == 16
  assert info["thinning"]["probability"] == 1.0


def test_same_input_same_bytes(tmp_path):
  video = toy_video(tmp_path / "ann.mp4")
  for name in ("a", "b"):
    _prepare([video], tmp_path / name, thinning=Thinning())
  for path in (tmp_path / "a").glob("*tfrecord*"):
    assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_every_bad_input_has_its_row(tmp_path):
  videos = tmp_path / "videos"
  videos.mkdir()
  good = toy_video(videos / "good.mp4")
  toy_video(videos / "faceless.mp4", face=0)
  toy_video(videos / "one.mp4", count=1)
  (videos / "text.mp4").write_text("this is not a video")
  (videos / "empty.mp4").write_bytes(b"")
  whole = open(good, "rb").read()
  (videos / "cut.mp4").write_bytes(whole[: len(whole) // 4])
  (videos / "notes.txt").write_text("not a clip")
  info = _prepare([str(videos)], tmp_path / "out")
  rows = _manifest(tmp_path / "out")
  assert rows.pop("")["status"] == "ignored"  # notes.txt
  assert {clip: row["status"] for clip, row in rows.items()} == {
    "cut": "unreadable",
    "empty": "unreadable",
    "faceless": "no face",
    "good": "ok",
    "one": "too short",
    "text": "unreadable",
  }
  for clip, row in rows.items():
    if clip != "good":
      assert f"{clip}.mp4" in row["reason"] and row["reason"].endswith(".")
  assert info["gates"]["train"] == 18


@pytest.mark.parametrize(
  "name, match",
  [
    ("faceless", "No face was found in .*faceless.mp4"),
    ("one", "one.mp4 has too few usable frames"),
    ("empty", "empty.mp4 is empty"),
    ("absent", "no file or folder .*absent.mp4"),
  ],
)
def test_a_single_bad_input_ends_in_its_sentence(tmp_path, name, match):
  toy_video(tmp_path / "faceless.mp4", face=0)
  toy_video(tmp_path / "one.mp4", count=1)
  (tmp_path / "empty.mp4").write_bytes(b"")
  with pytest.raises(UserError, match=match):
    _prepare([str(tmp_path / f"{name}.mp4")], tmp_path / "out")
  assert not [p for p in os.listdir(tmp_path) if p.startswith("out")]


def test_no_usable_input_at_all(tmp_path):
  (tmp_path / "a.mp4").write_text("no")
  (tmp_path / "b.mp4").write_text("no")
  with pytest.raises(UserError, match="None of the 2 inputs .*a.mp4"):
    _prepare([str(tmp_path)], tmp_path / "out")


def test_a_damaged_video_says_so(tmp_path):
  video = toy_video(tmp_path / "ann.mp4", count=60)
  whole = open(video, "rb").read()
  (tmp_path / "cut.mp4").write_bytes(whole[: int(0.7 * len(whole))])
  _prepare([str(tmp_path / "cut.mp4")], tmp_path / "out")
  row = _manifest(tmp_path / "out")["cut"]
  assert row["status"] == "ok" and "damaged" in row["reason"]
  assert int(row["read"]) < 54


def test_output_in_the_way(tmp_path):
  video = toy_video(tmp_path / "ann.mp4")
  (tmp_path / "thesis").mkdir()
  (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
  with pytest.raises(UserError, match="thesis exists and is not records"):
    _prepare([video], tmp_path / "thesis", overwrite=True)
  assert os.listdir(tmp_path / "thesis") == ["chapter1.tex"]
  _prepare([video], tmp_path / "out")
  _prepare([video], tmp_path / "out", name="again")
  assert list((tmp_path / "out").glob("again-train*"))
  assert not list((tmp_path / "out").glob("faces-train*"))
  other = dataclasses.replace(SMALL, fps=5.0)
  with pytest.raises(UserError, match="other settings in .* --overwrite"):
    _prepare([video], tmp_path / "out", preparation=other)
  bob = toy_video(tmp_path / "bob.mp4")
  with pytest.raises(UserError, match="not given now, such as ann"):
    _prepare([bob], tmp_path / "out")
  assert _manifest(tmp_path / "out").keys() == {"ann"}
  _prepare([bob], tmp_path / "out", overwrite=True, preparation=other)
  assert _manifest(tmp_path / "out").keys() == {"bob"}
  (tmp_path / "out2").mkdir()  # an empty folder is fine
  _prepare([video], tmp_path / "out2")


def test_folder_per_person_holds_out_persons(tmp_path):
  names = [f"p{i}" for i in range(12)]
  held = [name for name in names if records.split_of_person(name) == "test"]
  assert 0 < len(held) < 12
  video = toy_video(tmp_path / "clip.mp4", count=8)
  for name in names:
    (tmp_path / "corpus" / name).mkdir(parents=True)
    shutil.copy(video, tmp_path / "corpus" / name / "clip.mp4")
  info = _prepare(
    [str(tmp_path / "corpus")], tmp_path / "out", corpus="folder_per_person"
  )
  assert info["split_by"] == "persons"
  found = {clip.person for clip in records.read_clips(str(tmp_path / "out"), "test")}
  assert found == set(held)
  assert info["splits"]["train"]["persons"] == 12 - len(held)


def test_find_clips_layouts(tmp_path):
  for name in ("dev/mp4/id1/yt/00001.mp4", "test/mp4/id2/yu/00007.mp4", "dev/x.mp4"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"")
  clips, skipped = find_clips([str(tmp_path)], "voxceleb2")
  assert [os.path.basename(s.path) for s in skipped] == ["x.mp4"]
  assert [(c.person, c.clip) for c in clips] == [
    ("id1", "id1/yt/00001"),
    ("id2", "id2/yu/00007"),
  ]
  single = str(tmp_path / "dev" / "x.mp4")
  assert find_clips([single, single], "voxceleb2").clips == [
    ClipSource(single, "x", "x")
  ]


def test_find_clips_keeps_equal_names_apart(tmp_path):
  for folder in ("ann", "bob"):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "clip.mp4").write_bytes(b"")
  paths = [str(tmp_path / folder / "clip.mp4") for folder in ("ann", "bob")]
  clips = find_clips(paths, "video_per_person").clips
  assert len({c.clip for c in clips}) == len({c.person for c in clips}) == 2


def test_a_folder_of_images_is_a_clip(tmp_path):
  folder = tmp_path / "ann"
  folder.mkdir()
  for i in range(8):
    image = np.zeros([96, 96, 3], np.uint8)
    image[20:70, 20 + i : 70 + i] = 255
    cv2.imwrite(str(folder / f"{i}.png"), image)
  assert find_clips([str(folder)], "video_per_person").clips == [
    ClipSource(str(folder), "ann", "ann")
  ]
  assert _prepare([str(folder)], tmp_path / "out")["gates"]["train"] == 6


def test_find_clips_exception_raised(tmp_path):
  with pytest.raises(UserError, match="no input"):
    find_clips([], "video_per_person")
  with pytest.raises(UserError, match="no clip laid out"):
    find_clips([str(tmp_path)], "video_per_person")
  with pytest.raises(UserError, match="no corpora spec 'voxceleb'"):
    find_clips([str(tmp_path)], "voxceleb")


def test_a_real_clip(tmp_path, shared_data):
  """Full size: MediaPipe, 224 px, training batches; and how long it takes."""
  clip = str(shared_data / "videos" / "dev" / "mead_M003_disgusted1.mp4")
  start = time.monotonic()
  info = prepare([clip], str(tmp_path / "out"))
  assert time.monotonic() - start < 15  # about 1 s on an idle core
  assert info["gates"]["read"] == 47 and info["gates"]["no_face"] == 0
  assert info["gates"]["train"] >= 20
  batch = next(iter(make_dataset(str(tmp_path / "out"), groups_per_batch=2)))
  assert batch.images.shape == (2, 4, 224, 224, 3)
  landmarks = batch.landmarks.numpy()
  assert landmarks.min() > 0 and landmarks.max() < 224
  box = landmarks.max(axis=2) - landmarks.min(axis=2)
  # 142 px by design; the square is smoothed in time, so a frame may be off by a tenth.
  np.testing.assert_allclose(box.max(axis=-1), 142.1, rtol=0.1)
  counts = np.bincount(batch.parsing.numpy().ravel(), minlength=8)
  assert (counts > 0).all()
  assert 0.25 < 1 - counts[0] / counts.sum() < 0.6  # what a face takes of a crop
