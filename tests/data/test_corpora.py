import os

import cv2
import numpy as np
import pytest
from test_prepare import ALL, SMALL, _manifest, _prepare, toy_video

from personalized_face.core.errors import UserError
from personalized_face.core.types import PARSING_CLASSES
from personalized_face.data import corpus_spec, record_format, records, specs
from personalized_face.data.corpora import find_clips
from personalized_face.data.landmark_files import LandmarkReader
from personalized_face.data.prepare import prepare

MINE = """
layout: "{a}/{b}.{extension}"
person: "{a}"
clip: "{a}/{b}"
source: me
licence: mine
"""


def _spec(tmp_path, text=MINE):
  path = tmp_path / "mine.yaml"
  path.write_text(text)
  return str(path)


def _touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")


@pytest.mark.parametrize("name", specs.names("corpora"))
def test_every_shipped_corpus_is_read(name):
  spec = corpus_spec.load(name)
  assert spec.description and spec.source and spec.licence


@pytest.mark.parametrize(
  "line, match",
  [
    ("wieght: 2", "unknown key 'wieght'"),
    ("weight: heavy", "weight: 'heavy'"),
    ("weight: 0", "weight above 0"),
    ("held_out: 1.5", "held_out in"),
    ("kind: audio", "kind 'audio'"),
    ("ignore: '*.txt'", "ignore"),
    ("appearance: '{c}'", "names 'c' in its appearance"),
    ("landmarks: {file: a.pts}", "unknown key 'file'"),
    ("landmarks: {first_frame: 1}", "lacks files"),
    ("landmarks: {files: a.npy}", "landmarks in a.npy"),
    ("parsing: {files: a.png}", "lacks order"),
    ("clip_rule: 3", "keys and values under clip_rule"),
  ],
)
def test_a_typo_in_a_spec_is_an_error(tmp_path, line, match):
  with pytest.raises(UserError, match=match):
    corpus_spec.load(_spec(tmp_path, MINE + line + "\n"))


def test_layout_of_300vw(tmp_path):
  _touch(tmp_path, "001/vid.avi", "001/annot/000001.pts", "002/vid.avi", "ReadMe.txt")
  clips, skipped = find_clips([str(tmp_path)], "300vw")
  assert [(c.person, c.clip) for c in clips] == [("001", "001"), ("002", "002")]
  assert skipped == []


def test_layout_of_celeba(tmp_path):
  """Pictures of one identity are one clip, in natural order."""
  _touch(tmp_path, *(f"img_celeba/{i}.jpg" for i in (1, 2, 10, 11)))
  (tmp_path / "identity_CelebA.txt").write_text("10.jpg 7\n2.jpg 7\n1.jpg 9\n")
  clips, skipped = find_clips([str(tmp_path)], "celeba")
  assert [(c.person, [os.path.basename(f) for f in c.files]) for c in clips] == [
    ("celeba_7", ["2.jpg", "10.jpg"]),
    ("celeba_9", ["1.jpg"]),
  ]
  assert [s.reason.split(" has ")[1] for s in skipped] == [
    "no line in identity_CelebA.txt."
  ]
  (tmp_path / "identity_CelebA.txt").unlink()
  with pytest.raises(UserError, match="needs .*identity_CelebA.txt"):
    find_clips([str(tmp_path)], "celeba")


def test_voxceleb_keeps_one_utterance_of_each_video(tmp_path):
  names = [
    f"dev/mp4/id{p}/video{v}/{u}.mp4" for p in (1, 2) for v in range(20) for u in (1, 2)
  ]
  _touch(tmp_path, *names, "dev/txt/id1/video0/1.txt")
  clips, skipped = find_clips([str(tmp_path)], "voxceleb2")
  assert len(clips) == 30 and len(skipped) == 50
  assert {s.status for s in skipped} == {"thinned"}
  assert len({c.appearance for c in clips}) == 30
  # By a hash of the names: the videos of one person do not decide about another's.
  for name in names[40:]:
    (tmp_path / name).unlink()
  assert find_clips([str(tmp_path)], "voxceleb2").clips == clips[:15]


