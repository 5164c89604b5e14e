// Bilinear look-up in square maps; places and borders are those of core/uv.py.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_TEXTURE_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_TEXTURE_H_

#include <cstdint>

namespace personalized_face {

template <typename T>
struct Map {
  const T* texels;  // [side, side, channels], row by row
  int side;         // U, at least 1
  int channels;     // C
};

// Reads a map at the pixels of one image, or of a part of it.
//
//   uv      [pixels, 2], right and down; beyond [0, 1] the border is read
//   ids     [pixels]; where negative, the value is (fill, 0, 0, ...)
//   values  [pixels, C], written
template <typename T>
void SampleUv(const Map<T>& map, const T* uv, const int32_t* ids, int64_t pixels,
              T fill, T* values);

// Its gradient; none where the id is negative.
//
//   to_values  [pixels, C]
//   to_texels  [U, U, C], added to; null where it is not wanted
//   to_uv      [pixels, 2], written; null where it is not wanted
template <typename T>
void SampleUvGradient(const Map<T>& map, const T* uv, const int32_t* ids,
                      const T* to_values, int64_t pixels, T* to_texels, T* to_uv);

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_TEXTURE_H_
