"""Rendered people as scans, and the script that makes the ablation's tables of them."""

import shlex

import numpy as np
import pytest
from evaluation.evaluation_cases import summary
from evaluation.test_picture_and_motion_benchmarks import FRAMES, write_synthetic
from repository.commands import ROOT, check_command, command_lines

from personalized_face.core.errors import UserError
from personalized_face.evaluation.meshes import read_landmarks, read_mesh
from personalized_face.evaluation.scans import Scans
from personalized_face.evaluation.synthetic import Synthetic
from personalized_face.pipelines.synthetic_scans import write_scans

SCRIPT = ROOT / "examples" / "ablation_tables.sh"


def test_scans_are_the_faces_of_their_frames(tmp_path):
  folder = write_synthetic(tmp_path)
  template, out = f"{folder}/template.npz", tmp_path / "scans"
  assert write_scans(folder, template, str(out), fps=5.0) == FRAMES
  samples = list(Synthetic(folder, template).samples())
  assert len(list(out.iterdir())) == len(samples)
  for sample in samples:
    place = out / sample.name.replace("/", "_")
    scan = read_mesh(str(place / "scan.ply"))
    np.testing.assert_allclose(scan.vertices, sample.truth.vertices, atol=1e-4)
    marks = read_landmarks(str(place / "landmarks.txt"))
    assert min(marks) == 17 and len(marks) == 51
    distances = np.linalg.norm(scan.vertices - marks[30], axis=-1)
    assert distances.min() < 1e-3
  # The expressions of the frames are in them.
  first, last = (
    read_mesh(str(out / s.name.replace("/", "_") / "scan.ply")).vertices
    for s in (samples[0], samples[-1])
  )
  assert np.abs(first - last).max() > 1
  benchmark = Scans(str(out))
  assert summary(benchmark)["mean"] == pytest.approx(0, abs=1e-4)


def test_scans_of_another_template_are_refused(tmp_path):
  with pytest.raises(UserError, match="synthetic clips"):
    write_scans(str(tmp_path), "default", str(tmp_path / "scans"), 1.0)


def test_the_script_calls_what_there_is():
  text = SCRIPT.read_text(encoding="utf-8").replace('"$@"', "").replace("||", "\n")
  lines = command_lines(text.split("set -eu")[1])
  assert [words[0] for words in lines] == [
    "pface_synthesize_data",
    "pface_evaluate",
    "pface_build_template",
    "pface_synthesize_data",
    "pface_evaluate",
  ]
  assert [check_command(words) for words in lines] == [None] * len(lines)
  assert shlex.split(text)  # quotes are closed
