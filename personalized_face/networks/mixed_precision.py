"""Networks that compute in half precision and keep float32 weights and outputs."""

import contextlib
from collections.abc import Iterator

import keras

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@contextlib.contextmanager
def networks_in(precision: str) -> Iterator[None]:
  """Layers made within compute in the given precision.

  Args:
    precision: one of PRECISIONS.

  Raises:
    ValueError: another one.
  """
  if precision not in PRECISIONS:
    raise ValueError(f"precision is one of {PRECISIONS}, not {precision!r}")
  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy(precision)
  try:
    yield
  finally:
    keras.config.set_dtype_policy(before)
