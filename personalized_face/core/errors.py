"""The one exception that a person who runs a command is meant to read."""


class UserError(Exception):
  """Something the user can mend.

  The message is one sentence that names the thing that is wrong and the way out.
  The commands print it without a traceback and exit with code 1.
  """
