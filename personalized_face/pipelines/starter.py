"""A trained run as one small file, and a run again.

    run folder --pack--> <name>.npz, half precision
    <name>.npz --run_folder--> run folder in the cache

Every command that reads a --run_dir takes such a file too: it is unpacked once per
machine, and is a run like any other then. A file in starter_weights/ goes by its name;
the README there says what it was trained on and what it is worth.
"""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from personalized_face import config
from personalized_face.authoring import landmark_offsets
from personalized_face.authoring.cache import load_template
from personalized_face.core.cache import cache_folder
from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.networks.track_net import TrackNet
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.resize import with_uv_size
from personalized_face.training.checkpoints import (
  CONFIG_FILE,
  TEMPLATE_FILE,
  load_system,
)

FORMAT_VERSION = 1
_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starter_weights")
_STAGE = "starter"  # of the unpacked run
# Smaller arrays, batch statistics and biases, stay as they are: variances leave the
# range of half precision.
_LARGE = 4096
_MOST_BYTES = 1 << 29
_LAST_CHANNELS = 512  # of ResNet-18
# The default template is built on each machine; libraries round differently.
_SAME_DM = 1e-3


def names() -> list[str]:
  """The starter weights that come with the package."""
  paths = glob.glob(os.path.join(glob.escape(_FOLDER), "*.npz"))
  return sorted(os.path.basename(path).removesuffix(".npz") for path in paths)


def run_folder(run_dir: str) -> str:
  """The run folder that a --run_dir means.

  Args:
    run_dir: a folder, a file that `pack` wrote, or one of `names()`.

  Raises:
    UserError: the weights are damaged or of another template, or the cache cannot be
      written.
  """
  if os.path.isdir(run_dir):
    return run_dir
  packed = os.path.join(_FOLDER, f"{run_dir}.npz") if run_dir in names() else run_dir
  if not packed.endswith(".npz") or not os.path.isfile(packed):
    return run_dir
  digest = hashlib.sha256()
  # A run has a copy of the template: one unpacked before where landmarks are seen was
  # measured would not know it.
  for path in (packed, landmark_offsets.default_path()):
    with open(path, "rb") as file:
      digest.update(file.read())
  stem = os.path.basename(packed).removesuffix(".npz")
  folder = os.path.join(cache_folder(), f"{stem}-{digest.hexdigest()[:12]}")
  if not os.path.isdir(folder):
    unpack(packed, folder)
  return folder


def pack(run_dir: str, path: str, stage_name: str | None = None) -> None:
  """Writes the weights of a run in half precision, with its configuration.

  Args:
    run_dir: a finished run on the default template.
    path: of the `.npz` file.
    stage_name: see `load_system`.

  Raises:
    UserError: not a finished run, one of another template, or the file cannot be
      written.
  """
  system = load_system(run_dir, stage_name)
  template = system.template
  if template.hash != with_uv_size(load_template(), template.uv_size).hash:
    raise UserError(
      f"{run_dir} was trained with the template {template.name!r}; weights are packed "
      "of the default template alone."
    )
  with open(os.path.join(run_dir, CONFIG_FILE), encoding="utf-8") as file:
    config_text = file.read()
  arrays = {}
  for i, variable in enumerate(variables(system)):
    value = np.asarray(variable)
    half = value.size >= _LARGE
    arrays[f"{i:04d}"] = value.astype(np.float16) if half else value
  temporary = f"{path}.{os.getpid()}.tmp"
  try:
    with open(temporary, "wb") as file:
      np.savez_compressed(
        file,
        format_version=np.array(FORMAT_VERSION),
        template_hash=np.array(template.hash),
        vertices=template.vertices,
        uv_size=np.array(template.uv_size),
        config=np.array(config_text),
        tracker=np.array(json.dumps(_tracker_sizes(system))),
        **arrays,
      )
    os.replace(temporary, path)
  except OSError as error:
    raise UserError(f"{path} cannot be written ({error.strerror}).") from error
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)


