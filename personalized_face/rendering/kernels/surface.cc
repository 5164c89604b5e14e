#include "surface.h"

#include <algorithm>

#include "unit.h"

namespace personalized_face {
namespace {

// The corners of one triangle against one pixel's ray (x, y, -1). Double: a sliver may
// be thinner than the rounding errors of a float product, and its weights would leave
// [0, 1].
struct Corners {
  double x[3];     // offset of corner k from the ray at the corner's own depth
  double y[3];     // likewise
  double area[3];  // d_(k+1) x d_(k+2)
  double inverse;  // 1 / the sum of the areas; 0 where that is 0
};

template <typename T>
inline Corners Look(const T* vertices, const int32_t* triangle, double ray_x,
                    double ray_y) {
  Corners corners;
  for (int k = 0; k < 3; ++k) {
    const T* const vertex = vertices + 3 * static_cast<int64_t>(triangle[k]);
    const double z = vertex[2];
    corners.x[k] = vertex[0] + z * ray_x;
    corners.y[k] = vertex[1] + z * ray_y;
  }
  double total = 0;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    corners.area[k] = corners.x[i] * corners.y[j] - corners.x[j] * corners.y[i];
    total += corners.area[k];
  }
  corners.inverse = total != 0 ? 1.0 / total : 0.0;
  return corners;
}

inline double RayX(const Camera& camera, int column) {
  return (column + 0.5 - camera.principal_x) / camera.focal;
}

inline double RayY(const Camera& camera, int row) {
  return (camera.principal_y - row - 0.5) / camera.focal;
}

// kChannels is C where compilers are to know it, or 0.
template <typename T, int kChannels>
void InterpolateChannels(const Attributes<T>& attributes, const int32_t* ids,
                         const T* weights, int64_t pixels, T* blended) {
  const int channels = kChannels ? kChannels : attributes.channels;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    T* const to = blended + pixel * channels;
    if (ids[pixel] < 0) {
      std::fill(to, to + channels, T(0));
      continue;
    }
    const int32_t* const triangle = attributes.triangles + 3 * int64_t{ids[pixel]};
    const T* const weight = weights + 3 * pixel;
    const T* from[3];
    for (int k = 0; k < 3; ++k) {
      from[k] = attributes.values + int64_t{triangle[k]} * channels;
    }
    for (int c = 0; c < channels; ++c) {
      to[c] = weight[0] * from[0][c] + weight[1] * from[1][c] + weight[2] * from[2][c];
    }
    if (attributes.normalize) Normalize(to);
  }
}

template <typename T, int kChannels>
void InterpolateChannelsGradient(const Attributes<T>& attributes, const int32_t* ids,
                                 const T* weights, const T* to_blended,
                                 int64_t pixels, T* to_attributes, T* to_weights) {
  const int channels = kChannels ? kChannels : attributes.channels;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    T* const to_weight = to_weights ? to_weights + 3 * pixel : nullptr;
    if (ids[pixel] < 0) {
      if (to_weight) std::fill(to_weight, to_weight + 3, T(0));
      continue;
    }
    const int32_t* const triangle = attributes.triangles + 3 * int64_t{ids[pixel]};
    const T* const weight = weights + 3 * pixel;
    const T* upstream = to_blended + pixel * channels;
    T through_unit[3];
    if (attributes.normalize) {
      T blend[3] = {0, 0, 0};
      for (int k = 0; k < 3; ++k) {
        const T* const from = attributes.values + int64_t{triangle[k]} * channels;
        for (int c = 0; c < 3; ++c) blend[c] += weight[k] * from[c];
      }
      NormalizeGradient(blend, upstream, through_unit);
      upstream = through_unit;
    }
    for (int k = 0; k < 3; ++k) {
      const int64_t first = int64_t{triangle[k]} * channels;
      if (to_weight) {
        T sum = 0;
        for (int c = 0; c < channels; ++c) {
          sum += upstream[c] * attributes.values[first + c];
        }
        to_weight[k] = sum;
      }
      if (to_attributes) {
        for (int c = 0; c < channels; ++c) {
          to_attributes[first + c] += weight[k] * upstream[c];
        }
      }
    }
  }
}

}  // namespace

