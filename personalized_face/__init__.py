"""Personalized face models and facial motion from video, in TensorFlow 2.

Follows *Personalized Face Modeling for Improved Face Reconstruction and Motion
Retargeting* (Chaudhuri, Vesdapunt, Shapiro, Wang; ECCV 2020), called "the paper".

  import personalized_face as pf

  face = pf.personalize("clip.mp4")  # see pipelines/notebook.py
"""

import importlib

__version__ = "0.1.0"

# Imported when they are asked for: TensorFlow takes seconds, and not all who import
# the package want it.
_LAZY = {
  "Face": "personalized_face.pipelines.notebook",
  "personalize": "personalized_face.pipelines.notebook",
  "UserError": "personalized_face.core.errors",
}


def __getattr__(name: str):
  if name not in _LAZY:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  native_logs = importlib.import_module("personalized_face.native_logs")
  native_logs.ask_for_quiet()
  with native_logs.silenced():  # TensorFlow is imported
    module = importlib.import_module(_LAZY[name])
  return getattr(module, name)


def __dir__() -> list[str]:
  return sorted([*globals(), *_LAZY])
