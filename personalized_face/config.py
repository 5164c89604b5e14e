"""Configuration by gin: the search path, strict parsing, the operative config.

A gin file is named relative to the shipped `gin/` folder, or by its own path, and so
are the files it includes:

  config.parse(["papers/personalized_face/stage1.gin"], ["stage1/Stage.steps = 10"])
  ...
  config.save_operative(os.path.join(run_dir, "config.gin"))

Parsing is strict: a name that nothing in the package registers is an error that says
where it stands. `explain` does the same for what gin only notices at a call.
"""

import contextlib
import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence

import gin
import tensorflow as tf

import personalized_face
from personalized_face import resources
from personalized_face.core.errors import UserError

# What gin, and the `import` and `include` lines of a gin file, raise on bad input; the
# last ones for a file that ends early, one that includes itself, and mangled names.
_GIN_ERRORS = (
  *(ValueError, SyntaxError, OSError, ImportError),
  *(tokenize.TokenError, RecursionError, TypeError, LookupError),
)
# How gin says that a call lacks a value: one marked REQUIRED, one without a default.
_MISSING_VALUE = (
  r"Required bindings for `(?P<name>.+?)` not provided.*?\[(?P<missing>.+?)\]",
  r"No values supplied by Gin or caller for arguments: \[(?P<missing>.+?)\]"
  r".*?In call to configurable '(?P<name>.+?)'",
)
# In a wheel these are folders of the package too; importing a tool defines its flags.
_NOT_CONFIGURED = ("__main__", "tools", "gin_configs", "data_specs")


def parse(gin_files: Sequence[str], gin_params: Sequence[str] = ()) -> None:
  """Replaces the whole configuration by that of some files and single values.

  Args:
    gin_files: relative to the shipped gin folder or to the current one, or absolute;
      a later one wins.
    gin_params: "name = value" each, applied after the files.

  Raises:
    UserError: a file that does not exist, an unknown name, a value that gin cannot
      read, a macro without a value. The configuration is empty then.
  """
  _register_all()
  _set_search_path()
  gin.clear_config()
  try:
    for name in gin_files:
      _parse_one(f"the gin file {name}", functools.partial(_parse_file, name))
    for param in gin_params:
      _parse_one(f"--gin_param {param!r}", functools.partial(gin.parse_config, param))
    _parse_one("the gin configuration", gin.finalize)
  except UserError:
    gin.clear_config()
    raise


@contextlib.contextmanager
def aside() -> Iterator[None]:
  """Another configuration may be parsed within; afterwards the present one is back.

  The values used so far are forgotten: an operative config begins anew.
  """
  present = gin.config_str()
  try:
    yield
  finally:
    gin.clear_config()
    gin.parse_config(present)
    gin.finalize()


def operative_config_text() -> str:
  """Returns every value used so far, defaults included, as the text of a gin file."""
  return gin.operative_config_str()


def save_operative(path: str) -> None:
  """Writes the operative config to a file that is either complete or not there."""
  partial = f"{path}.partial"
  try:
    with open(partial, "w", encoding="utf-8") as file:
      file.write(operative_config_text())
    os.replace(partial, path)
  finally:
    if os.path.exists(partial):
      os.remove(partial)


@gin.configurable(module="config")
def make_deterministic(seed: int = 0, threads: int = 0) -> None:
  """Makes runs repeat: seeds Python, numpy and TensorFlow, and asks for stable ops.

  Args:
    seed: reaches everything that draws numbers from a global state.
    threads: of TensorFlow's pools, which must not have started; sums change in the
      last bit with their number. 0 leaves it at the number of cores.
  """
  if threads:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
  tf.keras.utils.set_random_seed(seed)
  tf.config.experimental.enable_op_determinism()


def explain(error: BaseException) -> str | None:
  """Says in one sentence what gin found missing when a configurable was called.

  Args:
    error: what a call into the package raised.

  Returns:
    The sentence, or None where the error is not about a missing gin value.
  """
  message = str(error)
  if match := re.match(
    r"Required bindings for `(.+?)` not provided.*?\[(.+?)\]", message
  ):
    name, missing = match.groups()
  elif match := re.search(
    r"No values supplied by Gin or caller for arguments: \[(.+?)\]"
    r".*?In call to configurable '(.+?)'",
    message,
    re.DOTALL,
  ):
    missing, name = match.groups()
  else:
    return None
  parameters = " and ".join(
    f"{name}.{parameter.strip(' ' + chr(39))}" for parameter in missing.split(",")
  )
  return f"The gin configuration gives no value to {parameters}; add one."


