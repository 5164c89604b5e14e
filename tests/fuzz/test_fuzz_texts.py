"""Hostile texts: specs, gin files, motions as tables, landmarks of other tools."""

import json
import os
import pathlib
import shutil

import gin
import hostile
import numpy as np
import pytest
import scipy.io
from face_model.test_person_motion_files import _motion
from helpers import toy_template
from hostile import Format, finite, json_text, mangled, refuses, rewritten

from personalized_face import config, resources
from personalized_face.authoring.obj_folder import read_landmarks as read_vertices
from personalized_face.core.errors import UserError
from personalized_face.data import corpus_spec, records
from personalized_face.data.arkit import arkit_map
from personalized_face.data.landmark_files import LandmarkReader
from personalized_face.data.parsing import label_table
from personalized_face.evaluation import layouts
from personalized_face.export import retarget
from personalized_face.export.motion_files import read_motion, write_motion
from personalized_face.export.shape_mapping import read_mapping
from personalized_face.face_model.files import checked_motion

TOY = toy_template()
RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 200, (68, 2))


def _shipped(kind, name):
  source = os.path.join(resources.data_specs_dir(), kind, name)
  return lambda path: shutil.copyfile(source, path)


def _text(text):
  return lambda path: pathlib.Path(path).write_text(text)


def _write_csv(path):
  names = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
  rows = [[frame, 1, *POINTS.T.ravel()] for frame in range(3)]
  lines = [["frame", "success", *names], *rows]
  pathlib.Path(path).write_text("\n".join(",".join(map(str, row)) for row in lines))


def _write_pts(path):
  body = "\n".join(f"{x:.3f} {y:.3f}" for x, y in POINTS)
  pathlib.Path(path).write_text(f"version: 1\nn_points: 68\n{{\n{body}\n}}\n")


def _write_mat(path):
  pose = np.zeros((1, 7))
  scipy.io.savemat(path, {"pt3d_68": RNG.random((3, 68)), "Pose_Para": pose})


def _write_packed_mat(path):
  scipy.io.savemat(path, {"pts_2d": POINTS}, do_compression=True)


def _write_gin(path):
  pathlib.Path(path).write_text(
    "# a comment\ninclude 'losses/paper.gin'\nimport math\nsteps = 3\n"
    "train.stages = ('stage1', \"stage2\")\nstage1/Stage.steps = %steps\n"
    "LossWeights.landmark = 0.5\nFaceLoss.jaw_weight = {'a': [1, None]}\n"
  )


def _read_gin(path):
  try:
    config.parse([path])
  finally:
    gin.clear_config()


def _write_info(path):
  counts = records.SplitCounts(1, 1, 1, 4, 4)._asdict()
  info = {
    "name": "toy",
    "format_version": records.FORMAT_VERSION,
    "num_shards": 2,
    "splits": {"train": counts, "test": counts},
    "preparation": {"size": 16},
  }
  pathlib.Path(path).write_text(json.dumps(info))


def _read_shards(path):
  """What an info says is looked for beside it: nothing is there."""
  folder = os.path.dirname(path)
  info = records.read_info(folder)
  for split in ("train", "test"):
    with pytest.raises(UserError, match=r"no split|is empty|is missing"):
      records.shard_paths(folder, split)
  return info


def _live_link(path):
  write_motion(path, _motion(), TOY, live_link=True)


def _own_motion(path):
  write_motion(path, _motion(), TOY)


def _read_motion(path):
  return read_motion(path, TOY)


def _read_landmarks(path):
  return [LandmarkReader(path).read(frame) for frame in range(3)]


def _check_landmarks(frames):
  for points in frames:
    if points is not None:  # finite or not: data/gates.py drops such frames
      assert points.shape == (68, 2) and points.dtype == np.float32


def _check_spec(spec):
  """Names are made of it without harm."""
  names = {name: "x" for name in (*spec.names, "identity", "stem")}
  for text in (spec.person, spec.clip, spec.appearance):
    assert len(text.format(**names)) < 100_000
  for files in (spec.landmarks, spec.parsing):
    if files:
      assert len(files.files.format_map({**names, "frame": 7})) < 100_000


