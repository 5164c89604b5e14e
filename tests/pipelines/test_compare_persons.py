import json
import subprocess
import sys

import numpy as np
import pytest
from toy_clip import toy_system

from personalized_face.core.types import PersonModel
from personalized_face.face_model.files import save_person
from personalized_face.inference.track import bare_person
from personalized_face.pipelines.compare_persons import compare_persons
from personalized_face.template.attention import bake_to_uv


def larger(system, share: float, gain: float = 1.0) -> PersonModel:
  """The template as a larger head under a brighter light."""
  template, bare = system.template, bare_person(system)
  baked = bake_to_uv(
    share * template.vertices, template.uv, template.triangles, template.uv_size
  )
  return bare._replace(
    neutral_correction=baked.astype(np.float32), static_albedo=gain * bare.static_albedo
  )


def test_a_larger_head_differs_by_its_scale_alone():
  system = toy_system()
  figures = compare_persons(system, larger(system, 0.02, 1.3), bare_person(system))
  assert figures["scale"] == pytest.approx(1 / 1.02, rel=2e-3)
  assert figures["neutral_scaled_mm"] < 0.2 * figures["neutral_mm"]
  assert figures["albedo_255"] == pytest.approx(0, abs=1e-3)
  assert figures["blendshape_cosine_least"] == pytest.approx(1, abs=1e-5)


def test_a_blendshape_that_turned_is_seen():
  system = toy_system()
  person = bare_person(system)
  corrections = person.blendshape_corrections.copy()
  corrections[..., 0, 2] = 0.3  # jawOpen comes forward
  person = person._replace(blendshape_corrections=corrections)
  figures = compare_persons(system, person, bare_person(system))
  assert figures["blendshape_cosine_least"] < 0.95
  assert figures["neutral_mm"] == pytest.approx(0, abs=1e-3)


def test_the_command_compares_with_the_template(tmp_path):
  system = toy_system()
  template = str(tmp_path / "toy.npz")
  system.template.save(template)
  person, out = str(tmp_path / "person.npz"), tmp_path / "apart.json"
  save_person(person, larger(system, 0.02), system.template)
  call = [sys.executable, "-m", "personalized_face", "compare_persons"]
  call += [f"--person={person}", f"--template={template}", f"--json={out}"]
  done = subprocess.run(call, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert json.loads(out.read_text())["neutral_mm"] > 0.5
  assert "neutral_scaled_mm" in done.stdout