def test_links(tmp_path):
  """Into the folder: an input. Out of it: said so, and followed when asked to."""
  inside, outside = tmp_path / "videos", tmp_path / "elsewhere"
  _touch(outside, "out.mp4", "folder/deep.mp4")
  _touch(inside, "in.mp4")
  (inside / "out.mp4").symlink_to(outside / "out.mp4")
  (inside / "loop").symlink_to(inside)
  (inside / "folder").symlink_to(outside / "folder")
  (inside / "broken.mp4").symlink_to(inside / "nowhere.mp4")
  clips, skipped = find_clips([str(inside)], "video_per_person")
  assert [c.clip for c in clips] == ["broken", "in"]
  reasons = {os.path.basename(s.path): s.reason for s in skipped}
  assert set(reasons) == {"out.mp4", "loop", "folder"}
  assert "--follow_links" in reasons["out.mp4"] and "lies in" in reasons["loop"]
  clips, skipped = find_clips([str(inside)], "video_per_person", follow_links=True)
  assert [c.clip for c in clips] == ["broken", "in", "out"]
  # deep.mp4 does not lie where the layout has videos.
  assert {os.path.basename(s.path) for s in skipped} == {"loop", "deep.mp4"}


def test_no_link_goes_missing(tmp_path):
  """Two links to nothing are two inputs; a second name of a file is said to be one."""
  _touch(tmp_path, "a.mp4")
  for name, target in (("b", "a"), ("c", "nowhere"), ("d", "nowhere"), ("e", "e")):
    (tmp_path / f"{name}.mp4").symlink_to(f"{target}.mp4")
  clips, skipped = find_clips([str(tmp_path)], "video_per_person")
  assert [c.clip for c in clips] == ["a", "c", "d", "e"]
  assert [os.path.basename(s.path) for s in skipped] == ["b.mp4"]
  assert "the same file as" in skipped[0].reason


def test_equal_names_with_other_extensions(tmp_path):
  _touch(tmp_path, "ann.mp4", "ann.mov")
  clips = find_clips([str(tmp_path)], "video_per_person").clips
  assert len({c.clip for c in clips}) == len({c.person for c in clips}) == 2


POINTS = np.random.default_rng(0).uniform(20, 70, (68, 2)).round(3)


def _write_pts(path, points=POINTS):
  lines = "\n".join(f"{x} {y}" for x, y in points)
  path.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n")


def test_landmark_files_agree(tmp_path):
  """The same points by .pts, .csv and .mat; the first pixel is 1 in the files."""
  from scipy import io

  _write_pts(tmp_path / "a.pts")
  io.savemat(tmp_path / "a.mat", {"pt3d_68": np.vstack([POINTS.T, np.zeros(68)])})
  io.savemat(tmp_path / "b.mat", {"pts_2d": POINTS})
  names = [f" x_{i}" for i in range(68)] + [f" y_{i}" for i in range(68)]
  header = "frame, success," + ",".join(names)
  row = ",".join(str(value) for value in POINTS.T.ravel())
  (tmp_path / "a.csv").write_text(f"{header}\n1, 1,{row}\n2, 0,{row}\n")
  for name in ("a.pts", "a.mat", "b.mat"):
    points = LandmarkReader(str(tmp_path / name), pixel_base=1).read(0)
    np.testing.assert_allclose(points, POINTS - 0.5, atol=1e-4)  # float32
  table = LandmarkReader(str(tmp_path / "a.csv"), first_frame=1, pixel_base=1)
  np.testing.assert_allclose(table.read(0), POINTS - 0.5, atol=1e-4)
  assert table.read(1) is None and table.read(2) is None
  frames = LandmarkReader(str(tmp_path / "a{frame}.pts"), first_frame=1)
  _write_pts(tmp_path / "a7.pts", POINTS + 7)
  np.testing.assert_allclose(frames.read(6), POINTS + 7.5, atol=1e-4)
  assert frames.read(7) is None


