"""The renderer in C++: kernels, their TensorFlow ops, and how these are compiled."""