@functools.cache
def _register_all() -> None:
  """Imports every module of the package, so that gin knows every name.

  Otherwise what a gin file may say, and whether the operative config of a training run
  can be read back, would depend on what a command happened to import before.
  """
  for module in pkgutil.walk_packages(
    [os.path.dirname(personalized_face.__file__)], "personalized_face."
  ):
    if module.name.split(".")[1] not in _NOT_CONFIGURED:
      importlib.import_module(module.name)


@functools.cache
def _set_search_path() -> None:
  """Lets gin look for files in the shipped folder, then in the current one.

  gin's own functions only append to its lists. As they stand, a folder `losses/` in
  the current directory or on Python's path would be tried before the shipped one, and
  each `include` would log an error when it is not.
  """
  gin.config._LOCATION_PREFIXES[:] = [resources.gin_dir(), ""]
  gin.config._FILE_READERS[:] = [(open, os.path.isfile)]


def _parse_file(name: str) -> None:
  known = resources.gin_files()
  if not os.path.isfile(name) and name not in known:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}" if close else f"shipped are {', '.join(known)}"
    raise UserError(f"There is no gin file {name}; {hint}.")
  gin.parse_config_file(name)


def _parse_one(source: str, parse_source: Callable[[], object]) -> None:
  """Runs a step of the parsing and turns gin's errors into sentences."""
  try:
    parse_source()
  except RecursionError:
    # Not to be printed: gin wraps it once per include, as deep as the stack.
    raise UserError(
      f"{_begun(source)}: a file includes itself, or a value is nested too deeply."
    ) from None
  except _GIN_ERRORS as error:
    raise UserError(f"{_place(error, source)}: {_cause(error)}.") from error


def _place(error: Exception, source: str) -> str:
  """Returns the file and line where gin stopped, or else the whole source."""
  if isinstance(error, SyntaxError):
    file, line = error.filename, error.lineno
  else:
    # gin appends one location per include, innermost first.
    match = re.search(r'\n  In file "(.+?)", line (\d+)', str(error))
    file, line = match.groups() if match else (None, None)
  if file is None:
    return _begun(source)
  folder = resources.gin_dir() + os.sep
  return f"{file.removeprefix(folder)}, line {line}"


def _begun(source: str) -> str:
  """As a sentence begins."""
  return source[0].upper() + source[1:]


def _cause(error: Exception) -> str:
  """Returns what is wrong and the way out, without a full stop."""
  if isinstance(error, SyntaxError):
    # Python's own complaint about the value may stand before gin's, on a line each.
    complaint = error.msg.splitlines()[-1].strip().rstrip(".").lower()
    return (
      f"{complaint}; gin lines read `Name.parameter = value`, and"
      " text values stand in quotes"
    )
  message = str(error).split("\n", 1)[0].strip().rstrip(".")
  if match := re.match(r"No configurable matching (?:reference )?'(.+?)'", message):
    name = match[1].removeprefix("@").removesuffix("()")
    return f"nothing in the package is called {name!r} in gin; correct the name"
  if match := re.match(
    r"Configurable '(.+?)' doesn't have a parameter .*'(.+)'", message
  ):
    return f"{match[1]} has no parameter {match[2]!r}; {_parameters_of(match[1])}"
  if match := re.match(r"No bindings specified for '(.+?)(?:/gin)?[/.]macro'", message):
    return f"the macro %{match[1]} has no value; add a line `{match[1]} = ...`"
  if match := re.match(r"Unable to open file: (.+?)\. Searched", message):
    return f"there is no gin file {match[1]} to include; correct its path"
  return message


def _parameters_of(name: str) -> str:
  function = gin.get_configurable(name)
  return f"it has {', '.join(inspect.signature(function).parameters)}"
