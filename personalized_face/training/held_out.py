"""Figures on frames that training never saw, the system beside the bare prior.

    held-out frames --system, prior--> Outputs, Outputs --metrics--> a flat dictionary

Both are compared on the pixels that both cover (DESIGN section 8), and the share of the
face that the system covers stands beside it: a mesh that shrinks would score well.
"""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from personalized_face.core.types import Batch, Outputs, PersonModel
from personalized_face.data import records
from personalized_face.data.dataset import make_dataset, make_eval_dataset
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.metrics.pictures import coverage_percent, photometric_255_common
from personalized_face.metrics.surface import turned_triangles_percent
from personalized_face.systems.personalized_face import PersonalizedFace

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
  """
  person = None
  info = records.read_info(records_dir)
  if info["split_by"] == "frames" and info["splits"]["train"]["persons"] == 1:
    person = _training_person(system, records_dir)

  @tf.function
  def run(images: tf.Tensor) -> tuple[Outputs, Outputs, tf.Tensor]:
    tracking = system.track_groups(images)
    of_images = system.model_face(images) if person is None else person
    outputs = system.reconstruct(of_images, tracking)
    # The template at the same w, for the triangles that turned.
    return outputs, prior(images), system.reconstruct_prior(tracking).mesh.vertices

  rows = []
  for batch, _ in tqdm(make_eval_dataset(records_dir), "evaluating", unit="frame"):
    rows.append(_figures(batch, *run(batch.images), system.template.triangles))
  means = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
  return {**means, "frames_held_out": len(rows)}


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
