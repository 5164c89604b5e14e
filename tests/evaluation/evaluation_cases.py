"""What the tests of the benchmarks share: the properties that every one must have."""

import numpy as np

from personalized_face.evaluation.benchmark import run_benchmark
from personalized_face.evaluation.predictions import Prediction


class TruthPredictor:
  """Says the ground truth, changed by a function."""

  def __init__(self, benchmark, change=lambda prediction: prediction, name="truth"):
    self.name, self.seconds = name, {}
    self._benchmark, self._change = benchmark, change

  def predict(self, sample, pictures):
    assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in pictures)
    return self._change(self._benchmark.truth_prediction(sample))


class Shuffled:
  """The samples of a benchmark in another order."""

  def __init__(self, benchmark, seed=0):
    self._benchmark, self._seed = benchmark, seed

  def __getattr__(self, name):
    return getattr(self._benchmark, name)

  def samples(self):
    samples = list(self._benchmark.samples())
    order = np.random.default_rng(self._seed).permutation(len(samples))
    return iter([samples[i] for i in order])


def summary(benchmark, change=lambda prediction: prediction):
  """The table row of the ground truth, changed."""
  result = run_benchmark(benchmark, [TruthPredictor(benchmark, change)])
  return benchmark.summary(result.rows)


def shift_landmarks(pixels):
  """Moves every point by so many pixels to the right."""

  def change(prediction: Prediction) -> Prediction:
    return prediction._replace(landmarks=prediction.landmarks + [pixels, 0])

  return change
