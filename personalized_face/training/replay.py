"""One step of a run again, from what it left when a value was not finite.

    replay file, networks before the step -> forward, losses, gradients -> a report

Nothing is updated. Given another configuration (a smaller weight, a clipped gradient)
the report says whether it would have helped.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.core.npz_files import read_npz
from personalized_face.core.types import Batch, Outputs
from personalized_face.losses.total import FaceLoss
from personalized_face.systems.personalized_face import build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training.checkpoints import TEMPLATE_FILE, restore_file
from personalized_face.training.stages import configured_stage
from personalized_face.training.trainer import Trainer

_MOST_BYTES = 8 << 30  # that a file may unpack to; 8 groups of 4 pictures take 25 MB
_FIELDS = ("images", "landmarks", "parsing", "stage", "step", "term", "names")


def replay(path: str, gin_params: Sequence[str] = ()) -> str:
  """Takes the step of a replay file again and reports on every value on the way.

  Args:
    path: `<run>/replay/<stage>_<step>.npz`.
    gin_params: "name = value" each, over the configuration of the run.

  Returns:
    Lines: the records; each loss term; each module's gradient; the ranges of what the
    networks and the renderer made. "NOT FINITE" marks what is not.

  Raises:
    UserError: no replay file, or what lies beside it is missing or damaged.
  """
  saved = _load(path)
  run_dir = os.path.dirname(os.path.dirname(os.path.abspath(path)))
  base = os.path.splitext(path)[0]
  config.parse([f"{base}.gin"], gin_params)
  system = build_system(FaceTemplate.load(os.path.join(run_dir, TEMPLATE_FILE)))
  restore_file(system, f"{base}.ckpt")
  stage, weights = configured_stage(str(saved["stage"]))
  loss = FaceLoss(system.template, system.camera.height, camera=system.camera)
  trainer = Trainer(system, stage, loss, weights)
  batch = Batch(
    **{field: tf.constant(saved[field]) for field in Batch._fields if field in saved}
  )
  outputs, terms, gradients = tf.function(trainer.gradients, autograph=False)(batch)
  norms = trainer.module_norms(gradients)
  lines = [
    f"{stage.name}, step {saved['step']}: the {saved['term']} was not finite.",
    "records: " + ", ".join(map(str, saved["names"])),
  ]
  values = {**batch._asdict(), **dict(_leaves(outputs)), **terms, **norms}
  return "\n".join(lines + [_line(name, value) for name, value in values.items()])


def _load(path: str) -> dict[str, np.ndarray]:
  try:
    saved = read_npz(path, _MOST_BYTES)
    if missing := set(_FIELDS) - set(saved):
      raise ValueError(f"no {min(missing)}")
    return saved
  except ValueError as error:
    raise UserError(
      f"{path} is no replay file; give one of <run>/replay/*.npz, as the run that "
      "stopped has named it."
    ) from error


def _leaves(outputs: Outputs) -> Iterator[tuple[str, tf.Tensor]]:
  """Every tensor of an Outputs with the names that lead to it."""
  for name, value in outputs._asdict().items():
    if hasattr(value, "_asdict"):
      yield from ((f"{name}.{inner}", v) for inner, v in value._asdict().items())
    else:
      yield name, value


def _line(name: str, value: tf.Tensor) -> str:
  value = np.asarray(value)
  finite = np.isfinite(value)
  kept = value[finite]
  if kept.size == 0:
    span = "nothing finite"
  elif value.ndim == 0:
    span = f"{kept[0]:.6g}"
  else:
    span = f"{kept.min():.6g} to {kept.max():.6g}"
  count = value.size - kept.size
  mark = f"  NOT FINITE: {count} of {value.size}" if count else ""
  return f"  {name:36s} {span}{mark}"
