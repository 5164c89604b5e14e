"""Figures on frames that training never saw, the system beside the bare prior.

    held-out frames --system, prior--> Outputs, Outputs --metrics--> a flat dictionary

Both are compared on the pixels that both cover (DESIGN section 8), and the share of the
face that the system covers stands beside it: a mesh that shrinks would score well.

`HeldOut` is for during a training: fixed frames, their loss, the same few figures.
"""

import numpy as np
import tensorflow as tf

from personalized_face.core.types import Batch, Outputs, PersonModel
from personalized_face.data import record_damage, records
from personalized_face.data.dataset import make_dataset, make_eval_dataset
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.metrics.pictures import (
  coverage_percent,
  photometric_255,
  photometric_255_common,
)
from personalized_face.metrics.surface import turned_triangles_percent
from personalized_face.progress import tqdm
from personalized_face.systems.personalized_face import PersonalizedFace
from personalized_face.training.trainer import Trainer

MODEL_FRAMES = 8  # pictures that ModelNet sees of a person in the training set


def evaluate_run(
  system: PersonalizedFace, prior: PersonalizedFace, records_dir: str
) -> dict[str, float]:
  """Means over every held-out frame of a folder of records.

  Where frames of the one person in the training set are held out, that person's model
  is made from training frames and only tracking is solved on the others; in records of
  several persons ModelNet sees the frame itself (N = 1, Section 4).

  Args:
    system: trained; runs in inference mode.
    prior: the same tracker trained for the template without corrections (row A).
    records_dir: its "test" split is used.

  Returns:
    nme_percent, photometric_255, coverage_percent, turned_triangles_percent,
    prior_nme_percent, prior_photometric_255 (means over the frames, NaN left out), and
    frames_held_out.

  Raises:
    UserError: no records there, or damaged ones.
  """
  with record_damage.named(records_dir):
    rows = _rows(system, prior, records_dir)
  means = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
  return {**means, "frames_held_out": len(rows)}


def _rows(
  system: PersonalizedFace, prior: PersonalizedFace, records_dir: str
) -> list[dict[str, float]]:
  """The figures of each held-out frame."""
  person = None
  info = records.read_info(records_dir)
  if info["split_by"] == "frames" and info["splits"]["train"]["persons"] == 1:
    person = _training_person(system, records_dir)

  @tf.function(autograph=False)
  def run(images: tf.Tensor) -> tuple[Outputs, Outputs, tf.Tensor]:
    tracking = system.track_groups(images)
    of_images = system.model_face(images) if person is None else person
    outputs = system.reconstruct(of_images, tracking)
    # The template at the same w, for the triangles that turned.
    return outputs, prior(images), system.reconstruct_prior(tracking).mesh.vertices

  rows = []
  for batch, _ in tqdm(make_eval_dataset(records_dir), "evaluating", unit="frame"):
    rows.append(_figures(batch, *run(batch.images), system.template.triangles))
  return rows


class HeldOut:
  """Frames spread over the held-out records, the same ones each time.

  Attributes:
    frames: a Batch [F, 1, ...] of pictures by themselves (N = 1), None where nothing is
      held out.
  """

  def __init__(self, trainer: Trainer, records_dir: str, count: int):
    """Reads the frames.

    Args:
      trainer: of the stage; its system is measured in inference mode, with the moving
        averages of its weights where the stage has them.
      records_dir: its "test" split is used.
      count: F, at most.
    """
    self._trainer = trainer
    self.frames = _held_out_frames(records_dir, count)
    self._run = tf.function(self._outputs_and_loss, autograph=False)

  def _outputs_and_loss(self, batch: Batch) -> tuple[Outputs, tf.Tensor, tf.Tensor]:
    outputs = self._trainer.forward(batch.images)
    loss, _ = self._trainer.face_loss(outputs, batch, self._trainer.weights)
    prior = self._trainer.system.reconstruct_prior(outputs.tracking)
    return outputs, loss, prior.mesh.vertices

  def figures(self) -> dict[str, float]:
    """Means over the frames: loss (Eq. 3 with the stage's weights, N = 1), nme_percent,
    photometric_255, coverage_percent, turned_triangles_percent."""
    rows = []
    triangles = self._trainer.system.template.triangles
    with self._trainer.averaged_weights():
      for i in range(len(self.frames.images)):
        batch = Batch(*(field[i : i + 1] for field in self.frames))
        outputs, loss, template_vertices = self._run(batch)
        figures = frame_figures(batch, outputs, template_vertices, triangles)
        rows.append({"loss": float(loss), **figures})
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def frame_figures(
  batch: Batch, outputs: Outputs, template_vertices: tf.Tensor, triangles: np.ndarray
) -> dict[str, float]:
  """nme_percent, photometric_255, coverage_percent and turned_triangles_percent.

  Args:
    batch: frames.
    outputs: what the system made of them.
    template_vertices: [B, N, V, 3] of the bare template at the same w.
    triangles: [T, 3].

  Returns:
    Means over the frames.
  """
  rendering = outputs.rendering
  values = {
    "nme_percent": nme_percent(outputs.landmarks, batch.landmarks),
    "photometric_255": photometric_255(batch.images, rendering.image, rendering.mask),
    "coverage_percent": coverage_percent(rendering.mask, batch.parsing),
    "turned_triangles_percent": turned_triangles_percent(
      outputs.mesh.vertices, template_vertices, triangles
    ),
  }
  return {key: float(np.mean(value)) for key, value in values.items()}


def _held_out_frames(records_dir: str, count: int) -> Batch | None:
  """`count` frames, evenly of as many records as are needed."""
  info = records.read_info(records_dir)["splits"]["test"]
  if not info["records"]:
    return None
  per_record = min(-(-count // info["records"]), info["shortest_record"])
  dataset = make_dataset(
    records_dir,
    "test",
    groups_per_batch=1,
    frames_per_group=per_record,
    shuffle=False,
    repeat=False,
  )
  groups = list(dataset.take(max(count // per_record, 1)))
  # [1, N, ...] each to [N, 1, ...]: every frame stands for itself.
  return tf.nest.map_structure(
    lambda *fields: tf.concat([field[0][:, tf.newaxis] for field in fields], 0),
    *groups,
  )


def _training_person(system: PersonalizedFace, records_dir: str) -> PersonModel:
  """The one person of the records, from frames spread over the training part."""
  info = records.read_info(records_dir)["splits"]["train"]
  frames = min(MODEL_FRAMES, info["shortest_record"])
  dataset = make_dataset(
    records_dir, "train", groups_per_batch=1, frames_per_group=frames, shuffle=False
  )
  return system.model_face(next(iter(dataset)).images)


def _figures(
  batch: Batch,
  outputs: Outputs,
  prior: Outputs,
  template_vertices: tf.Tensor,
  triangles: np.ndarray,
) -> dict[str, float]:
  """The figures of one frame; all leading dimensions are 1."""
  photometric, prior_photometric = photometric_255_common(
    batch.images,
    outputs.rendering.image,
    outputs.rendering.mask,
    prior.rendering.image,
    prior.rendering.mask,
  )
  values = {
    "nme_percent": nme_percent(outputs.landmarks, batch.landmarks),
    "photometric_255": photometric,
    "coverage_percent": coverage_percent(outputs.rendering.mask, batch.parsing),
    "turned_triangles_percent": turned_triangles_percent(
      outputs.mesh.vertices, template_vertices, triangles
    ),
    "prior_nme_percent": nme_percent(prior.landmarks, batch.landmarks),
    "prior_photometric_255": prior_photometric,
  }
  return {key: float(np.mean(value)) for key, value in values.items()}
