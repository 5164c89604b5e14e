// The surface point that each pixel sees: barycentrics, and attributes blended by them.
//
// Gradient functions add to sums over triangles or texels in the order of the pixels,
// so each sum belongs to one thread, and comes out the same bit for bit.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_SURFACE_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_SURFACE_H_

#include <cstdint>

#include "camera.h"

namespace personalized_face {

// Perspective-correct barycentrics of the pixels in the rows [begin, end) of one image,
// by Cramer's rule along the pixel's ray; the formula is in rendering/surface.py.
//
//   vertices   [V, 3] decimetres, camera space
//   triangles  [T, 3]
//   ids        [H, W], in [-1, T)
//   weights    [H, W, 3], its rows [begin, end) are written: sum 1, 0 where the id is -1
template <typename T>
void Barycentrics(const T* vertices, const int32_t* triangles, const int32_t* ids,
                  const Camera& camera, int begin, int end, T* weights);

// The gradient of one image's barycentrics.
//
//   to_weights   [H, W, 3]
//   to_vertices  [V, 3], added to
template <typename T>
void BarycentricsGradient(const T* vertices, const int32_t* triangles,
                          const int32_t* ids, const Camera& camera,
                          const T* to_weights, T* to_vertices);

// Which attributes `Interpolate` blends for which pixels.
template <typename T>
struct Attributes {
  const T* values;           // [V, channels]
  int channels;              // C
  bool normalize;            // C is 3, and blends are scaled to unit length
  const int32_t* triangles;  // [T, 3]
};

// The barycentric mean of the corners' attributes.
//
//   ids      [pixels], in [-1, T)
//   weights  [pixels, 3]
//   blended  [pixels, C], written; 0 where the id is -1 or a vector has no length
template <typename T>
void Interpolate(const Attributes<T>& attributes, const int32_t* ids, const T* weights,
                 int64_t pixels, T* blended);

// Its gradient.
//
//   to_blended     [pixels, C]
//   to_attributes  [V, C], added to; null where it is not wanted
//   to_weights     [pixels, 3], written; null where it is not wanted
template <typename T>
void InterpolateGradient(const Attributes<T>& attributes, const int32_t* ids,
                         const T* weights, const T* to_blended, int64_t pixels,
                         T* to_attributes, T* to_weights);

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_SURFACE_H_