FORMATS = (
  Format(
    "corpus.yaml",
    _shipped("corpora", "video_per_person.yaml"),
    corpus_spec.load,
    rewritten,
    _check_spec,
  ),
  Format(
    "labels.yaml", _shipped("labels", "celebamask_hq.yaml"), label_table, rewritten
  ),
  Format(
    "names.yaml",
    _shipped("blendshapes", "arkit_52.yaml"),
    lambda path: arkit_map(TOY.blendshape_names, path),
    rewritten,
    lambda mapping: finite(mapping.weights),
  ),
  Format(
    "mapping.yaml",
    _text("Blink_L: eyeBlink_L\nsmile: {mouthSmile_L: 0.5}\ntongueOut: {}\n"),
    read_mapping,
    rewritten,
    lambda mapping: [finite(list(parts.values())) for parts in mapping.values()],
  ),
  Format("run.gin", _write_gin, _read_gin, rewritten),
  Format("motion.csv", _own_motion, _read_motion, rewritten, checked_motion),
  Format("live.csv", _live_link, _read_motion, rewritten, checked_motion),
  Format("motion.json", _own_motion, _read_motion, json_text, checked_motion),
  Format("marks.csv", _write_csv, _read_landmarks, rewritten, _check_landmarks),
  Format("marks.pts", _write_pts, _read_landmarks, rewritten, _check_landmarks),
  Format("pose.mat", _write_mat, _read_landmarks, mangled, _check_landmarks),
  Format("packed.mat", _write_packed_mat, _read_landmarks, mangled, _check_landmarks),
  Format(
    "truth.mat",
    _write_mat,
    lambda path: layouts.read_mat(path, {"pt3d_68": (3, 68), "Pose_Para": (1, 7)}),
    mangled,
    lambda values: finite(*values.values()),
  ),
  Format("truth.pts", _write_pts, layouts.read_pts, rewritten, finite),
  Format(
    "vertices.json",
    _text(json.dumps(list(range(68)))),
    lambda path: retarget.read_landmarks(path, 68),
    json_text,
    finite,
  ),
  Format(
    "vertices.txt",
    _text(" ".join(map(str, range(68)))),
    lambda path: read_vertices(path, RNG.random((68, 3))),
    rewritten,
    finite,
  ),
  Format("dataset_info.json", _write_info, _read_shards, json_text),
)


@pytest.mark.parametrize("case", FORMATS, ids=[case.file for case in FORMATS])
def test_text(case, tmp_path):
  hostile.attack(case, tmp_path)


def test_yaml_that_expands_to_gigabytes_is_not_expanded(tmp_path):
  path = tmp_path / "mapping.yaml"
  lines = ["a0: &a0 {x: 1, y: 1}"]
  for i in range(12):  # each merges ten of the one before
    merged = ", ".join([f"*a{i}"] * 10)
    lines.append(f"a{i + 1}: &a{i + 1}\n  <<: [{merged}]")
  path.write_text("\n".join(lines))
  assert refuses(read_mapping, path)
  with pytest.raises(UserError, match="it has an alias"):
    read_mapping(str(path))


@pytest.mark.parametrize(
  "person",
  ["{person.__class__}", "{person:>999999999}", "{person!r}", "{person[0]}", "{", "{}"],
)
def test_a_corpus_names_persons_by_plain_names_alone(tmp_path, person):
  source = os.path.join(resources.data_specs_dir(), "corpora", "video_per_person.yaml")
  text = pathlib.Path(source).read_text(encoding="utf-8")
  lines = [
    f'person: "{person}"' if line.startswith("person:") else line
    for line in text.splitlines()
  ]
  path = tmp_path / "corpus.yaml"
  path.write_text("\n".join(lines))
  with pytest.raises(UserError, match="write names in braces"):
    corpus_spec.load(str(path))


def test_a_gin_file_that_includes_itself(tmp_path):
  path = tmp_path / "loop.gin"
  path.write_text(f"include '{path}'\n")
  assert refuses(_read_gin, path)
  with pytest.raises(UserError, match="loop.gin: a file includes itself"):
    _read_gin(path)


def test_records_lie_in_their_folder(tmp_path):
  """Neither a name nor a number of shards leads elsewhere, or on for ever."""
  for change in ({"name": "../../x"}, {"num_shards": 10**12}, {"num_shards": "2"}):
    path = tmp_path / "dataset_info.json"
    _write_info(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match="dataset_info.json is damaged"):
      records.read_info(str(tmp_path))
