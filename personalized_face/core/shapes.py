"""One-line shape checks: `shapes.check(vertices, "[B, V, 3]")`."""

from typing import Any


def check(tensor: Any, pattern: str, name: str = "tensor") -> dict[str, int | None]:
  """Checks a tensor's static shape against a pattern and binds its letters.

  Args:
    tensor: anything with a `.shape` (TensorFlow, Keras or numpy).
    pattern: such as "[B, V, 3]" or "[..., 3]"; a number must match, a letter binds
      a size (the same letter twice must match), a leading "..." allows any rank.
    name: how the message calls the tensor.

  Returns:
    The size bound to each letter; None where it is not known statically.

  Raises:
    ValueError: if the shape does not fit.
  """
  want = [part.strip() for part in pattern.strip("[] ").split(",") if part.strip()]
  rank = getattr(tensor.shape, "rank", len(tensor.shape))
  if rank is None:
    return {}
  sizes = list(tensor.shape)
  message = f"{name} has shape {sizes}, expected {pattern}"
  if want and want[0] == "...":
    want = want[1:]
    sizes = sizes[len(sizes) - len(want) :] if len(sizes) >= len(want) else []
  if len(sizes) != len(want):
    raise ValueError(message)
  bound: dict[str, int | None] = {}
  for label, size in zip(want, sizes, strict=True):
    expected = int(label) if label.isdigit() else bound.get(label)
    if size is not None and expected is not None and size != expected:
      raise ValueError(message)
    if not label.isdigit() and bound.get(label) is None:
      bound[label] = size
  return bound
