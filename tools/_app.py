"""What every command shares: quiet logs, and failures in one sentence.

A command is a module docstring (its manual page, shown by --help), flags, a
`main(argv)` and a `run()` that the console command and `python tools/NAME.py` call:

  from personalized_face.tools._app import run as run_app

  def main(argv):
    from personalized_face.pipelines import training  # imports come here, not above
    ...

  def run():
    run_app(main)

The package's modules are imported inside `main`, since by then TensorFlow has been told
to be quiet, a missing system library has been reported, and --help is quick.
"""

import errno
import functools
import importlib
import logging as python_logging
import sys
import warnings
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from personalized_face import native_logs
from personalized_face.core.errors import UserError, sentence_of

native_logs.ask_for_quiet()

_INTERRUPTED = 128 + 2  # what a shell reports for a process ended by SIGINT
# Errors of the user's disk rather than of the code.
_DISK_ERRORS = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT)


def run(main: Callable[[Sequence[str]], int | None], positional: bool = False) -> None:
  """Parses the flags, runs `main(argv)` and exits with its status.

  A command takes flags alone, unless `positional` says that it reads argv[1:].

  What the user can mend ends in one sentence on stderr and status 1; --verbosity=1
  shows the traceback as well. An interrupt ends in status 130.
  """
  _show_help_of(main)
  app.run(functools.partial(_guarded, main, positional=positional))


def require_opencv() -> None:
  """Imports cv2, which needs system libraries that a bare machine does not have.

  Raises:
    UserError: one is missing; the sentence holds the line that installs them.
  """
  try:
    importlib.import_module("cv2")
  except ImportError as error:
    library = str(error).split(":", 1)[0]
    if ".so" not in library:
      raise
    raise UserError(
      f"OpenCV needs the system library {library}; on Debian or Ubuntu install it with:"
      " apt-get install -y libgl1 libglib2.0-0"
    ) from error


def _guarded(
  main: Callable[[Sequence[str]], int | None],
  argv: Sequence[str],
  positional: bool = False,
) -> int:
  _set_up_logging()
  try:
    if len(argv) > 1 and not positional:
      raise UserError(
        f"{argv[1]!r} is not a flag; give values as --flag=value (--help lists them)."
      )
    require_opencv()
    with native_logs.silenced():
      importlib.import_module("tensorflow")
    return main(argv) or 0
  except KeyboardInterrupt:
    print("Interrupted.", file=sys.stderr)
    return _INTERRUPTED
  except Exception as error:
    sentence = _sentence(error)
    if sentence is None or logging.level_debug():
      raise
    print(sentence, file=sys.stderr)
    return 1


def _sentence(error: Exception) -> str | None:
  """Returns what to tell the user, or None where the error is a bug of ours."""
  if isinstance(error, UserError):
    return sentence_of(error)
  if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
    return f"Cannot use {error.filename or 'the disk'}: {error.strerror}."
  config = sys.modules.get("personalized_face.config")
  return config.explain(error) if config else None


def _set_up_logging() -> None:
  """Shows our log lines as plain text and nobody else's warnings."""
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().setFormatter(_PlainFormatter())
  logging.get_absl_handler().addFilter(_is_ours)
  python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
  if not sys.warnoptions:
    warnings.simplefilter("ignore")


def _is_ours(record: python_logging.LogRecord) -> bool:
  """Leaves out what TensorFlow logs by absl at each checkpoint."""
  return not str(record.msg).startswith("Sharding callback duration")


class _PlainFormatter(python_logging.Formatter):
  """The message alone; from warnings upwards with its level before it."""

  def format(self, record: python_logging.LogRecord) -> str:
    message = super().format(record)
    if record.levelno < python_logging.WARNING:
      return message
    return f"{record.levelname.capitalize()}: {message}"


def _show_help_of(main: Callable[[Sequence[str]], int | None]) -> None:
  """Gives a console command the --help of its tool.

  absl shows the docstring and the flags of the script that was started; for a console
  command that is pip's wrapper, which has neither.
  """
  sys.modules["__main__"].__doc__ = sys.modules[main.__module__].__doc__
  for flag in flags.FLAGS.get_key_flags_for_module(main.__module__):
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


if __name__ == "__main__":
  # `make` runs this file once after an installation, to see that the libraries load.
  run(lambda argv: None)