@pytest.mark.parametrize(
  "name, content, match",
  [
    ("a.pts", "{ 1 2 3 }", "not a .pts file"),
    ("a.pts", "{ 1 2 3 four }", "not a .pts file"),
    ("a.pts", "{ 1 2 3 4 }", "2 points, not the 68"),
    ("a.csv", "frame,x\n1,2\n", "not a table of landmarks"),
    ("a.mat", "no", "not a readable .mat"),
  ],
)
def test_landmark_files_exception_raised(tmp_path, name, content, match):
  (tmp_path / name).write_text(content)
  with pytest.raises(UserError, match=match):
    LandmarkReader(str(tmp_path / name)).read(0)


def test_landmarks_and_labels_from_files(tmp_path):
  """No detector at all; the records name the sources, and the order of the labels."""
  folder = tmp_path / "photos" / "ann"
  folder.mkdir(parents=True)
  for i in range(6):
    image = np.full([96, 96, 3], 40 * i, np.uint8)
    cv2.imwrite(str(folder / f"{i}.png"), image)
    # Half the size of the picture. Class 10 is the nose in this order, the mouth in the
    # other one.
    labels = np.zeros([48, 48], np.uint8)
    labels[:, 24:] = 10
    (tmp_path / "photos" / "labels").mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / "photos" / "labels" / f"{i}.png"), labels)
    _write_pts(folder / f"{i}.pts", POINTS + np.nan if i == 4 else POINTS)
  (folder / "5.pts").write_text("not points")
  spec = _spec(
    tmp_path,
    MINE.replace('clip: "{a}/{b}"', 'clip: "{a}"')
    + """
kind: images
min_frames: 1
ignore: ["*.pts", "labels/*"]
landmarks: {files: "{stem}.pts", pixel_base: 1}
parsing: {files: "../labels/{stem}.png", order: face_parsing_pytorch}
""",
  )

  class Unused:
    def detect(self, image):
      raise AssertionError("no detector is needed")

  out = str(tmp_path / "out")
  info = prepare(
    [str(tmp_path / "photos")],
    out,
    corpus=spec,
    preparation=SMALL,
    thinning=ALL,
    detector=Unused(),
  )
  assert info["gates"]["bad_landmarks"] == 2
  assert "5.pts has 0 points" in _manifest(out)["ann"]["reason"]
  clip = next(iter(records.read_clips(out, "train")))
  assert clip.parsing_source.endswith("labels in the order of face_parsing_pytorch")
  assert clip.landmark_source == "files {stem}.pts"
  np.testing.assert_allclose(clip.boxes[0, :2], POINTS.min(axis=0) - 0.5, atol=1e-4)
  labels = record_format.decode_labels(clip.parsing[0])
  nose = PARSING_CLASSES.index("nose")
  edge = (48 - clip.squares[0, 0]) * 32 / clip.squares[0, 2]
  column = round(float(edge))
  # Nearest label, of a map at half the size: within two pixels of the edge.
  assert (labels[16, column + 2 : column + 6] == nose).all()
  assert (labels[16, : column - 2] == 0).all()


def test_a_missing_label_image_costs_its_frame(tmp_path):
  """Landmarks by the detector, labels by files of which one is missing."""
  video = toy_video(tmp_path / "ann.mp4", count=12)
  for i in range(12):
    if i != 5:
      cv2.imwrite(str(tmp_path / f"ann_{i:03d}.png"), np.ones([96, 160], np.uint8))
  spec = _spec(
    tmp_path,
    MINE + 'parsing: {files: "{stem}_{frame:03d}.png", order: celebamask_hq}\n',
  )
  info = _prepare([video], tmp_path / "out", corpus=spec)
  assert info["gates"]["no_parsing"] == 1 and info["gates"]["train"] == 9
  assert "ann_005.png" in _manifest(tmp_path / "out")["ann"]["reason"]


def test_weight_and_licence_go_with_the_records(tmp_path):
  spec = _spec(tmp_path, MINE + "weight: 2.5\ncitation: me 2020\n")
  info = _prepare([toy_video(tmp_path / "ann.mp4")], tmp_path / "out", corpus=spec)
  assert info["weight"] == 2.5
  stored = records.read_info(str(tmp_path / "out"))["corpus_spec"]
  assert stored["citation"] == "me 2020" and stored["licence"] == "mine"
