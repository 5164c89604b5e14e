"""The wrapper of every command. `_guarded` is what runs once absl has the flags."""

import errno
import importlib
import subprocess
import sys

import gin
import pytest
import tensorflow as tf

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.tools import _app

TOOL = '''"""Checks a thing."""
from absl import flags
from personalized_face.tools._app import run
flags.DEFINE_string("thing", None, "What is checked.")
def main(argv):
  import tensorflow as tf
  from personalized_face.core.errors import UserError
  assert float(tf.reduce_sum(tf.ones([2]))) == 2
  print("started")
  raise UserError("The thing is broken; mend it.")
if __name__ == "__main__":
  run(main)
'''


@pytest.fixture
def tool(tmp_path):
  path = tmp_path / "check_thing.py"
  path.write_text(TOOL)
  return [sys.executable, str(path)]


def status_and_stderr(error, capsys):
  def main(argv):
    raise error

  status = _app._guarded(main, ["tool"])
  return status, capsys.readouterr().err


def test_user_error_is_all_that_a_process_says(tool):
  # Slow on purpose: TensorFlow and OpenCV are really imported, and must be silent.
  done = subprocess.run(tool, capture_output=True, text=True, timeout=120)
  assert done.returncode == 1
  assert done.stdout == "started\n"
  assert done.stderr == "The thing is broken; mend it.\n"


def test_unknown_flag_is_reported_without_a_traceback(tool):
  done = subprocess.run([*tool, "--thin=1"], capture_output=True, text=True, timeout=60)
  assert done.returncode == 1
  assert "thin" in done.stderr and "Traceback" not in done.stderr


def test_return_value_is_the_status():
  assert _app._guarded(lambda argv: None, ["tool"]) == 0
  assert _app._guarded(lambda argv: 3, ["tool"]) == 3


def test_user_error_is_one_line(capsys):
  error = UserError("The clip is\n  too short; give a longer one.")
  status, stderr = status_and_stderr(error, capsys)
  assert (status, stderr) == (1, "The clip is too short; give a longer one.\n")


def test_user_error_inside_a_configurable_stays_one_sentence(capsys):
  @gin.configurable(module="app_test")
  def read_clip():
    raise UserError("The clip is too short; give a longer one.")

  status = _app._guarded(lambda argv: read_clip(), ["tool"])
  assert status == 1
  assert capsys.readouterr().err == "The clip is too short; give a longer one.\n"


def test_user_error_inside_a_traced_function_stays_one_sentence(capsys):
  @tf.function
  def draw():
    raise UserError("The rasterizer is not built; build it.")

  status = _app._guarded(lambda argv: draw(), ["tool"])
  assert status == 1
  assert capsys.readouterr().err == "The rasterizer is not built; build it.\n"


def test_typo_in_gin_is_one_sentence(capsys):
  status = _app._guarded(lambda argv: config.parse([], ["nobody.x = 1"]), ["tool"])
  stderr = capsys.readouterr().err
  assert status == 1
  assert "'nobody'" in stderr and stderr.count("\n") == 1


def test_missing_gin_value_is_one_sentence(capsys):
  @gin.configurable(module="app_test")
  def needs_steps(steps):
    return steps

  status = _app._guarded(lambda argv: needs_steps(), ["tool"])
  stderr = capsys.readouterr().err
  assert status == 1
  assert "needs_steps.steps" in stderr and stderr.count("\n") == 1


def test_full_disk_is_one_sentence(capsys):
  error = OSError(errno.ENOSPC, "No space left on device", "runs/checkpoint")
  status, stderr = status_and_stderr(error, capsys)
  assert status == 1
  assert stderr == "Cannot use runs/checkpoint: No space left on device.\n"


def test_interrupt_ends_like_a_shell_says_it(capsys):
  status, stderr = status_and_stderr(KeyboardInterrupt(), capsys)
  assert status == 130
  assert "Traceback" not in stderr


def test_bug_keeps_its_traceback():
  def main(argv):
    raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    _app._guarded(main, ["tool"])


def test_stray_argument_is_reported(capsys):
  status = _app._guarded(lambda argv: 0, ["tool", "clip.mp4"])
  assert status == 1
  assert "'clip.mp4'" in capsys.readouterr().err


def fail_to_import_cv2(monkeypatch, message):
  real = importlib.import_module

  def import_module(name, *args):
    if name == "cv2":
      raise ImportError(message)
    return real(name, *args)

  monkeypatch.setattr(importlib, "import_module", import_module)


def test_missing_system_library_prints_the_line_that_installs_it(monkeypatch, capsys):
  message = "libGL.so.1: cannot open shared object file: No such file or directory"
  fail_to_import_cv2(monkeypatch, message)
  assert _app._guarded(lambda argv: 0, ["tool"]) == 1
  stderr = capsys.readouterr().err
  assert "libGL.so.1" in stderr and stderr.count("\n") == 1
  assert stderr.rstrip().endswith("apt-get install -y libgl1 libglib2.0-0")


def test_other_import_errors_are_not_disguised(monkeypatch):
  fail_to_import_cv2(monkeypatch, "No module named 'numpy'")
  with pytest.raises(ImportError, match="numpy"):
    _app.require_opencv()