template <typename T>
void Barycentrics(const T* vertices, const int32_t* triangles, const int32_t* ids,
                  const Camera& camera, int begin, int end, T* weights) {
  for (int row = begin; row < end; ++row) {
    const double ray_y = RayY(camera, row);
    for (int column = 0; column < camera.width; ++column) {
      const int64_t pixel = int64_t{row} * camera.width + column;
      T* const weight = weights + 3 * pixel;
      if (ids[pixel] < 0) {
        std::fill(weight, weight + 3, T(0));
        continue;
      }
      const Corners corners =
          Look(vertices, triangles + 3 * int64_t{ids[pixel]}, RayX(camera, column), ray_y);
      for (int k = 0; k < 3; ++k) {
        weight[k] = static_cast<T>(corners.area[k] * corners.inverse);
      }
    }
  }
}

template <typename T>
void BarycentricsGradient(const T* vertices, const int32_t* triangles,
                          const int32_t* ids, const Camera& camera,
                          const T* to_weights, T* to_vertices) {
  for (int row = 0; row < camera.height; ++row) {
    const double ray_y = RayY(camera, row);
    for (int column = 0; column < camera.width; ++column) {
      const int64_t pixel = int64_t{row} * camera.width + column;
      if (ids[pixel] < 0) continue;
      const double ray_x = RayX(camera, column);
      const int32_t* const triangle = triangles + 3 * int64_t{ids[pixel]};
      const Corners corners = Look(vertices, triangle, ray_x, ray_y);
      const T* const upstream = to_weights + 3 * pixel;
      // (p, q) of rendering/surface.py, times the sum of the areas.
      double p = 0, q = 0;
      for (int k = 0; k < 3; ++k) {
        const int i = (k + 1) % 3, j = (k + 2) % 3;
        p += upstream[k] * (corners.y[i] - corners.y[j]);
        q += upstream[k] * (corners.x[j] - corners.x[i]);
      }
      const double scale = -corners.inverse * corners.inverse;
      for (int k = 0; k < 3; ++k) {
        const double share = corners.area[k] * scale;
        T* const to = to_vertices + 3 * int64_t{triangle[k]};
        to[0] += static_cast<T>(share * p);
        to[1] += static_cast<T>(share * q);
        to[2] += static_cast<T>(share * (ray_x * p + ray_y * q));
      }
    }
  }
}

template <typename T>
void Interpolate(const Attributes<T>& attributes, const int32_t* ids, const T* weights,
                 int64_t pixels, T* blended) {
  const auto run = attributes.channels == 3   ? InterpolateChannels<T, 3>
                   : attributes.channels == 2 ? InterpolateChannels<T, 2>
                                              : InterpolateChannels<T, 0>;
  run(attributes, ids, weights, pixels, blended);
}

template <typename T>
void InterpolateGradient(const Attributes<T>& attributes, const int32_t* ids,
                         const T* weights, const T* to_blended, int64_t pixels,
                         T* to_attributes, T* to_weights) {
  const auto run = attributes.channels == 3   ? InterpolateChannelsGradient<T, 3>
                   : attributes.channels == 2 ? InterpolateChannelsGradient<T, 2>
                                              : InterpolateChannelsGradient<T, 0>;
  run(attributes, ids, weights, to_blended, pixels, to_attributes, to_weights);
}

#define INSTANTIATE(T)                                                                \
  template void Barycentrics<T>(const T*, const int32_t*, const int32_t*,             \
                                const Camera&, int, int, T*);                         \
  template void BarycentricsGradient<T>(const T*, const int32_t*, const int32_t*,     \
                                        const Camera&, const T*, T*);                 \
  template void Interpolate<T>(const Attributes<T>&, const int32_t*, const T*,        \
                               int64_t, T*);                                          \
  template void InterpolateGradient<T>(const Attributes<T>&, const int32_t*,          \
                                       const T*, const T*, int64_t, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace personalized_face
