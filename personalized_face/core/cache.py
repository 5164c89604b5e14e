"""Where things are kept that are made once per machine and then read."""

import os


def cache_folder() -> str:
  """`$XDG_CACHE_HOME/personalized_face`, by default `~/.cache/personalized_face`."""
  base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  return os.path.join(base, "personalized_face")
