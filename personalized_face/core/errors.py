"""The one exception that a person who runs a command is meant to read."""


class UserError(Exception):
  """Something the user can mend.

  The message is one sentence that names the thing that is wrong and the way out.
  The commands print it without a traceback and exit with code 1.
  """


def sentence_of(error: UserError) -> str:
  """The sentence alone, without what gin and autograph put around it."""
  text = str(error).split("\n  In call to configurable")[0]
  if text.startswith("in user code:"):  # then the stack, then the type and message
    text = text.rsplit(f"{UserError.__name__}: ", 1)[-1]
  return " ".join(text.split())
