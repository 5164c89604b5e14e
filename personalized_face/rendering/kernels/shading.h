// Lambertian shading by nine spherical harmonics; core/spherical_harmonics.py has their
// order and axes.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_SHADING_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_SHADING_H_

#include <cstdint>

namespace personalized_face {

constexpr int kLights = 9;  // coefficients per colour

// image = albedo * shading, shading = sum_b light_b H_b(normal), at the pixels of one
// image or of a part of it.
//
//   albedo, normals  [pixels, 3]; normals of unit length
//   light            [9, 3]
//   ids              [pixels]; where negative both results are 0
//   image, shading   [pixels, 3], written
template <typename T>
void Shade(const T* albedo, const T* normals, const T* light, const int32_t* ids,
           int64_t pixels, T* image, T* shading);

// Its gradient; 0 where the id is negative.
//
//   shading                [pixels, 3], as `Shade` wrote it
//   to_image, to_shading   [pixels, 3]
//   to_albedo, to_normals  [pixels, 3], written
//   to_light               [9, 3], added to
template <typename T>
void ShadeGradient(const T* albedo, const T* normals, const T* light,
                   const T* shading, const int32_t* ids, const T* to_image,
                   const T* to_shading, int64_t pixels, T* to_albedo, T* to_normals,
                   T* to_light);

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_SHADING_H_
