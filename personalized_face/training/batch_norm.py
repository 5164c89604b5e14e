"""Recalibrates batch-norm statistics after a short training.

With a momentum of 0.99 a few hundred steps leave the moving averages between their
initial values and the truth (DESIGN section 5); inference mode then differs from
training mode. Averaging plain batch statistics over training frames mends it.
"""

from collections.abc import Iterable

import keras

from personalized_face.core.types import Batch
from personalized_face.systems.personalized_face import PersonalizedFace


def recalibrate(
  system: PersonalizedFace,
  batches: Iterable[Batch],
  track_net: bool = True,
  model_net: bool = True,
) -> int:
  """Replaces the moving averages by the mean over the batches given.

  Args:
    system: changed in place.
    batches: training batches; 10 to 30 are enough.
    track_net, model_net: which networks to recalibrate.

  Returns:
    The number of batches used.
  """
  networks = [system.track_net] * track_net + [system.model_net] * model_net
  layers = [layer for net in networks for layer in _batch_norms(net)]
  momenta = [layer.momentum for layer in layers]
  count = 0
  try:
    for count, batch in enumerate(batches, start=1):
      for layer in layers:
        # Weights 1/count for the new batch: a plain mean once all have been seen.
        layer.momentum = 1 - 1 / count
      if track_net:
        system.track_groups(batch.images, training=True)
      if model_net:
        system.model_net(batch.images, training=True)
  finally:
    for layer, momentum in zip(layers, momenta, strict=True):
      layer.momentum = momentum
  return count


def _batch_norms(net: keras.Model) -> list[keras.layers.BatchNormalization]:
  return [
    layer
    for layer in net._flatten_layers(include_self=False)
    if isinstance(layer, keras.layers.BatchNormalization)
  ]
