"""From what a template is built."""

import pytest

from personalized_face.authoring import sources
from personalized_face.core.errors import UserError


@pytest.mark.parametrize(
  ("source", "folder", "sentence"),
  [
    ("default", "shapes", "reads no folder; leave --input_dir out"),
    ("ict_facekit", None, "--source=ict_facekit needs .* give --input_dir"),
    ("obj_folder", None, "--source=obj_folder needs .* give --input_dir"),
  ],
)
def test_build_exception_raised(source, folder, sentence):
  with pytest.raises(UserError, match=sentence):
    sources.build(source, folder)
