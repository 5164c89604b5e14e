"""`load_template`: the default template is built once per machine and then read."""

import functools
import hashlib
import os

from absl import logging

import personalized_face
from personalized_face.authoring import (
  control_points,
  landmark_offsets,
  reference_landmarks,
)
from personalized_face.core.cache import cache_folder
from personalized_face.core.errors import UserError
from personalized_face.template.face_template import FORMAT_VERSION, FaceTemplate

DEFAULT = "default"
# Modules of this folder that the default template is not built by.
_OF_OTHERS = {
  *("cache.py", "measure.py", "preview.py", "sources.py", "import_mesh.py"),
  *("charts.py", "holes.py", "ict_facekit.py", "obj_files.py", "placement.py"),
  *("symmetry.py", "compare.py", "gltf_files.py", "obj_folder.py"),
}


def load_template(name_or_path: str = DEFAULT) -> FaceTemplate:
  """Loads a template.

  Args:
    name_or_path: "default", built on first use and cached, or the path of a `.npz`.

  Raises:
    UserError: no such template, or its file is damaged.
  """
  if name_or_path != DEFAULT:
    return FaceTemplate.load(name_or_path)
  return _load_default(default_cache_path())


def default_cache_path() -> str:
  """Where the built default template is kept on this machine."""
  return os.path.join(cache_folder(), f"default-{_build_key()}.npz")


@functools.lru_cache(maxsize=2)
def _load_default(path: str) -> FaceTemplate:
  try:
    return FaceTemplate.load(path)
  except UserError as error:
    if os.path.exists(path):
      logging.warning("%s It is built again.", error)
  # Building needs scipy's interpolation; reading does not.
  from personalized_face.authoring.default_template import build_default_template

  logging.info("Building the default face template, once; it is kept in %s.", path)
  template = build_default_template()
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    template.save(path)
  except OSError as error:
    logging.warning("The default template cannot be kept in %s (%s).", path, error)
  return template


def _build_key() -> str:
  """Changes with whatever the built template depends on: version, code and points."""
  folder = os.path.dirname(os.path.abspath(__file__))
  package = os.path.dirname(folder)
  names = sorted(
    n for n in os.listdir(folder) if n.endswith(".py") and n not in _OF_OTHERS
  )
  paths = [os.path.join(folder, name) for name in names]
  paths.append(os.path.join(package, "template", "attention.py"))
  paths.append(os.path.join(package, "core", "mediapipe_regions.py"))
  data = (control_points, reference_landmarks, landmark_offsets)
  paths += [module.default_path() for module in data]
  version = getattr(personalized_face, "__version__", "")
  digest = hashlib.sha256(f"{version} format {FORMAT_VERSION}".encode())
  for path in paths:
    with open(path, "rb") as file:
      digest.update(file.read())
  return digest.hexdigest()[:12]
