// Unit vectors, as core/topology.py's `normalize`: the zero vector stays zero, and its
// gradient is zero.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_UNIT_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_UNIT_H_

#include <cmath>

namespace personalized_face {

// 1 / length; 0 for what is shorter than 1e-12.
template <typename T>
inline T InverseLength(const T* vector) {
  const T squared =
      vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
  return squared > T(1e-24) ? T(1) / std::sqrt(squared) : T(0);
}

template <typename T>
inline void Normalize(T* vector) {
  const T inverse = InverseLength(vector);
  for (int axis = 0; axis < 3; ++axis) vector[axis] *= inverse;
}

// From the gradient to a unit vector, that to the vector it was made from.
template <typename T>
inline void NormalizeGradient(const T* vector, const T* to_unit, T* to_vector) {
  const T inverse = InverseLength(vector);
  T along = 0;
  for (int axis = 0; axis < 3; ++axis) along += vector[axis] * to_unit[axis];
  along *= inverse * inverse;
  for (int axis = 0; axis < 3; ++axis) {
    to_vector[axis] = (to_unit[axis] - along * vector[axis]) * inverse;
  }
}

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_UNIT_H_
