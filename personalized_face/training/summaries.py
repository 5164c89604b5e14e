"""TensorBoard: every term raw and weighted, and the picture columns of Supp. Fig. 1."""

import os

import tensorflow as tf

from personalized_face.core.types import Batch, Tensor
from personalized_face.inference.pictures import columns
from personalized_face.training import disk
from personalized_face.training.trainer import Trainer


class Summaries:
  """Writes one stage's event files under `<run>/logs/<stage>`."""

  def __init__(self, run_dir: str, trainer: Trainer):
    self._trainer = trainer
    self._folder = os.path.join(run_dir, "logs", trainer.stage.name)
    with disk.writing("The log", self._folder):
      self._writer = tf.summary.create_file_writer(self._folder)

  def scalars(self, step: int, terms: dict[str, Tensor], rate: float) -> None:
    """Loss terms (`loss/`, `loss_weighted/`), norms and the learning rate."""
    weights = self._trainer.weights._asdict()
    with self._writer.as_default(step=step):
      for name, value in terms.items():
        if name in weights:
          tf.summary.scalar(f"loss/{name}", value)
          tf.summary.scalar(f"loss_weighted/{name}", weights[name] * value)
        elif name == "total":
          tf.summary.scalar("loss/total", value)
        else:
          tf.summary.scalar(name if "/" in name else f"train/{name}", value)
      tf.summary.scalar("train/learning_rate", rate)

  def metrics(self, step: int, values: dict[str, float]) -> None:
    """Held-out figures (`metric/`)."""
    with self._writer.as_default(step=step):
      for name, value in values.items():
        tf.summary.scalar(f"metric/{name}", value)

  def pictures(self, step: int, batch: Batch) -> None:
    """Input, overlay, shape, albedo and lighting of one batch, a frame a row."""
    # Eager: a graph for a handful of pictures would take longer to make than to run.
    outputs = self._trainer.forward(batch.images)
    rows = columns(batch.images, outputs.rendering)
    with self._writer.as_default(step=step):
      tf.summary.image("input_overlay_shape_albedo_lighting", rows, max_outputs=8)

  def text(self, name: str, value: str) -> None:
    """A text such as the configuration."""
    with self._writer.as_default(step=0):
      tf.summary.text(name, f"```\n{value}\n```")

  def close(self) -> None:
    """Flushes and closes the files."""
    with disk.writing("The log", self._folder):
      self._writer.close()
