"""Which system a command gets from --run_dir and --template."""

import numpy as np
import pytest
from toy_clip import small_template

from personalized_face.core.errors import UserError
from personalized_face.tools import _system


def test_a_template_decodes_but_cannot_track(tmp_path):
  path, template = str(tmp_path / "toy.npz"), small_template()
  template.save(path)
  system = _system.system_of(None, path)
  assert system.template.hash == template.hash
  person = system.face_model.template_person(1)
  assert person.neutral_correction.shape[0] == 1
  pictures = np.zeros([1, 224, 224, 3], np.float32)
  for call in (system.track, lambda images: system.model_face(images[np.newaxis])):
    with pytest.raises(UserError, match="a run with --run_dir"):
      call(pictures)


def test_a_run_has_its_own_template(tmp_path):
  template = small_template()
  template.save(str(tmp_path / "template.npz"))
  assert _system.template_of(str(tmp_path), None).hash == template.hash
  with pytest.raises(UserError, match="give --run_dir or --template"):
    _system.system_of(str(tmp_path), "default")


def test_system_exception_raised(tmp_path):
  with pytest.raises(UserError, match="not a finished run"):
    _system.system_of(str(tmp_path), None)
  with pytest.raises(UserError, match="nowhere.npz"):
    _system.template_of(None, "nowhere.npz")
