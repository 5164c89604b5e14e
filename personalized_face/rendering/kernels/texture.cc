#include "texture.h"

#include <algorithm>

namespace personalized_face {
namespace {

// The bilinear cell that a texture coordinate falls in.
template <typename T>
struct Cell {
  int64_t texel[4];  // top left, top right, low left, low right: row * U + column
  T place[2];        // right and down within the cell, in [0, 1]
  T slope[2];        // d place / d uv: U, or 0 beyond the border
};

template <typename T>
inline Cell<T> Find(const Map<T>& map, const T* uv) {
  Cell<T> cell;
  int corner[2];
  const T last = static_cast<T>(map.side - 1);
  for (int axis = 0; axis < 2; ++axis) {
    const T position = uv[axis] * static_cast<T>(map.side) - T(0.5);
    // Not a number falls on the border too: no index may leave the map.
    const T above = position >= T(0) ? position : T(0);
    const T clipped = above <= last ? above : last;
    cell.slope[axis] =
        position >= T(0) && position <= last ? static_cast<T>(map.side) : T(0);
    corner[axis] = std::min(static_cast<int>(clipped), std::max(map.side - 2, 0));
    cell.place[axis] = clipped - static_cast<T>(corner[axis]);
  }
  // A map of one texel is its own neighbour.
  const int64_t right = map.side > 1, down = map.side > 1 ? map.side : 0;
  const int64_t first = int64_t{corner[1]} * map.side + corner[0];
  cell.texel[0] = first;
  cell.texel[1] = first + right;
  cell.texel[2] = first + down;
  cell.texel[3] = first + down + right;
  return cell;
}

// kChannels is C where compilers are to know it, or 0.
template <typename T, int kChannels>
void Sample(const Map<T>& map, const T* uv, const int32_t* ids, int64_t pixels, T fill,
            T* values) {
  const int channels = kChannels ? kChannels : map.channels;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    T* const to = values + pixel * channels;
    if (ids[pixel] < 0) {
      std::fill(to, to + channels, T(0));
      if (channels) to[0] = fill;
      continue;
    }
    const Cell<T> cell = Find(map, uv + 2 * pixel);
    const T* from[4];
    for (int k = 0; k < 4; ++k) from[k] = map.texels + cell.texel[k] * channels;
    const T right = cell.place[0], down = cell.place[1];
    for (int c = 0; c < channels; ++c) {
      const T top = from[0][c] + (from[1][c] - from[0][c]) * right;
      const T low = from[2][c] + (from[3][c] - from[2][c]) * right;
      to[c] = top + (low - top) * down;
    }
  }
}

template <typename T, int kChannels>
void SampleGradient(const Map<T>& map, const T* uv, const int32_t* ids,
                    const T* to_values, int64_t pixels, T* to_texels, T* to_uv) {
  const int channels = kChannels ? kChannels : map.channels;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    if (ids[pixel] < 0) {
      if (to_uv) std::fill(to_uv + 2 * pixel, to_uv + 2 * pixel + 2, T(0));
      continue;
    }
    const Cell<T> cell = Find(map, uv + 2 * pixel);
    const T* const upstream = to_values + pixel * channels;
    const T right = cell.place[0], down = cell.place[1];
    if (to_texels) {
      const T weights[4] = {(1 - right) * (1 - down), right * (1 - down),
                            (1 - right) * down, right * down};
      for (int k = 0; k < 4; ++k) {
        T* const to = to_texels + cell.texel[k] * channels;
        for (int c = 0; c < channels; ++c) to[c] += weights[k] * upstream[c];
      }
    }
    if (to_uv) {
      const T* from[4];
      for (int k = 0; k < 4; ++k) from[k] = map.texels + cell.texel[k] * channels;
      T to_right = 0, to_down = 0;
      for (int c = 0; c < channels; ++c) {
        const T top = from[1][c] - from[0][c], low = from[3][c] - from[2][c];
        const T left = from[2][c] - from[0][c];
        to_right += upstream[c] * (top + (low - top) * down);
        to_down += upstream[c] * (left + (low - top) * right);
      }
      to_uv[2 * pixel] = to_right * cell.slope[0];
      to_uv[2 * pixel + 1] = to_down * cell.slope[1];
    }
  }
}

}  // namespace

template <typename T>
void SampleUv(const Map<T>& map, const T* uv, const int32_t* ids, int64_t pixels,
              T fill, T* values) {
  const auto run = map.channels == 3   ? Sample<T, 3>
                   : map.channels == 8 ? Sample<T, 8>
                                       : Sample<T, 0>;
  run(map, uv, ids, pixels, fill, values);
}

template <typename T>
void SampleUvGradient(const Map<T>& map, const T* uv, const int32_t* ids,
                      const T* to_values, int64_t pixels, T* to_texels, T* to_uv) {
  const auto run = map.channels == 3   ? SampleGradient<T, 3>
                   : map.channels == 8 ? SampleGradient<T, 8>
                                       : SampleGradient<T, 0>;
  run(map, uv, ids, to_values, pixels, to_texels, to_uv);
}

#define INSTANTIATE(T)                                                               \
  template void SampleUv<T>(const Map<T>&, const T*, const int32_t*, int64_t, T, T*); \
  template void SampleUvGradient<T>(const Map<T>&, const T*, const int32_t*,         \
                                    const T*, int64_t, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace personalized_face
