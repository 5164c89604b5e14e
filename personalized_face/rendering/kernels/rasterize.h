// Which triangle each pixel centre sees.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_RASTERIZE_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_RASTERIZE_H_

#include <cstdint>

#include "camera.h"

namespace personalized_face {

// At most so many triangles: their ids share 64 bits with the depth.
constexpr int kMaxTriangles = (1 << 24) - 1;

// Draws a band of rows of one image. Bands may be drawn in any order and by any
// thread: the pixels do not depend on how the image was cut.
//
// Coverage is exact, as in the xla backend: vertices are projected in double, snapped
// to 2^-18 pixel, and the edge functions then fit 53 bits within 256 pixels of the
// image centre. A centre on an edge goes to one of the two triangles by the top-left
// rule. Both orientations are drawn. Not drawn: triangles with a corner nearer than the
// near plane or not finite, and those without area after snapping. Of triangles equally
// far the lowest id is seen.
//
//   vertices       [num_vertices, 3] decimetres, camera space
//   triangles      [num_triangles, 3], each in [0, num_vertices)
//   num_triangles  at most kMaxTriangles
//   begin, end     the rows of the band, 0 <= begin <= end <= camera.height
//   ids            [end - begin, camera.width], written: -1 where there is none
template <typename T>
void Rasterize(const T* vertices, int num_vertices, const int32_t* triangles,
               int num_triangles, const Camera& camera, int begin, int end,
               int32_t* ids);

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_RASTERIZE_H_
