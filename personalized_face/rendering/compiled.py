"""Compiling a part of a graph, forward and gradient, each into one XLA program."""

from collections.abc import Callable

import tensorflow as tf

from personalized_face.core.types import Tensor


def compiled(part: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple]:
  """A function that runs `part` compiled, and its gradient too.

  The gradient's program computes `part` again from its inputs. For elementwise
  arithmetic on images that is cheaper than what TensorFlow would do by itself: write
  all intermediate results of the forward pass to memory, for the backward pass to read.

  Args:
    part: a function of tensors that returns a tensor or a tuple of tensors, without
      variables, and without scatters in its gradient where it is to be fast on a CPU.

  Returns:
    A function of the same arguments. No second derivatives.
  """
  forward = tf.function(part, jit_compile=True)

  @tf.function(jit_compile=True)
  def backward(inputs, upstream):
    floating = [x for x in inputs if x.dtype.is_floating]
    with tf.GradientTape() as tape:
      tape.watch(floating)
      outputs = part(*inputs)
    return tape.gradient(
      outputs, floating, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )

  @tf.custom_gradient
  def call(*inputs):
    def gradient(*upstream):
      outputs = upstream if len(upstream) > 1 else upstream[0]
      found = iter(backward(inputs, outputs))
      return [next(found) if x.dtype.is_floating else None for x in inputs]

    return forward(*inputs), gradient

  return call
