"""TensorBoard: every term raw and weighted, what the model looks like, how fast it is.

loss/, loss_weighted/   the terms of Eq. 3
train/, gradient_norm/  learning rate, norms by module, images per second
metric/                 held-out figures
pictures, blendshapes/, coefficients/, face   of fixed held-out frames
config                  the configuration as text
"""

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins.mesh import summary_v2 as mesh_summary

from personalized_face.core.types import Batch, Outputs, Tensor
from personalized_face.core.uv import sample_uv
from personalized_face.inference.pictures import columns
from personalized_face.training import disk
from personalized_face.training.heat_maps import correction_sheet
from personalized_face.training.trainer import Trainer

SHOWN = 4  # pictures


class Summaries:
  """Writes one stage's event files under `<run>/logs/<stage>`."""

  def __init__(self, run_dir: str, trainer: Trainer, writes: bool = True):
    self._trainer = trainer
    self._folder = os.path.join(run_dir, "logs", trainer.stage.name)
    self._writes = writes
    if not writes:
      self._writer = tf.summary.create_noop_writer()
      return
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

  def timing(self, step: int, values: dict[str, float]) -> None:
    """Images per second, and the share of the time spent waiting for them."""
    with self._writer.as_default(step=step):
      for name, value in values.items():
        tf.summary.scalar(f"train/{name}", value)

  def metrics(self, step: int, values: dict[str, float]) -> None:
    """Held-out figures (`metric/`)."""
    with self._writer.as_default(step=step):
      for name, value in values.items():
        tf.summary.scalar(f"metric/{name}", value)

  def pictures(self, step: int, batch: Batch) -> None:
    """What the system makes of some frames, as pictures, histograms and one mesh.

    Args:
      step: of the stage.
      batch: [B, N, ...]; its first SHOWN groups are taken.
    """
    if not self._writes:
      return
    images = batch.images[:SHOWN]
    with self._trainer.averaged_weights():
      # Eager: a graph for a handful of pictures would take longer to make than to run.
      outputs = self._trainer.forward(images)
    rows = columns(images, outputs.rendering)
    with self._writer.as_default(step=step):
      tf.summary.image(
        "input_overlay_shape_albedo_lighting", rows, max_outputs=len(rows)
      )
      for name, value in outputs.tracking._asdict().items():
        tf.summary.histogram(f"coefficients/{name}", value)
      self._mesh(step, outputs)
      if self._trainer.stage.corrections and not self._trainer.system.is_prior:
        template = self._trainer.system.template
        sheet = correction_sheet(outputs.person.blendshape_corrections[0], template)
        tf.summary.image("blendshapes/corrections_mm", sheet[np.newaxis])

  def _mesh(self, step: int, outputs: Outputs) -> None:
    """The first frame's face, in its own colours, for the mesh plugin."""
    template = self._trainer.system.template
    albedo = outputs.mesh.albedo[:1, 0]
    colors = sample_uv(albedo, tf.constant(template.uv[np.newaxis]))
    mesh_summary.mesh(
      "face",
      vertices=outputs.mesh.vertices[:1, 0],
      colors=tf.cast(255 * tf.clip_by_value(colors, 0, 1), tf.uint8),
      faces=tf.constant(template.triangles[np.newaxis]),
      step=step,
    )

  def text(self, name: str, value: str) -> None:
    """A text such as the configuration."""
    with self._writer.as_default(step=0):
      tf.summary.text(name, f"```\n{value}\n```")

  def close(self) -> None:
    """Flushes and closes the files."""
    with disk.writing("The log", self._folder):
      self._writer.close()