def unpack(path: str, folder: str) -> None:
  """Makes a run folder of packed weights; it appears once it is complete.

  Args:
    path: what `pack` wrote.
    folder: does not exist yet.

  Raises:
    UserError: see `run_folder`.
  """
  try:
    data = read_npz(path, _MOST_BYTES)
    version, uv_size = int(data["format_version"]), int(data["uv_size"])
    made_with, config_text = str(data["template_hash"]), str(data["config"])
    vertices = data["vertices"]
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise _damaged(path, error) from error
  if version != FORMAT_VERSION:
    raise _damaged(path, f"format {version}, this program reads {FORMAT_VERSION}")
  try:
    template = with_uv_size(load_template(), uv_size)
  except ValueError as error:
    raise _damaged(path, error) from error
  if made_with != template.hash and not _same_mesh(vertices, template.vertices):
    raise UserError(
      f"{path} was trained with a default template that hashes to {made_with}, this "
      f"one to {template.hash}; install the package again, or train with `pface_train`."
    )
  with config.aside():
    config.parse([], [config_text])
    system = build_system(template)
  wanted = variables(system)
  _assign(wanted, data, path)
  if f"{len(wanted):04d}" in data:
    raise _damaged(path, "it has more arrays than the networks")
  write_run(system, folder, config_text)


def write_run(system: PersonalizedFace, folder: str, config_text: str) -> None:
  """Makes a run folder of a system; it appears once it is complete.

  Args:
    system: with its networks.
    folder: does not exist yet; where another process makes it meanwhile, that stays.
    config_text: gin, that `build_system` makes such a system by.

  Raises:
    UserError: it cannot be written.
  """
  partial = f"{folder}.{os.getpid()}.partial"
  try:
    os.makedirs(partial)
    system.template.save(os.path.join(partial, TEMPLATE_FILE))
    with open(os.path.join(partial, CONFIG_FILE), "w", encoding="utf-8") as file:
      file.write(config_text)
    manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(system=system), os.path.join(partial, _STAGE), max_to_keep=1
    )
    manager.save(checkpoint_number=0)
    os.rename(partial, folder)
  except OSError as error:
    if not os.path.isdir(folder):
      raise UserError(
        f"{folder} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a "
        "folder that is yours and has room."
      ) from error
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _same_mesh(first: np.ndarray, second: np.ndarray) -> bool:
  """Whether two templates differ by no more than another machine's rounding."""
  if first.shape != second.shape or first.dtype.kind != "f":
    return False
  return bool(np.abs(first - second).max() < _SAME_DM)


def variables(system: PersonalizedFace) -> list:
  """All variables of the networks and R_0^t, in the order in which they are made."""
  return [
    *system.model_net.variables,
    *system.track_net.variables,
    system.mean_albedo,
  ]


class PackedTracker(NamedTuple):
  """A TrackNet alone."""

  track_net: TrackNet
  crop_size: int  # pixels
  blendshape_names: tuple[str, ...]  # K


def load_tracker(path: str) -> PackedTracker:
  """Reads the tracker of packed weights, without any configuration.

  Args:
    path: what `pack` wrote, or one of `names()`.

  Raises:
    UserError: damaged.
  """
  path = os.path.join(_FOLDER, f"{path}.npz") if path in names() else path
  try:
    data = read_npz(path, _MOST_BYTES)
    sizes = json.loads(str(data["tracker"]))
    shapes = tuple(sizes["blendshapes"])
    net = TrackNet(len(shapes), sizes["width"], sizes["hidden"])
    crop_size, first = int(sizes["crop_size"]), int(sizes["first"])
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise _damaged(path, error) from error
  _assign(net.variables, data, path, first)
  return PackedTracker(net, crop_size, shapes)


def _tracker_sizes(system: PersonalizedFace) -> dict:
  """What `load_tracker` builds the network by."""
  net = system.track_net
  return {
    "blendshapes": system.template.blendshape_names,
    "width": net.encoder.output_shape[-1] / _LAST_CHANNELS,
    "hidden": net.head.layers[0].units,
    "crop_size": system.camera.height,
    "first": len(system.model_net.variables),
  }


def _assign(
  wanted: Sequence, data: dict[str, np.ndarray], path: str, first: int = 0
) -> None:
  for i, variable in enumerate(wanted, first):
    value = data.get(f"{i:04d}")
    if value is None or value.shape != tuple(variable.shape):
      raise _damaged(path, f"array {i} is not that of {variable.path}")
    if value.dtype.kind != "f" or not np.isfinite(value).all():
      raise _damaged(path, f"array {i} has what is no number")
    variable.assign(value.astype(np.float32))


def _damaged(path: str, reason: object) -> UserError:
  return UserError(
    f"{path} does not hold readable weights ({reason}); install the package again, or "
    "pack the run again."
  )
