import json
import os

import pytest

from personalized_face.core.errors import UserError
from personalized_face.export.files import replacing, write_json


def test_replacing_leaves_the_old_file_on_an_error(tmp_path):
  path = tmp_path / "value.txt"
  path.write_text("old")
  with pytest.raises(RuntimeError):
    with replacing(str(path)) as temporary:
      with open(temporary, "w") as file:
        file.write("half")
      raise RuntimeError
  assert path.read_text() == "old"
  assert os.listdir(tmp_path) == ["value.txt"]


def test_write_json_makes_the_folder_and_refuses_nan(tmp_path):
  path = tmp_path / "a" / "b.json"
  write_json(str(path), {"x": None})
  assert json.loads(path.read_text()) == {"x": None}
  with pytest.raises(ValueError):
    write_json(str(path), {"x": float("nan")})
  assert json.loads(path.read_text()) == {"x": None}


def test_replacing_exception_raised_where_no_folder_can_be(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot be written"):
    with replacing(str(tmp_path / "file" / "x.json")):
      pass
