#include "shading.h"

#include <algorithm>
#include <cmath>

namespace personalized_face {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Factors of the real, orthonormal harmonics of orders 0 to 2.
template <typename T>
struct Factors {
  const T c0 = static_cast<T>(std::sqrt(1 / (4 * kPi)));
  const T c1 = static_cast<T>(std::sqrt(3 / (4 * kPi)));
  const T c2 = static_cast<T>(std::sqrt(15 / (4 * kPi)));
  const T c20 = static_cast<T>(std::sqrt(5 / (16 * kPi)));
  const T c22 = static_cast<T>(std::sqrt(15 / (16 * kPi)));
};

template <typename T>
inline void Harmonics(const Factors<T>& f, const T* normal, T* values) {
  const T x = normal[0], y = normal[1], z = normal[2];
  values[0] = f.c0;
  values[1] = f.c1 * y;
  values[2] = f.c1 * z;
  values[3] = f.c1 * x;
  values[4] = f.c2 * x * y;
  values[5] = f.c2 * y * z;
  values[6] = f.c20 * (3 * z * z - 1);
  values[7] = f.c2 * x * z;
  values[8] = f.c22 * (x * x - y * y);
}

}  // namespace

template <typename T>
void Shade(const T* albedo, const T* normals, const T* light, const int32_t* ids,
           int64_t pixels, T* image, T* shading) {
  const Factors<T> factors;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    T* const to_shading = shading + 3 * pixel;
    T* const to_image = image + 3 * pixel;
    if (ids[pixel] < 0) {
      std::fill(to_shading, to_shading + 3, T(0));
      std::fill(to_image, to_image + 3, T(0));
      continue;
    }
    T values[kLights];
    Harmonics(factors, normals + 3 * pixel, values);
    for (int c = 0; c < 3; ++c) {
      T sum = 0;
      for (int b = 0; b < kLights; ++b) sum += values[b] * light[3 * b + c];
      to_shading[c] = sum;
      to_image[c] = albedo[3 * pixel + c] * sum;
    }
  }
}

template <typename T>
void ShadeGradient(const T* albedo, const T* normals, const T* light,
                   const T* shading, const int32_t* ids, const T* to_image,
                   const T* to_shading, int64_t pixels, T* to_albedo, T* to_normals,
                   T* to_light) {
  const Factors<T> f;
  // Sums over an image in double: 50,000 floats added one by one lose three digits.
  double sums[3 * kLights] = {};
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    T* const albedo_slope = to_albedo + 3 * pixel;
    T* const normal_slope = to_normals + 3 * pixel;
    if (ids[pixel] < 0) {
      std::fill(albedo_slope, albedo_slope + 3, T(0));
      std::fill(normal_slope, normal_slope + 3, T(0));
      continue;
    }
    const T* const normal = normals + 3 * pixel;
    T values[kLights];
    Harmonics(f, normal, values);
    T upstream[3];  // to the shading, by colour
    for (int c = 0; c < 3; ++c) {
      const int64_t at = 3 * pixel + c;
      albedo_slope[c] = to_image[at] * shading[at];
      upstream[c] = to_shading[at] + to_image[at] * albedo[at];
    }
    T h[kLights];  // to the harmonics
    for (int b = 0; b < kLights; ++b) {
      h[b] = 0;
      for (int c = 0; c < 3; ++c) {
        h[b] += upstream[c] * light[3 * b + c];
        sums[3 * b + c] += values[b] * upstream[c];
      }
    }
    const T x = normal[0], y = normal[1], z = normal[2];
    normal_slope[0] = f.c1 * h[3] + f.c2 * (h[4] * y + h[7] * z) + 2 * f.c22 * h[8] * x;
    normal_slope[1] = f.c1 * h[1] + f.c2 * (h[4] * x + h[5] * z) - 2 * f.c22 * h[8] * y;
    normal_slope[2] = f.c1 * h[2] + f.c2 * (h[5] * y + h[7] * x) + 6 * f.c20 * h[6] * z;
  }
  for (int i = 0; i < 3 * kLights; ++i) to_light[i] += static_cast<T>(sums[i]);
}

#define INSTANTIATE(T)                                                               \
  template void Shade<T>(const T*, const T*, const T*, const int32_t*, int64_t, T*,  \
                         T*);                                                        \
  template void ShadeGradient<T>(const T*, const T*, const T*, const T*,             \
                                 const int32_t*, const T*, const T*, int64_t, T*, T*, \
                                 T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace personalized_face
