"""What a run says when it goes wrong: values that are not finite, a vanishing mesh.

A step that meets a NaN or infinity updates nothing. It leaves a folder behind:

    <run>/replay/<stage>_<step>.npz     the batch and the records it is of
    <run>/replay/<stage>_<step>.gin     the configuration
    <run>/replay/<stage>_<step>.ckpt.*  the networks before the step

from which `pface_train --replay` takes that one step again (training/replay.py).
"""

import collections
import os

import numpy as np
import tensorflow as tf

from personalized_face import config
from personalized_face.core.types import Batch
from personalized_face.systems.personalized_face import PersonalizedFace

FOLDER = "replay"

_WINDOW = 5  # log points whose mean is compared, against the noise of single batches
_FALL = 0.8  # of the best coverage so far


class CoverageWatch:
  """Notices a loss that falls because the mesh shrinks or leaves the picture.

  Losses that are means over the mask reward a mask of the easy pixels (DESIGN section
  8). Where coverage fell below _FALL of the highest that the run had, while the loss is
  lower than it was then, the fall is said once, and again at each further such fall.
  """

  def __init__(self):
    self._recent = collections.deque(maxlen=_WINDOW)
    self._best: tuple[int, float, float] | None = None  # step, coverage, loss

  def add(self, step: int, coverage_percent: float, loss: float) -> str | None:
    """Takes in a log point; returns a sentence to show, or None.

    Args:
      step: of the stage.
      coverage_percent: of the parsed skin by the mask.
      loss: the total.
    """
    self._recent.append((coverage_percent, loss))
    if len(self._recent) < _WINDOW:
      return None
    coverage, loss = np.mean(self._recent, axis=0)
    if self._best is None or coverage >= self._best[1]:
      self._best = step, coverage, loss
      return None
    then, before, loss_before = self._best
    if coverage >= _FALL * before or loss >= loss_before:
      return None
    self._best = step, coverage, loss
    return (
      f"The mask covers {coverage:.0f} % of the face at step {step}, {before:.0f} % at "
      f"step {then}, while the loss fell from {loss_before:.4g} to {loss:.4g}: the "
      "mesh shrinks or leaves the picture; look at the overlays in TensorBoard, and "
      "raise LossWeights.landmark or .parsing, or lower Stage.learning_rate."
    )


def save_replay(
  run_dir: str,
  system: PersonalizedFace,
  batch: Batch,
  stage: str,
  step: int,
  term: str,
  names: list[str],
) -> str:
  """Writes what `pface_train --replay` needs; returns the path of its file.

  Args:
    run_dir: the run folder.
    system: as it was before the step.
    batch: of the step.
    stage, step, term: where it stopped and what was not finite.
    names: of the batch's records.

  Raises:
    OSError, tf.errors.OpError: it cannot be written.
  """
  folder = os.path.join(run_dir, FOLDER)
  os.makedirs(folder, exist_ok=True)
  path = os.path.join(folder, f"{stage}_{step}")
  tf.train.Checkpoint(system=system).write(f"{path}.ckpt")
  config.save_operative(f"{path}.gin")
  with open(f"{path}.npz.partial", "wb") as file:
    np.savez_compressed(
      file,
      **{
        name: np.asarray(value)
        for name, value in batch._asdict().items()
        if not isinstance(value, tuple)
      },
      stage=stage,
      step=step,
      term=term,
      names=np.array(names),
    )
  os.replace(f"{path}.npz.partial", f"{path}.npz")
  return f"{path}.npz"
