"""How adult faces differ."""

import numpy as np

from personalized_face.authoring.cache import load_template
from personalized_face.template.traits import (
  NUM_BUMPS,
  NUM_STRETCHES,
  trait_fields,
)


def test_traits_are_mirror_symmetric_and_a_few_millimetres():
  template = load_template("default")
  fields = trait_fields(template, template.vertices)
  assert fields.shape == (NUM_BUMPS + NUM_STRETCHES, template.num_vertices, 3)
  mirrored = fields[:, template.mirror_vertices] * [-1, 1, 1]
  # Where the neutral face is its own mirror image, to a twentieth of a millimetre.
  np.testing.assert_allclose(mirrored, fields, atol=5e-4)
  largest = 100 * np.linalg.norm(fields[:NUM_BUMPS], axis=-1).max(axis=1)
  assert largest.min() > 1.0 and largest.max() < 8.0


def test_a_longer_nose_moves_the_nose_and_not_the_chin():
  template = load_template("default")
  fields = 100 * trait_fields(template, template.vertices)
  tip, chin = template.landmark_vertices[[30, 8]]
  length = fields[4]
  assert length[tip, 1] > 3 and np.linalg.norm(length[chin]) < 0.3
  width = fields[NUM_BUMPS]
  np.testing.assert_allclose(width[:, 0], 2.5 * template.vertices[:, 0], rtol=1e-5)
  assert np.abs(width[:, 1:]).max() == 0
